"""Comments as a kind of the live stream: what clients of it get, and by which filters."""

import json
from typing import Any

import pytest
from starlette.datastructures import QueryParams

from signalflow.errors import Invalid
from signalflow.events import encode
from tests.unit.web.live.fanouts import fanout, ready, take
from tests.unit.web.live.records import NOT_IN_A_FEED, comment_envelope, comment_record_of
from web.api.live.subscription import filter_in
from web.live.comments import COMMENT_FILTERS, CommentFilter, CommentMatcher, comment_record
from web.live.fanout import Fanout
from web.live.kinds import COMMENTS
from web.live.protocol import decode_filter


def sent(state: Fanout, now: float = 1.0) -> list[dict[str, Any]]:
    """The comments of the only frame."""
    ((_, frame),) = state.tick(now).frames
    body = json.loads(frame.text)
    assert (body["type"], set(body)) == ("comments", {"type", "id", "comments"})
    return list(body["comments"])


def test_a_client_gets_each_comment_once_with_what_the_topic_tells() -> None:
    state = fanout(kind=COMMENTS)
    ready(state)
    take(state, comment_record_of(0, id="c1"), comment_record_of(1, id="c2", **NOT_IN_A_FEED))
    first, fed = sent(state)
    assert (first["id"], first["post_id"], first["parent_id"], first["subreddit"]) == ("c1", "abc", "t3_abc", "Python")
    assert (first["score"], first["is_submitter"], first["body"]) == (1, False, "A text about rockets")
    assert (fed["score"], fed["is_submitter"], fed["parent_id"]) == (None, None, None)


def test_of_two_observations_a_client_gets_the_newer_with_what_only_the_older_tells() -> None:
    state = fanout(kind=COMMENTS)
    ready(state)
    newer = comment_record_of(1, 5, **NOT_IN_A_FEED, body="Another text")
    take(state, comment_record_of(0, score=9, stickied=True), newer)
    (comment,) = sent(state)
    assert (comment["score"], comment["stickied"], comment["body"]) == (9, True, "Another text")


def test_a_comment_from_a_file_is_no_news() -> None:
    assert comment_record(0, 0, encode(comment_envelope(mode="backfill"))) is None


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({"subreddit": ["PYTHON"]}, True),
        ({"subreddit": ["rust"]}, False),
        ({"author": "u/SomeOne"}, True),
        ({"author": "else"}, False),
        ({"post_id": ["abc", "x"]}, True),
        ({"post_id": ["x"]}, False),
        ({"q": "rocket"}, True),
        ({"q": "rocket -text"}, False),
        ({"q": "rocket", "post_id": ["x"]}, False),
    ],
    ids=str,
)
def test_a_comment_must_meet_all_conditions(wanted: dict[str, Any], matches: bool) -> None:
    assert CommentMatcher(CommentFilter(**wanted))(comment_record_of()) is matches


def test_equal_filters_share_frames_and_others_do_not() -> None:
    assert CommentMatcher(CommentFilter(subreddit=["A"])).key == CommentMatcher(CommentFilter(subreddit=["a"])).key
    different = (CommentFilter(), CommentFilter(author="a"), CommentFilter(q="a"), CommentFilter(post_id=["a"]))
    assert len({CommentMatcher(each).key for each in different}) == len(different)


def test_a_filter_of_comments_has_the_conditions_of_comments_alone() -> None:
    query = QueryParams([("subreddit", "a,b"), ("post_id", "x"), ("q", "word")])
    assert filter_in(query, COMMENT_FILTERS) == CommentFilter(subreddit=["a", "b"], post_id=["x"], q="word")
    message = '{"type": "filter", "post_id": ["x"]}'
    assert decode_filter(message, COMMENT_FILTERS) == CommentFilter(post_id=["x"])
    for wrong in ("trending=true", "post_id=t3_x", "author=", "subreddits=a"):
        with pytest.raises(Invalid):
            filter_in(QueryParams(wrong), COMMENT_FILTERS)
