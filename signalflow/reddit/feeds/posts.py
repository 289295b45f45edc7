"""Makes posts of the entries of a feed. What a feed does not tell is None, never 0."""

import re
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from signalflow.errors import Invalid
from signalflow.events import Count, Int32, Post
from signalflow.reddit.answers import Answer
from signalflow.reddit.feeds.content import content_of
from signalflow.reddit.feeds.entries import Entry, feed_of
from signalflow.reddit.protocol import Page, Rejection, Unavailable
from signalflow.reddit.shapes import RawPost, post_of, safe_id

_FULLNAME = re.compile(r"t[13]_[0-9a-z]{1,13}")
_REDDIT = re.compile(r"https?://(?:[a-z]+\.)?reddit\.com(?=/)")


class FeedPost(RawPost, kw_only=True):
    """A post of a feed, which has no numbers."""

    score: Int32 | None = None  # type: ignore[assignment]
    num_comments: Count | None = None  # type: ignore[assignment]
    over_18: bool | None = None  # type: ignore[assignment]
    is_self: bool | None = None  # type: ignore[assignment]


def page_of_feed(body: bytes, answer: Answer, limit: int) -> Page:
    """The posts of a feed that was asked for `limit` entries. Entries that do not validate are left out.

    A feed that names no next page may have one if it is full: it begins after the last entry, and may be empty.
    Raises Unavailable when the body is no feed.
    """
    try:
        feed = feed_of(body)
    except Invalid as error:
        raise Unavailable(str(error), "unusable_answer", answer.rate_limit) from error
    observed_at = answer.observed_at
    posts: list[Post] = []
    rejections: list[Rejection] = []
    for entry in feed.entries:
        try:
            posts.append(post_of_entry(entry, observed_at))
        except Invalid as error:
            id_ = safe_id({"id": (entry.id or "").removeprefix("t3_")})
            rejections.append(Rejection(id_ or hash(entry), error.field or "item", str(error)))
    return Page(
        posts=tuple(posts),
        after=_after(feed.following, feed.entries, limit),
        observed_at=observed_at,
        rate_limit=answer.rate_limit,
        rejections=tuple(rejections),
    )


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
        "author": None if entry.author is None else entry.author.removeprefix("/u/"),
        "url": content.link,
        "permalink": permalink,
        "is_self": _is_self(content.link, permalink),
        "selftext": content.text,
    }
    return post_of({name: value for name, value in fields.items() if value is not None}, observed_at, FeedPost)


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


def _after(following: str | None, entries: tuple[Entry, ...], limit: int) -> str | None:
    if following is not None:
        named = parse_qs(urlsplit(following).query).get("after", [""])[0]
        if _FULLNAME.fullmatch(named):
            return named
    last = entries[-1].id if len(entries) >= limit else None
    return last if last is not None and _FULLNAME.fullmatch(last) else None
