"""From Reddit's JSON and feeds to Comment."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any

import pytest

from signalflow.errors import Invalid
from signalflow.events import Comment, CommentEnvelope, Metadata, decode_comment, encode
from signalflow.reddit.answers import Answer, comment_page_of
from signalflow.reddit.feeds.posts import comment_page_of_feed
from signalflow.reddit.protocol import CommentPage, Unavailable
from signalflow.reddit.shapes import comment_of

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def raw(**changes: Any) -> dict[str, Any]:
    """A t1 as Reddit sends it in a listing, with few of the fields that nobody needs."""
    return {
        "id": "c1",
        "name": "t1_c1",
        "link_id": "t3_abc123",
        "parent_id": "t1_c0",
        "subreddit": "python",
        "author": "someone",
        "body": "Nice *post*",
        "created_utc": 1767268740.0,
        "score": 7,
        "score_hidden": False,
        "controversiality": 1,
        "is_submitter": True,
        "stickied": False,
        "distinguished": "moderator",
        "edited": False,
        "permalink": "/r/python/comments/abc123/_/c1/",
        "replies": "",
    } | changes


def comment(**changes: Any) -> Comment:
    return comment_of(raw(**changes), NOW).comment


def test_every_field_arrives_under_its_name() -> None:
    found = comment_of(raw(edited=1767268750.0, depth=2), NOW)
    assert found.subreddit == "python"
    assert found.comment == Comment(
        id="c1",
        post_id="abc123",
        parent_id="t1_c0",
        depth=2,
        author="someone",
        body="Nice *post*",
        created_utc=datetime(2026, 1, 1, 11, 59, tzinfo=UTC),
        score=7,
        controversiality=1,
        permalink="/r/python/comments/abc123/_/c1/",
        is_submitter=True,
        distinguished="moderator",
        stickied=False,
        edited_at=datetime(2026, 1, 1, 11, 59, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"permalink": "/r/python/comments/abc123/a_title/c1/"}, "permalink", "/r/python/comments/abc123/_/c1/"),
        ({"permalink": ""}, "permalink", None),
        ({"score_hidden": True}, "score", None),
        ({"score": 7.0}, "score", 7),
        ({"score": -4}, "score", -4),
        ({"edited": True}, "edited_at", None),
        ({"author": "[deleted]"}, "author", None),
        ({"distinguished": None}, "distinguished", None),
        ({"parent_id": "t3_abc123"}, "parent_id", "t3_abc123"),
        ({"depth": "deep"}, "depth", None),
        ({"controversiality": None}, "controversiality", None),
        ({"permalink": 7}, "permalink", None),
        ({"body": "nul\x00 and \ud83d half"}, "body", "nul\ufffd and \ufffd half"),
        ({"body": "they [deleted] it"}, "body", "they [deleted] it"),
        ({"body": "they [deleted] it"}, "removed_by", None),
    ],
)
def test_odd_but_legal_values_are_understood(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(comment(**changes), field) == expected


@pytest.mark.parametrize(
    ("body", "removed_by"),
    [("[deleted]", "deleted"), ("[removed]", "moderator"), ("[ Removed by Reddit ]", "reddit")],
)
def test_of_a_comment_that_is_gone_no_text_is_left_but_who_took_it_away(body: str, removed_by: str) -> None:
    gone = comment(body=body, author="someone")
    assert (gone.body, gone.author, gone.removed_by) == (None, None, removed_by)
    assert gone.score == 7


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "C1"}, "id"),
        ({"link_id": "abc123"}, "link_id"),
        ({"link_id": None}, "link_id"),
        ({"parent_id": None}, "parent_id"),
        ({"subreddit": "not a name"}, "subreddit"),
        ({"score": None}, "score"),
        ({"score_hidden": None}, "score_hidden"),
        ({"body": None}, "body"),
        ({"created_utc": 0}, "created_utc"),
        ({"created_utc": (NOW + timedelta(seconds=4)).timestamp()}, "created_utc"),
        ({"is_submitter": None}, "is_submitter"),
    ],
)
def test_a_malformed_field_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        comment(**changes)
    assert refused.value.field == field


def listed(*children: Any) -> CommentPage:
    payload = {"kind": "Listing", "data": {"after": "t1_c1", "children": list(children)}}
    return comment_page_of(payload, Answer(200, {}, NOW))


def test_items_of_a_listing_that_are_no_valid_comments_are_left_out_with_a_reason() -> None:
    page = listed(
        {"kind": "t1", "data": raw()},
        {"kind": "t3", "data": raw(id="p1")},
        {"kind": "t1", "data": raw(id="c2", score=None)},
        {"kind": "more", "data": {"children": []}},
        7,
    )
    assert [found.comment.id for found in page.comments] == ["c1"]
    assert page.after == "t1_c1"
    assert [(each.key, each.reason) for each in page.rejections[:2]] == [("p1", "kind"), ("c2", "score")]
    assert [each.reason for each in page.rejections[2:]] == ["kind", "kind"]


def test_an_answer_that_is_no_listing_has_no_comments() -> None:
    with pytest.raises(Unavailable):
        comment_page_of({"kind": "Listing", "data": {"children": []}}, Answer(200, {}, NOW))


def test_real_comments_are_read_and_published(shared_data: Path) -> None:
    with gzip.open(shared_data / "recorded" / "comments.json.gz", "rt") as file:
        body = json.load(file)["body"]
    children = (json.loads(body) if isinstance(body, str) else body)[1]["data"]["children"]
    page = listed(*children)
    assert page.rejections == ()
    for found in page.comments:
        envelope = CommentEnvelope(
            entity_type="reddit_comment", source="reddit", mode="new", emitted_at=NOW, payload=found.comment,
            metadata=Metadata(subreddit=found.subreddit, observed_at=NOW),
        )  # fmt: skip
        assert decode_comment(encode(envelope)) == envelope
    first, data = page.comments[0].comment, children[0]["data"]
    assert (first.body, first.author, first.score) == (data["body"], data["author"], data["score"])
    assert (first.parent_id, first.depth) == (data["parent_id"], data["depth"])


ENTRY = """<entry><author><name>/u/someone</name></author><category term="python" label="r/python"/>
<content type="html">{content}</content><id>{id}</id><link href="{link}"/>
<updated>2026-01-01T11:59:00+00:00</updated><title>/u/someone on a post</title></entry>"""
LINK = "https://www.reddit.com/r/python/comments/abc123/title/c1/"


def fed(id_: str = "t1_c1", link: str = LINK, text: str = "<p>Nice post</p>") -> CommentPage:
    content = escape(f'<!-- SC_OFF --><div class="md">{text}</div><!-- SC_ON -->')
    entry = ENTRY.format(id=id_, link=link, content=content)
    body = f'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">{entry}</feed>'
    return comment_page_of_feed(body.encode(), Answer(200, {}, NOW), 100)


def test_the_entry_of_a_feed_tells_its_post_by_its_link_and_no_number() -> None:
    (found,) = fed().comments
    assert found.subreddit == "python"
    assert found.comment == Comment(
        id="c1",
        post_id="abc123",
        author="someone",
        body="Nice post",
        created_utc=datetime(2026, 1, 1, 11, 59, tzinfo=UTC),
        score=None,
        permalink="/r/python/comments/abc123/_/c1/",
    )


def test_of_a_comment_that_a_feed_shows_as_removed_no_text_is_left() -> None:
    (found,) = fed(text="<p>[removed]</p>").comments
    assert (found.comment.body, found.comment.removed_by) == (None, "moderator")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id_": "t3_c1"}, "kind"),
        ({"link": "https://www.reddit.com/r/python/"}, "link_id"),
        ({"link": "https://example.org/comments/abc123/title/c1/"}, "link_id"),
    ],
)
def test_an_entry_that_is_no_comment_or_names_no_post_is_left_out(changes: dict[str, str], reason: str) -> None:
    page = fed(**changes)
    assert page.comments == ()
    assert [each.reason for each in page.rejections] == [reason]
