"""Posts as archives, exports and data frames write them: each is read as the API would have sent it."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from signalflow.errors import Invalid
from signalflow.events import Post
from signalflow.reddit.file_items import items_of
from signalflow.reddit.file_records import record_of

OBSERVED = datetime(2026, 1, 1, tzinfo=UTC)
NAN = float("nan")
CREATED = datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)  # date -ud @1704067201


def item(**changes: Any) -> dict[str, Any]:
    return {
        "id": "abc123", "subreddit": "harborcats", "title": "A title", "created_utc": 1704067201, "score": 7,
        "num_comments": 2, "over_18": False, "is_self": True, "author": "mira", "upvote_ratio": 0.9,
        "url": "https://example.org/", "permalink": "/r/harborcats/comments/abc123/x/", "edited": False,
    } | changes  # fmt: skip


def read(**changes: Any) -> Post:
    return record_of(item(**changes), OBSERVED)


@pytest.mark.parametrize(
    "created",
    [
        "1704067201", "1704067201.0", 1704067201.0, "2024-01-01T00:00:01Z", "2024-01-01 00:00:01", "1.704067201e9",
        "2024-01-01T01:00:01+01:00", "2024-01-01 00:00:01 UTC", 1704067201000, "1704067201000", 1704067201000000,
        1704067201000000000, {"$date": "2024-01-01T00:00:01Z"}, {"$date": {"$numberLong": "1704067201000"}},
        "1,704,067,201", "2024-01-01t00:00:01z", "2024-01-01 00:00:01 GMT", "2024-01-01T00:00:01+00:00[UTC]",
        "Mon, 01 Jan 2024 00:00:01 GMT", "Mon, 1 Jan 2024 01:00:01 +0100", {"$numberDecimal": "1704067201"},
    ],
)  # fmt: skip
def test_a_creation_time_is_read_however_it_is_written(created: object) -> None:
    assert read(created_utc=created).created_utc == CREATED


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"score": "12"}, "score", 12),
        ({"score": 12.0}, "score", 12),
        ({"score": None}, "score", None),
        ({"score": NAN}, "score", None),
        ({"score": ""}, "score", None),
        ({"score": 0}, "score", 0),
        ({"score": "-3.0"}, "score", -3),
        ({"score": "1,234"}, "score", 1234),
        ({"score": "-1,234,567.0"}, "score", -1234567),
        ({"score": "<NA>"}, "score", None),
        ({"score": {"$numberInt": "12"}}, "score", 12),
        ({"num_comments": "12,345"}, "num_comments", 12345),
        ({"num_comments": 3.0}, "num_comments", 3),
        ({"over_18": 1.0}, "over_18", True),
        ({"over_18": "False"}, "over_18", False),
        ({"is_self": 0}, "is_self", False),
        ({"over_18": "t"}, "over_18", True),
        ({"over_18": "F"}, "over_18", False),
        ({"is_self": "yes"}, "is_self", True),
        ({"is_self": "No"}, "is_self", False),
        ({"upvote_ratio": NAN}, "upvote_ratio", None),
        ({"upvote_ratio": "0.87"}, "upvote_ratio", 0.87),
        ({"upvote_ratio": 1.01}, "upvote_ratio", None),
        ({"upvote_ratio": "unknown"}, "upvote_ratio", None),
        ({"upvote_ratio": "0,971"}, "upvote_ratio", None),
        ({"author": NAN}, "author", None),
        ({"author": "[deleted]"}, "author", None),
        ({"author": 12345}, "author", "12345"),
        ({"author": "None"}, "author", None),
        ({"author": "nan"}, "author", None),
        ({"author": "[removed]"}, "author", None),
        ({"author": "nancy"}, "author", "nancy"),
        ({"author": "u/mira"}, "author", "mira"),
        ({"author": "/u/mira"}, "author", "mira"),
        ({"author": "https://www.reddit.com/user/mira/"}, "author", "mira"),
        ({"author": "\\N"}, "author", None),
        ({"author": {"id": "t2_abc", "name": "mira"}}, "author", "mira"),
        ({"author": "Redditor(name='mira')"}, "author", "mira"),
        ({"author": {"id": "abc"}}, "author", None),
        ({"score": "\\N"}, "score", None),
        ({"link_flair_text": NAN}, "flair", None),
        ({"link_flair_text": {"text": "x"}}, "flair", None),
        ({"url": NAN}, "url", None),
        ({"url": "nan"}, "url", None),
        ({"url": "None"}, "url", None),
        ({"removed_by_category": "nan"}, "removed_by", None),
        ({"link_flair_text": "None"}, "flair", "None"),
        ({"selftext": "nan"}, "body", "nan"),
        ({"edited": None}, "edited_at", None),
        ({"edited": NAN}, "edited_at", None),
        ({"edited": 0.0}, "edited_at", None),
        ({"edited": "1704067201"}, "edited_at", CREATED),
        ({"edited": "no time"}, "edited_at", None),
        ({"title": 1984}, "title", "1984"),
        ({"title": "nul\0 byte"}, "title", "nul byte"),
        ({"title": "half \ud83d emoji"}, "title", "half \ufffd emoji"),
        ({"permalink": "https://www.reddit.com/r/x/comments/abc123/x/"}, "permalink", "/r/x/comments/abc123/x/"),
        ({"permalink": "www.reddit.com/r/x/comments/abc123/x/"}, "permalink", "/r/x/comments/abc123/x/"),
        ({"permalink": "r/x/comments/abc123/x/"}, "permalink", "/r/x/comments/abc123/x/"),
        ({"permalink": "user/mira/comments/abc123/x/"}, "permalink", "/user/mira/comments/abc123/x/"),
        ({"permalink": "https://a.example/reddit.com/r/x/"}, "permalink", "https://a.example/reddit.com/r/x/"),
        ({"permalink": "https://notreddit.com/r/x/"}, "permalink", "https://notreddit.com/r/x/"),
    ],
)
def test_values_of_other_types_are_read_and_what_is_missing_is_unknown(
    changes: dict[str, object], field: str, expected: object
) -> None:
    assert getattr(read(**changes), field) == expected


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"score": True}, "score"),
        ({"score": "many"}, "score"),
        ({"score": "1,23"}, "score"),
        ({"score": "1234,567"}, "score"),
        ({"score": 3.5}, "score"),
        ({"score": 1e300}, "score"),
        ({"num_comments": NAN}, "num_comments"),
        ({"num_comments": -1}, "num_comments"),
        ({"over_18": "perhaps"}, "over_18"),
        ({"over_18": NAN}, "over_18"),
        ({"is_self": 2}, "is_self"),
        ({"is_self": "<NA>"}, "is_self"),
        ({"title": NAN}, "title"),
        ({"created_utc": "yesterday"}, "created_utc"),
        ({"created_utc": "01/02/2024 00:00"}, "created_utc"),
        ({"created_utc": "Mon, 99 Jan 2024 00:00:01 GMT"}, "created_utc"),
        ({"subreddit": {"name": "t5_2qh33"}}, "subreddit"),
        ({"created_utc": NAN}, "created_utc"),
        ({"created_utc": float("inf")}, "created_utc"),
        ({"created_utc": 0}, "created_utc"),
        ({"created_utc": 10**400}, "created_utc"),
        ({"created_utc": {"$oid": "1704067201"}}, "created_utc"),
        ({"score": 10**400}, "score"),
        ({"created_utc": "9999-12-31T23:59:59-23:00"}, "created_utc"),
        ({"id": "ABC"}, "id"),
        ({"id": "t1_abc"}, "id"),
        ({"id": None}, "id"),
        ({"subreddit": "two words"}, "subreddit"),
        ({"subreddit": "a.b"}, "subreddit"),
        ({"subreddit": "https://www.reddit.com/"}, "subreddit"),
        ({"subreddit": "https://example.org/r/harborcats"}, "subreddit"),
        ({"subreddit": "r/harborcats/comments"}, "subreddit"),
        ({"subreddit": None}, "subreddit"),
    ],
)
def test_what_is_required_is_never_guessed(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(**changes)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("reddit.com", "reddit.com"), ("t:quietdays", "t:quietdays"), ("u_some-one", "u_some-one"), ("de", "de"),
        ("r/harborcats", "harborcats"), ("/r/HarborCats", "HarborCats"), ("u/some-one", "u_some-one"),
        ("/user/mira", "u_mira"), ("r/reddit.com", "reddit.com"), ("/r/HarborCats/", "HarborCats"),
        ("https://www.reddit.com/r/HarborCats/", "HarborCats"), ("old.reddit.com/r/HarborCats", "HarborCats"),
        ("Subreddit(display_name='HarborCats')", "HarborCats"),
        ("http://reddit.com/user/mira/", "u_mira"), ("https://www.reddit.com/r/reddit.com/", "reddit.com"),
    ],
)  # fmt: skip
def test_every_name_that_reddit_had_is_a_subreddit(written: str, name: str) -> None:
    assert read(subreddit=written).subreddit == name


@pytest.mark.parametrize(
    "written",
    [
        {"subreddit": {"display_name": "HarborCats", "name": "t5_2qh33"}}, {"subreddit": {"name": "HarborCats"}},
        {"subreddit": None, "subreddit_name_prefixed": "r/HarborCats"},
        {"subreddit": {"id": "2qh33"}, "subreddit_name_prefixed": "r/HarborCats"},
    ],
)  # fmt: skip
def test_a_subreddit_is_read_wherever_its_name_is(written: dict[str, object]) -> None:
    assert read(**written).subreddit == "HarborCats"


@pytest.mark.parametrize(
    "written",
    [
        {"id": "t3_abc123"}, {"id": None, "name": "t3_abc123"}, {"id": "abc123"}, {"id": "", "name": "t3_abc123"},
        {"id": " abc123 "}, {"id": 1, "name": "t3_abc123"}, {"id": "abc123", "name": "a name"},
        {"id": "abc123", "name": "t3_NO"},
    ],
)  # fmt: skip
def test_an_id_is_read_with_and_without_its_type(written: dict[str, object]) -> None:
    assert read(**written).id == "abc123"


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        ("Salt &amp; Vinegar &lt;3: Bram&#39;s", "Salt & Vinegar <3: Bram's"),
        ("&amp;lt; stays an entity", "&lt; stays an entity"),
        ("AT&T; and R&D; and &nosuch;", "AT&T; and R&D; and &nosuch;"),
        ("caf&eacute; &#x1F600;", "café \U0001f600"),
        ("a &amp b &copy c", "a &amp b &copy c"),
        ("a NUL &#0; in it", "a NUL \ufffd in it"),
    ],
)
def test_entities_are_unescaped_once(escaped: str, text: str) -> None:
    post = read(title=escaped, selftext=escaped, link_flair_text=escaped)
    assert (post.title, post.body, post.flair) == (text, text, text)


def test_an_address_keeps_its_parameters() -> None:
    assert read(url="https://example.org/?a=1&amp;b=2").url == "https://example.org/?a=1&b=2"
    assert read(url="https://example.org/?a=1&copy=2&lt=3").url == "https://example.org/?a=1&copy=2&lt=3"


def listing(*children: object) -> dict[str, object]:
    return {"kind": "Listing", "data": {"after": None, "children": list(children)}}


WRAPPED = {"kind": "t3", "data": item()}


@pytest.mark.parametrize(
    "value",
    [
        item(), WRAPPED, [WRAPPED], listing(WRAPPED), [listing(WRAPPED), listing()], {"data": [item()]},
        {"data": WRAPPED["data"]}, {"data": {"children": [WRAPPED]}}, {"data": [item()], "error": None},
        {"posts": [item()]}, {"results": [item()], "meta": {"total": 1}}, {"submissions": [WRAPPED], "errors": []},
        {"_index": "posts", "_id": "1", "_source": item()}, {"hits": {"total": 1, "hits": [{"_source": item()}]}},
        {"abc123": item()}, {"harborcats": [item()], "quietdays": []}, {"post": item(), "topics": ["x"]},
        {"response": {"docs": [item()], "start": 0}}, {"rows": [{"id": "1", "doc": item()}], "total_rows": 1},
        {"subreddit": "harborcats", "fetched": 1704067300, "page": listing(WRAPPED)},
        json.dumps(item()), [json.dumps(WRAPPED)], {"key": "abc123", "value": json.dumps(item())},
        {"params": {"limit": 100}, "found": {"2024-01": {"abc123": item()}}},
    ],
)  # fmt: skip
def test_wrappers_of_the_api_and_of_archives_are_taken_off(value: object) -> None:
    assert [record_of(found, OBSERVED).id for found in items_of(value)] == ["abc123"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"kind": "t5", "data": {"display_name": "x"}}, "a subreddit, neither a post nor a comment"),
        ({"kind": "more", "data": {"children": ["a", "b"]}}, "a list of further comments, neither a post nor"),
        ({"message": "Not Found", "error": 404}, "an error of Reddit, neither a post nor a comment"),
        ({"reason": "private", "message": "Forbidden", "error": 403}, "an error of Reddit, neither a post nor"),
        ("text", "not a JSON object"),
        ("{text}", "not a JSON object"),
        ({"page": {"limit": 100}}, "missing required field"),
        (None, "not a JSON object"),
    ],
)
def test_what_is_neither_post_nor_comment_is_named(value: object, reason: str) -> None:
    (found,) = items_of(value)
    with pytest.raises(Invalid, match=reason):
        record_of(found, OBSERVED)


def test_comments_that_stand_beside_a_post_are_found() -> None:
    comment = {"id": "c1", "link_id": "t3_abc123", "subreddit": "x", "created_utc": 1704067201, "body": "x"}
    post, other = items_of({"submission": item(), "comments": [comment], "more": {"count": 3}, "url": "{"})
    assert record_of(post, OBSERVED).id == "abc123"
    assert record_of(other, OBSERVED).comment.id == "c1"


COLUMNS = list(item())


@pytest.mark.parametrize(
    "frame",
    [
        {name: {"0": item()[name], "1": item(id="abd", score=3)[name]} for name in COLUMNS},
        {name: [item()[name], item(id="abd", score=3)[name]] for name in COLUMNS},
        {"0": item(), "1": item(id="abd", score=3)},
        {"columns": COLUMNS, "index": [0, 1], "data": [list(item().values()), list(item(id="abd", score=3).values())]},
        {"schema": {"fields": []}, "data": [{"index": 0} | item(), {"index": 1} | item(id="abd", score=3)]},
    ],
    ids=["columns", "lists", "index", "split", "table"],
)
def test_each_layout_of_a_data_frame_gives_its_rows(frame: object) -> None:
    posts = [record_of(found, OBSERVED) for found in items_of(frame)]
    assert [(post.id, post.score) for post in posts] == [("abc123", 7), ("abd", 3)]


@pytest.mark.parametrize(
    "frame",
    [
        {"id": {"0": "abc123"}, "title": {"1": "A title"}},
        {"id": ["abc123", "abd"], "title": ["A title"]},
        {"columns": ["id", ["x"]], "data": [["abc123"], 7, ["abd", "A title"]]},
    ],
)
def test_a_data_frame_with_holes_is_rejected_row_by_row(frame: object) -> None:
    for found in items_of(frame):
        with pytest.raises(Invalid):
            record_of(found, OBSERVED)


def test_a_crossposts_parent_is_no_post_of_its_own() -> None:
    (found,) = items_of(item(id="abd", crosspost_parent_list=[item()]))
    assert record_of(found, OBSERVED).id == "abd"


def test_deep_nesting_ends() -> None:
    value: object = item()
    for _ in range(500):
        value = [value]
    (found,) = items_of(value)
    with pytest.raises(Invalid):
        record_of(found, OBSERVED)
