"""Makes posts and comments of the entries of a feed. What a feed does not tell is None, never 0."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from signalflow.errors import Invalid
from signalflow.events import Body, Count, Int32, ParentName, Post
from signalflow.reddit.answers import Answer
from signalflow.reddit.feeds.content import content_of
from signalflow.reddit.feeds.entries import Entry, Feed, feed_of
from signalflow.reddit.protocol import CommentPage, FoundComment, Page, Rejection, Unavailable
from signalflow.reddit.shapes import RawComment, RawPost, comment_of, post_of, safe_id

_FULLNAME = re.compile(r"t[13]_[0-9a-z]{1,13}")
_REDDIT = re.compile(r"https?://(?:[a-z]+\.)?reddit\.com(?=/)")
_POST = re.compile(r"/comments/([0-9a-z]{1,13})/")
ItemT = TypeVar("ItemT")


class FeedPost(RawPost, kw_only=True):
    """A post of a feed, which has no numbers."""

    score: Int32 | None = None  # type: ignore[assignment]
    num_comments: Count | None = None  # type: ignore[assignment]
    over_18: bool | None = None  # type: ignore[assignment]
    is_self: bool | None = None  # type: ignore[assignment]


class FeedComment(RawComment, kw_only=True):
    """A comment of a feed, which tells neither its score nor its place in the discussion."""

    parent_id: ParentName | None = None  # type: ignore[assignment]
    body: Body | None = None  # type: ignore[assignment]
    score: Int32 | None = None  # type: ignore[assignment]
    score_hidden: bool = False
    is_submitter: bool | None = None  # type: ignore[assignment]
    stickied: bool | None = None  # type: ignore[assignment]


def page_of_feed(body: bytes, answer: Answer, limit: int) -> Page:
    """The posts of a feed that was asked for `limit` entries. Entries that do not validate are left out.

    A feed that names no next page may have one if it is full: it begins after the last entry, and may be empty.
    Raises Unavailable when the body is no feed.
    """
    feed, observed_at = _feed(body, answer), answer.observed_at
    posts, rejections = _items(feed.entries, "t3", lambda entry: post_of_entry(entry, observed_at))
    return Page(tuple(posts), _after(feed, limit), observed_at, answer.rate_limit, tuple(rejections))


def comment_page_of_feed(body: bytes, answer: Answer, limit: int) -> CommentPage:
    """The comments of a feed. Otherwise as `page_of_feed`."""
    feed, observed_at = _feed(body, answer), answer.observed_at
    comments, rejections = _items(feed.entries, "t1", lambda entry: comment_of_entry(entry, observed_at))
    return CommentPage(tuple(comments), _after(feed, limit), observed_at, answer.rate_limit, tuple(rejections))


def discussion_of_feed(body: bytes, answer: Answer, limit: int) -> CommentPage:
    """At most `limit` comments of the feed of one post, whose entry is among them. Otherwise as `page_of_feed`."""
    feed, observed_at = _feed(body, answer), answer.observed_at
    entries = [entry for entry in feed.entries if not (entry.id or "").startswith("t3_")]
    comments, rejections = _items(entries[:limit], "t1", lambda entry: comment_of_entry(entry, observed_at))
    return CommentPage(tuple(comments), None, observed_at, answer.rate_limit, tuple(rejections))


def _feed(body: bytes, answer: Answer) -> Feed:
    try:
        return feed_of(body)
    except Invalid as error:
        raise Unavailable(str(error), "unusable_answer", answer.rate_limit) from error


def _items(entries: Iterable[Entry], kind: str, read: Callable[[Entry], ItemT]) -> tuple[list[ItemT], list[Rejection]]:
    """What `read` makes of the entries, and those that it refuses. `kind`: the type that their ids begin with."""
    items: list[ItemT] = []
    rejections: list[Rejection] = []
    for entry in entries:
        try:
            items.append(read(entry))
        except Invalid as error:
            id_ = safe_id({"id": (entry.id or "").removeprefix(f"{kind}_")})
            rejections.append(Rejection(id_ or hash(entry), error.field or "item", str(error)))
    return items, rejections


def post_of_entry(entry: Entry, observed_at: datetime) -> Post:
    """The post in an entry. Raises Invalid, which names the field at fault but never its text."""
    if entry.id is None or not entry.id.startswith("t3_"):
        raise Invalid("not a post", field="kind")
    content = content_of(entry.content or "")
    permalink = _permalink(entry.link)
    fields: dict[str, object] = {
        "id": entry.id.removeprefix("t3_"),
        "subreddit": entry.subreddit,
        "title": entry.title,
        "created_utc": _seconds(entry.published or entry.updated),
        "author": _author(entry),
        "url": content.link,
        "permalink": permalink,
        "is_self": _is_self(content.link, permalink),
        "selftext": content.text,
    }
    return post_of({name: value for name, value in fields.items() if value is not None}, observed_at, FeedPost)


def comment_of_entry(entry: Entry, observed_at: datetime) -> FoundComment:
    """The comment in an entry, whose link names its post. Raises Invalid as `post_of_entry` does."""
    if entry.id is None or not entry.id.startswith("t1_"):
        raise Invalid("not a comment", field="kind")
    permalink = _permalink(entry.link)
    post = _POST.search(permalink or "")
    fields: dict[str, object] = {
        "id": entry.id.removeprefix("t1_"),
        "link_id": None if post is None else f"t3_{post[1]}",
        "subreddit": entry.subreddit,
        "created_utc": _seconds(entry.published or entry.updated),
        "author": _author(entry),
        "permalink": permalink,
        "body": content_of(entry.content or "").text,
    }
    return comment_of({name: value for name, value in fields.items() if value is not None}, observed_at, FeedComment)


def _author(entry: Entry) -> str | None:
    return None if entry.author is None else entry.author.removeprefix("/u/")


def _is_self(link: str | None, permalink: str | None) -> bool | None:
    """A text post links to itself."""
    return None if link is None or permalink is None else _permalink(link) == permalink


def _permalink(address: str | None) -> str | None:
    """The path of an address of Reddit's; None for other addresses."""
    match = _REDDIT.match(address or "")
    return None if address is None or match is None else address[match.end() :]


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid("not an ISO time", field="created_utc") from error
    if time.tzinfo is None:
        raise Invalid("a time without an offset", field="created_utc")
    return time.timestamp()


def _after(feed: Feed, limit: int) -> str | None:
    if feed.following is not None:
        named = parse_qs(urlsplit(feed.following).query).get("after", [""])[0]
        if _FULLNAME.fullmatch(named):
            return named
    last = feed.entries[-1].id if len(feed.entries) >= limit else None
    return last if last is not None and _FULLNAME.fullmatch(last) else None
