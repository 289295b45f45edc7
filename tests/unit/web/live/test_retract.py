"""What was taken away: live clients are told its id, and get nothing of its text any more."""

import json
from typing import Any

import pytest

from tests.unit.web.live.fanouts import fanout, frames_of, posts, ready, take
from tests.unit.web.live.records import EPOCH, NOT_IN_A_FEED, comment_record_of, record
from web.live.comments import CommentFilter
from web.live.kinds import COMMENTS
from web.live.protocol import Filter
from web.live.records import Tail

# As a program of an earlier version may send it: with its text.
GONE: dict[str, Any] = {"removed_by": "deleted", "title": "secret", "author": "secret", "current_comments": None}


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(q="something", author="someone", min_score=1),
        Filter(keyword=["something"], trending=False, min_sentiment=0.0),
        Filter(id=["a", "x"], subreddit=["PYTHON"], created_from=EPOCH),
    ],
)
def test_every_client_that_may_have_got_the_post_is_told_its_id_and_nothing_else(wanted: Filter) -> None:
    state = fanout()
    client = ready(state, wanted)
    take(state, record(0, 0, "a", 0, flair="secret"), record(0, 1, "b", 0), record(0, 2, "a", 5, **GONE))
    (frame,) = frames_of(state, client)
    assert json.loads(frame.text)["retract"] == ["a"]
    assert [post["id"] for post in posts(frame)] == ([] if wanted.id else ["b"])
    assert "secret" not in frame.text


@pytest.mark.parametrize("wanted", [Filter(id=["b"]), Filter(subreddit=["rust"]), Filter(created_to=EPOCH)])
def test_a_client_that_never_got_the_post_is_not_told(wanted: Filter) -> None:
    state = fanout()
    client = ready(state, wanted)
    take(state, record(0, 0, "a", 5, **GONE))
    assert frames_of(state, client) == []


def test_a_client_that_was_slow_or_away_does_not_get_the_text_that_was_taken_away_meanwhile() -> None:
    state = fanout()
    slow = ready(state)
    slow.ready = False
    take(state, record(0, 0, "a", 0, title="secret"))
    state.tick(0.5)
    take(state, record(0, 1, "a", 5, **GONE))
    state.tick(0.7)
    slow.ready = True
    resumed = ready(state, since=[0])
    frames = state.tick(1.0).frames
    assert {client for client, _ in frames} == {slow, resumed}
    for _, frame in frames:
        assert "secret" not in frame.text
        assert json.loads(frame.text)["retract"] == ["a"]


def test_the_memory_of_the_process_forgets_the_text() -> None:
    tail = Tail([0], 100)
    for each in (record(0, 0, "a", 0), record(0, 1, "b", 1), record(0, 2, "a", 5, **GONE)):
        tail.add(each)
    assert [each.offset for each in tail.between([0], [3])] == [1, 2]
    assert tail.covers([0])


def test_a_post_that_is_back_is_sent_without_what_was_known_before() -> None:
    gone = record(0, 0, "a", 0, **GONE)
    back = record(0, 1, "a", 5, current_score=None, current_comments=None)
    assert back.over(gone) is back
    state = fanout()
    client = ready(state)
    take(state, gone, back)
    (frame,) = frames_of(state, client)
    assert [post["title"] for post in posts(frame)] == ["A post about something"]
    assert "retract" not in json.loads(frame.text)


@pytest.mark.parametrize(
    "wanted",
    [
        CommentFilter(),
        CommentFilter(q="something", author="someone"),
        CommentFilter(post_id=["abc", "x"], subreddit=["PYTHON"]),
    ],
)
def test_every_client_that_may_have_got_the_comment_is_told_its_id_and_nothing_else(wanted: CommentFilter) -> None:
    state = fanout(kind=COMMENTS)
    client = ready(state, wanted)
    take(state, comment_record_of(0, 0, body="secret"), comment_record_of(1, 5, removed_by="deleted", body="secret"))
    (frame,) = frames_of(state, client)
    assert json.loads(frame.text)["retract"] == ["c1"]
    assert json.loads(frame.text)["comments"] == []
    assert "secret" not in frame.text


@pytest.mark.parametrize("wanted", [CommentFilter(post_id=["x"]), CommentFilter(subreddit=["rust"])])
def test_a_client_that_never_got_the_comment_is_not_told(wanted: CommentFilter) -> None:
    state = fanout(kind=COMMENTS)
    client = ready(state, wanted)
    take(state, comment_record_of(0, 5, removed_by="deleted", body=None))
    assert frames_of(state, client) == []


def test_a_client_that_was_slow_or_away_does_not_get_the_text_of_a_comment_that_is_gone() -> None:
    state = fanout(kind=COMMENTS)
    slow = ready(state, CommentFilter())
    slow.ready = False
    take(state, comment_record_of(0, 0, body="secret"))
    state.tick(0.5)
    take(state, comment_record_of(1, 5, removed_by="moderator", body=None, author=None))
    state.tick(0.7)
    slow.ready = True
    resumed = ready(state, CommentFilter(), since=[0])
    frames = state.tick(1.0).frames
    assert {client for client, _ in frames} == {slow, resumed}
    assert [(json.loads(frame.text)["comments"], json.loads(frame.text)["retract"]) for _, frame in frames] == [
        ([], ["c1"]),
        ([], ["c1"]),
    ]


def test_a_comment_that_is_back_is_sent_without_what_was_known_before() -> None:
    gone = comment_record_of(0, 0, removed_by="moderator", body=None, score=9)
    back = comment_record_of(1, 5, **NOT_IN_A_FEED)
    assert back.over(gone) is back
    assert gone.over(comment_record_of(2, -5, score=3)) is gone
