"""What a record of reddit.comments.raw must hold, and what it need not."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from signalflow.errors import Invalid
from signalflow.events import Comment, CommentEnvelope, Metadata, decode_comment, decode_envelope, encode

CREATED = datetime(2026, 1, 1, 11, 59, tzinfo=UTC)
SEEN = datetime(2026, 1, 1, 12, tzinfo=UTC)
NEEDED = {"id": "c1", "post_id": "abc", "author": "someone", "body": "Nice", "created_utc": CREATED.isoformat(),
          "score": 3}  # fmt: skip
OPTIONAL: dict[str, Any] = {
    "parent_id": "t1_c0",
    "depth": 1,
    "controversiality": 1,
    "permalink": "/r/python/comments/abc/_/c1/",
    "is_submitter": True,
    "distinguished": "moderator",
    "stickied": True,
    "edited_at": SEEN.isoformat(),
    "removed_by": "moderator",
}


def record(**payload: Any) -> bytes:
    """The value of a record with this payload; a field whose value is ... is left out."""
    return json.dumps(
        {
            "schema_version": 1,
            "entity_type": "reddit_comment",
            "source": "reddit",
            "mode": "new",
            "emitted_at": SEEN.isoformat(),
            "payload": {name: value for name, value in (NEEDED | payload).items() if value is not ...},
            "metadata": {"subreddit": "Python", "observed_at": SEEN.isoformat()},
        }
    ).encode()


def test_a_comment_with_all_fields_is_read_as_it_was_written() -> None:
    comment = decode_comment(record(**OPTIONAL | {"removed_by": None})).payload
    assert (comment.id, comment.post_id, comment.author, comment.body, comment.score) == (
        "c1", "abc", "someone", "Nice", 3,
    )  # fmt: skip
    assert (comment.created_utc, comment.edited_at, comment.removed_by) == (CREATED, SEEN, None)
    for name in OPTIONAL.keys() - {"edited_at", "removed_by"}:
        assert getattr(comment, name) == OPTIONAL[name]


def test_a_comment_that_was_taken_away_has_neither_author_nor_text_whatever_the_record_says() -> None:
    comment = decode_comment(record(**OPTIONAL)).payload
    assert (comment.author, comment.body, comment.removed_by, comment.score) == (None, None, "moderator", 3)


def test_words_of_the_posts_title_are_left_out_of_the_permalink() -> None:
    told = decode_comment(record(permalink="/r/python/comments/abc/a_secret_title/c1/")).payload
    assert told.permalink == "/r/python/comments/abc/_/c1/"


def test_what_is_not_told_is_unknown_and_never_zero() -> None:
    comment = decode_comment(record(score=None, author=None, body=None)).payload
    assert (comment.score, comment.author, comment.body) == (None, None, None)
    assert {getattr(comment, name) for name in OPTIONAL} == {None}


@pytest.mark.parametrize(
    "changes",
    [
        *({name: ...} for name in NEEDED),
        {"id": "C1"},
        {"id": "t1_c1"},
        {"post_id": "t3_abc"},
        {"post_id": None},
        {"parent_id": "c0"},
        {"parent_id": "t5_abc"},
        {"parent_id": "t1_"},
        {"depth": -1},
        {"score": 2**31},
        {"score": -(2**31) - 1},
        {"score": 1.5},
        {"controversiality": -1},
        {"is_submitter": 0},
        {"created_utc": "2026-01-01T12:00:00"},
        {"body": "x" * 80_001},
        {"author": "x" * 4_097},
        {"body": "half \ud83d"},
    ],
)
def test_a_malformed_comment_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        decode_comment(record(**changes))


@pytest.mark.parametrize(
    "changes",
    [{"score": 2**31 - 1}, {"score": -(2**31)}, {"depth": 0}, {"body": "x" * 80_000}, {"parent_id": "t3_abc"}],
)
def test_the_bounds_themselves_are_valid(changes: dict[str, Any]) -> None:
    ((name, value),) = changes.items()
    assert getattr(decode_comment(record(**changes)).payload, name) == value


def test_a_nul_in_a_text_becomes_a_character_that_the_database_holds() -> None:
    assert decode_comment(record(body="a\x00b")).payload.body == "a\ufffdb"


def test_neither_reader_takes_the_record_of_the_other() -> None:
    with pytest.raises(Invalid):
        decode_envelope(record())
    with pytest.raises(Invalid):
        decode_comment(record().replace(b"reddit_comment", b"reddit_submission"))


def test_an_envelope_is_read_back_and_its_headers_name_its_kind_and_subreddit() -> None:
    envelope = CommentEnvelope(
        entity_type="reddit_comment",
        source="reddit",
        mode="new",
        emitted_at=SEEN,
        payload=Comment(id="c1", post_id="abc", author=None, body=None, created_utc=CREATED, score=None),
        metadata=Metadata(subreddit="Python", observed_at=SEEN),
    )
    assert decode_comment(encode(envelope)) == envelope
    assert dict(envelope.headers()) == {
        "entity_type": b"reddit_comment",
        "mode": b"new",
        "schema_version": b"1",
        "subreddit": b"python",
    }
