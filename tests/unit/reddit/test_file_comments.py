"""Comments as archives, exports and saved pages write them: each is read as the API would have sent it."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from signalflow.errors import Invalid
from signalflow.events import Comment
from signalflow.reddit.file_items import items_of
from signalflow.reddit.file_records import record_of
from signalflow.reddit.protocol import FoundComment

OBSERVED = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)  # date -ud @1704067201
NAN = float("nan")


def item(**changes: Any) -> dict[str, Any]:
    """A line of an archive of comments."""
    return {
        "id": "kfx0001", "link_id": "t3_abc123", "parent_id": "t1_kfx0000", "subreddit": "harborcats",
        "author": "mira", "body": "Nice &amp; warm", "created_utc": 1704067201, "score": 7, "controversiality": 0,
        "is_submitter": True, "stickied": False, "distinguished": None, "edited": False,
        "permalink": "/r/harborcats/comments/abc123/x/kfx0001/", "retrieved_on": 1704153601,
    } | changes  # fmt: skip


def read(**changes: Any) -> FoundComment:
    found = record_of(item(**changes), OBSERVED)
    assert isinstance(found, FoundComment)
    return found


def test_every_field_of_an_archive_arrives() -> None:
    assert read() == FoundComment(
        "harborcats",
        Comment(
            id="kfx0001",
            post_id="abc123",
            parent_id="t1_kfx0000",
            author="mira",
            body="Nice & warm",
            created_utc=CREATED,
            score=7,
            controversiality=0,
            permalink="/r/harborcats/comments/abc123/_/kfx0001/",
            is_submitter=True,
            stickied=False,
        ),
    )


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"created_utc": "1704067201"}, "created_utc", CREATED),
        ({"created_utc": 1704067201.0}, "created_utc", CREATED),
        ({"id": "t1_kfx0001"}, "id", "kfx0001"),
        ({"id": 17, "name": "t1_kfx0001"}, "id", "kfx0001"),
        ({"link_id": "abc123"}, "post_id", "abc123"),
        ({"parent_id": "t3_abc123"}, "parent_id", "t3_abc123"),
        ({"parent_id": "abc123"}, "parent_id", "t3_abc123"),
        ({"parent_id": 42_000_000_000}, "parent_id", None),
        ({"parent_id": None}, "parent_id", None),
        ({"score": None}, "score", None),
        ({"score": NAN}, "score", None),
        ({"score": "12"}, "score", 12),
        ({"score_hidden": True}, "score", None),
        ({"edited": True}, "edited_at", None),
        ({"edited": 1704067201.0}, "edited_at", CREATED),
        ({"author": "[deleted]"}, "author", None),
        ({"author": None}, "author", None),
        ({"body": "[deleted]"}, "body", None),
        ({"body": "[removed]"}, "removed_by", "moderator"),
        ({"is_submitter": None}, "is_submitter", None),
        ({"is_submitter": "perhaps"}, "is_submitter", None),
        ({"stickied": "false"}, "stickied", False),
        ({"controversiality": "1"}, "controversiality", 1),
        ({"controversiality": "much"}, "controversiality", None),
        ({"depth": -1}, "depth", None),
    ],
)
def test_values_of_other_types_are_read_and_what_is_missing_is_unknown(
    changes: dict[str, object], field: str, expected: object
) -> None:
    assert getattr(read(**changes).comment, field) == expected


def test_an_archive_from_before_the_flags_has_them_unknown() -> None:
    old = {name: value for name, value in item().items() if name not in ("is_submitter", "stickied", "permalink")}
    found = record_of(old, OBSERVED)
    assert isinstance(found, FoundComment)
    assert (found.comment.is_submitter, found.comment.stickied, found.comment.permalink) == (None, None, None)


def test_the_subreddit_keeps_its_case_and_loses_its_prefix() -> None:
    assert read(subreddit="r/HarborCats").subreddit == "HarborCats"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": None}, "id"),
        ({"id": "KFX"}, "id"),
        ({"link_id": None}, "link_id"),
        ({"link_id": "t3_ABC"}, "link_id"),
        ({"subreddit": None}, "subreddit"),
        ({"body": None}, "body"),
        ({"created_utc": None}, "created_utc"),
        ({"created_utc": "soon"}, "created_utc"),
        ({"created_utc": 1893456000}, "created_utc"),
        ({"score": "many"}, "score"),
    ],
)
def test_what_a_comment_is_nothing_without_rejects_it_and_is_named(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        record_of(item(**changes), OBSERVED)
    assert refused.value.field == field


def listing(*children: object) -> dict[str, Any]:
    return {"kind": "Listing", "data": {"children": list(children)}}


def wrapped(data: object) -> dict[str, Any]:
    return {"kind": "t1", "data": data}


def test_replies_are_items_of_their_own_however_deep_they_are() -> None:
    comment = item(id="c200")
    for number in reversed(range(200)):
        comment = item(id=f"c{number}", replies=listing(wrapped(comment)))
    found = [record_of(each, OBSERVED) for each in items_of([listing(), listing(wrapped(comment))])]
    assert [each.comment.id for each in found if isinstance(each, FoundComment)] == [f"c{n}" for n in range(201)]


def test_a_comment_without_its_time_is_rejected_and_its_replies_are_not() -> None:
    broken = item(id="c1", created_utc=None, replies=listing(wrapped(item(id="c2"))))
    first, second = items_of(listing(wrapped(broken)))
    with pytest.raises(Invalid):
        record_of(first, OBSERVED)
    assert isinstance(record_of(second, OBSERVED), FoundComment)


def test_a_saved_page_of_reddit_gives_its_post_and_its_comments(shared_data: Path) -> None:
    page = json.loads(gzip.decompress((shared_data / "recorded" / "comments.json.gz").read_bytes()))["body"]
    ids = _t1_ids(page)
    found = [record_of(each, OBSERVED) for each in items_of(page)]
    comments = [each.comment for each in found if isinstance(each, FoundComment)]
    assert len(found) == len(comments) + 1
    assert sorted(comment.id for comment in comments) == sorted(ids)
    assert {comment.post_id for comment in comments} == {"2gmzqe"}


def _t1_ids(value: object) -> list[str]:
    """The ids of all comments in a page, found by their fullnames alone."""
    if isinstance(value, list):
        return [found for each in value for found in _t1_ids(each)]
    if not isinstance(value, dict):
        return []
    name = value.get("name")
    own = [name[3:]] if isinstance(name, str) and name.startswith("t1_") else []
    return own + [found for each in value.values() for found in _t1_ids(each)]
