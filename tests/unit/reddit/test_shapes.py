"""From Reddit's JSON to Post. Expected values come from Reddit's documented fields and lines of the public data set."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from signalflow.errors import Invalid
from signalflow.events import Envelope, Metadata, decode_envelope, encode
from signalflow.reddit.shapes import post_of, safe_id

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def raw(**changes: Any) -> dict[str, Any]:
    """A t3 as Reddit sends it, with some of the ~90 fields that nobody needs."""
    return {
        "id": "abc123",
        "name": "t3_abc123",
        "subreddit": "python",
        "author": "someone",
        "title": "A title",
        "created_utc": 1767268740.0,
        "score": 100,
        "ups": 100,
        "num_comments": 5,
        "upvote_ratio": 0.97,
        "url": "https://example.org/",
        "permalink": "/r/python/comments/abc123/a_title/",
        "link_flair_text": "News",
        "over_18": False,
        "is_self": False,
        "edited": False,
        "removed_by_category": None,
        "selftext": "",
    } | changes


def test_every_field_arrives_under_its_name() -> None:
    post = post_of(raw(edited=1767268750.0, selftext="body", is_self=True), NOW)
    assert post.id == "abc123"
    assert post.created_utc == datetime(2026, 1, 1, 11, 59, tzinfo=UTC)
    assert (post.score, post.num_comments, post.upvote_ratio) == (100, 5, 0.97)
    assert (post.flair, post.removed_by, post.body) == ("News", None, "body")
    assert post.edited_at == datetime(2026, 1, 1, 11, 59, 10, tzinfo=UTC)
    assert post.is_self
    assert not post.over_18


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"author": "[deleted]"}, "author", None),
        ({"edited": True}, "edited_at", None),
        ({"edited": False}, "edited_at", None),
        ({"selftext": ""}, "body", None),
        ({"selftext": None}, "body", None),
        ({"selftext": "they [removed] it"}, "body", "they [removed] it"),
        ({"selftext": "they [removed] it"}, "removed_by", None),
        ({"link_flair_text": ""}, "flair", None),
        ({"score": -3}, "score", -3),
        ({"title": "nul\x00 and \ud83d half"}, "title", "nul\ufffd and \ufffd half"),
        ({"subreddit": "u_some-user"}, "subreddit", "u_some-user"),
    ],
)
def test_odd_but_legal_values_are_understood(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(post_of(raw(**changes), NOW), field) == expected


@pytest.mark.parametrize(
    ("changes", "removed_by"),
    [
        ({"removed_by_category": "deleted", "author": "[deleted]", "selftext": "[deleted]"}, "deleted"),
        ({"removed_by_category": "moderator", "selftext": "[removed]"}, "moderator"),
        ({"removed_by_category": "automod_filtered", "selftext": "still here"}, "automod_filtered"),
        ({"removed_by_category": "anti_evil_ops"}, "anti_evil_ops"),
        ({"removed_by_category": "a word that Reddit made up yesterday"}, "other"),
        ({"selftext": "[deleted]"}, "deleted"),
        ({"selftext": " [removed]\n"}, "moderator"),
    ],
)
def test_of_a_post_that_was_taken_away_numbers_are_left_and_by_whom_but_no_text(
    changes: dict[str, Any], removed_by: str
) -> None:
    post = post_of(raw(is_self=True, edited=1767268750.0, **changes), NOW)
    assert (post.removed_by, post.title, post.body) == (removed_by, "", None)
    assert (post.author, post.url, post.permalink, post.flair) == (None,) * 4
    assert (post.id, post.subreddit, post.score, post.num_comments, post.upvote_ratio) == (
        *("abc123", "python"),
        *(100, 5, 0.97),
    )
    assert post.edited_at == datetime(2026, 1, 1, 11, 59, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "ABC"}, "id"),
        ({"id": ""}, "id"),
        ({"subreddit": "not a name"}, "subreddit"),
        ({"title": None}, "title"),
        ({"title": "x" * 601}, "title"),
        ({"score": "12"}, "score"),
        ({"score": 2**31}, "score"),
        ({"score": 3.5}, "score"),
        ({"score": None}, "score"),
        ({"num_comments": 2.5}, "num_comments"),
        ({"num_comments": -1}, "num_comments"),
        ({"num_comments": -2.0}, "num_comments"),
        ({"num_comments": None}, "num_comments"),
        ({"created_utc": 0}, "created_utc"),
        ({"created_utc": float("nan")}, "created_utc"),
        ({"created_utc": 1767268740000.0}, "created_utc"),
        ({"created_utc": (NOW + timedelta(seconds=4)).timestamp()}, "created_utc"),
        ({"over_18": 1}, "over_18"),
        ({"upvote_ratio": 1.01, "edited": "yes", "title": None}, "title"),
    ],
)
def test_a_malformed_field_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        post_of(raw(**changes), NOW)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"upvote_ratio": 1.01}, "upvote_ratio"),
        ({"upvote_ratio": -0.2}, "upvote_ratio"),
        ({"upvote_ratio": float("nan")}, "upvote_ratio"),
        ({"upvote_ratio": "0.9"}, "upvote_ratio"),
        ({"edited": None}, "edited_at"),
        ({"edited": "yes"}, "edited_at"),
        ({"edited": -5.0}, "edited_at"),
        ({"author": {"name": "someone"}}, "author"),
        ({"url": "x" * 100_000}, "url"),
        ({"link_flair_text": 7}, "flair"),
        ({"removed_by_category": True}, "removed_by"),
    ],
)
def test_an_optional_value_that_makes_no_sense_is_unknown_and_the_post_is_kept(
    changes: dict[str, Any], field: str
) -> None:
    post = post_of(raw(**changes), NOW)
    assert getattr(post, field) is None
    assert (post.id, post.title, post.score, post.num_comments) == ("abc123", "A title", 100, 5)


def test_all_optional_values_may_make_no_sense_at_once() -> None:
    names = (
        "upvote_ratio",
        "edited",
        "author",
        "url",
        "permalink",
        "link_flair_text",
        "removed_by_category",
        "selftext",
    )
    senseless: dict[str, object] = {name: ["?"] for name in names}
    post = post_of(raw(**senseless), NOW)
    assert (post.upvote_ratio, post.edited_at, post.author, post.url, post.permalink) == (None,) * 5
    assert (post.flair, post.removed_by, post.body) == (None,) * 3


@pytest.mark.parametrize(
    ("changes", "score", "comments"),
    [
        ({"score": 3.0}, 3, 5),
        ({"score": -3.0, "num_comments": 12.0}, -3, 12),
    ],
)
def test_a_whole_float_is_a_number(changes: dict[str, Any], score: int, comments: int) -> None:
    post = post_of(raw(**changes), NOW)
    assert (post.score, post.num_comments) == (score, comments)
    assert type(post.score) is type(post.num_comments) is int


@pytest.mark.parametrize(
    "field", ["id", "subreddit", "title", "created_utc", "score", "num_comments", "over_18", "is_self"]
)
def test_a_missing_field_is_refused_and_not_guessed(field: str) -> None:
    data = raw()
    del data[field]
    with pytest.raises(Invalid) as refused:
        post_of(data, NOW)
    assert refused.value.field == field


def test_a_post_made_this_second_is_not_taken_for_the_future() -> None:
    assert post_of(raw(created_utc=(NOW + timedelta(seconds=3)).timestamp()), NOW).id == "abc123"


@pytest.mark.parametrize("data", [None, [], "text", 3, {}])
def test_what_is_no_post_is_refused(data: object) -> None:
    with pytest.raises(Invalid):
        post_of(data, NOW)


def test_a_refusal_never_quotes_the_post() -> None:
    secret = "hunter2"
    for changes in (
        {"title": [secret]},
        {"author": {"x": secret}, "title": 3},
        {"subreddit": f"{secret} x"},
        {"id": f"{secret} x"},
    ):
        with pytest.raises(Invalid) as refused:
            post_of(raw(**changes), NOW)
        assert secret not in str(refused.value)
        assert safe_id(raw(**changes)) in {"abc123", None}


@pytest.mark.parametrize("name", ["score", "num_comments", "over_18", "is_self"])
def test_an_envelope_may_leave_unknown_what_a_feed_does_not_tell_and_the_api_may_not(name: str) -> None:
    envelope = Envelope(
        entity_type="reddit_submission",
        source="reddit",
        mode="new",
        emitted_at=NOW,
        payload=replace(post_of(raw(), NOW), **{name: None}),
        metadata=Metadata(subreddit="python", observed_at=NOW),
    )
    assert getattr(decode_envelope(encode(envelope)).payload, name) is None
    with pytest.raises(Invalid):
        post_of(raw(**{name: None}), NOW)


def test_whatever_passes_survives_the_wire() -> None:
    """RawPost must not accept what Envelope refuses: such a post would be published only to become a dead letter."""
    extreme = raw(
        title="\U0001f600" * 600, selftext="\ud800" * 80_000, score=-(2**31), num_comments=2**31 - 1, id="z" * 13
    )
    post = post_of(extreme, NOW)
    envelope = Envelope(
        entity_type="reddit_submission",
        source="reddit",
        mode="new",
        emitted_at=NOW,
        payload=post,
        metadata=Metadata(subreddit=post.subreddit, observed_at=NOW),
    )
    assert decode_envelope(encode(envelope)).payload == post
