"""Reads time, rate limit and posts of an HTTP answer of Reddit. Pure: headers and parsed JSON in, values out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from signalflow.domain.budget import LONGEST_WAIT, RateLimit
from signalflow.domain.http_headers import http_date, number, retry_after
from signalflow.errors import Invalid
from signalflow.reddit.protocol import CommentPage, Page, Rejection, SubredditPage, Unavailable
from signalflow.reddit.shapes import comment_of, post_of, safe_id, subreddit_of

# The Date header has whole seconds, and an answer takes part of a second. A larger difference means that the local
# clock is wrong.
CLOCK_TOLERANCE = timedelta(seconds=2)
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers (case-insensitive) of an HTTP answer, and when its headers arrived by the local clock."""

    status: int
    headers: Mapping[str, str]
    arrived: datetime

    @property
    def observed_at(self) -> datetime:
        """When the answer arrived, by the local clock; its Date header instead if the two differ by more than 2 s."""
        date = http_date(self.headers.get("Date"))
        if date is None or abs(date - self.arrived) <= CLOCK_TOLERANCE:
            return self.arrived
        return date

    @property
    def rate_limit(self) -> RateLimit:
        """The x-ratelimit headers. A header that is absent, or not a finite number >= 0, is unknown."""
        return RateLimit(*(number(self.headers.get(f"x-ratelimit-{name}")) for name in ("used", "remaining", "reset")))

    @property
    def retry_after(self) -> float | None:
        """Seconds of Retry-After, at most LONGEST_WAIT; None when it is absent or cannot be read.

        The header holds a number or an HTTP date.
        """
        seconds = retry_after(self.headers.get("Retry-After"), self.observed_at)
        return None if seconds is None else min(seconds, LONGEST_WAIT)


class _ListingData(Struct):
    # No default: an answer that lacks `after` must not look like the end of a listing.
    after: str | None
    children: list[Any]


class _Listing(Struct, tag_field="kind", tag="Listing"):
    data: _ListingData


def page_of(payload: object, answer: Answer) -> Page:
    """The page in a listing. Advertisements and items that do not validate are left out.

    Raises Unavailable when the payload is not a listing.
    """
    listing, observed_at = _listing(payload, answer), answer.observed_at
    posts, rejections = _items(listing, "t3", "not a post", lambda data: post_of(data, observed_at))
    return Page(tuple(posts), listing.after, observed_at, answer.rate_limit, tuple(rejections))


def comment_page_of(payload: object, answer: Answer) -> CommentPage:
    """The page in a listing of comments. Items that do not validate are left out. Raises like `page_of`."""
    listing, observed_at = _listing(payload, answer), answer.observed_at
    comments, rejections = _items(listing, "t1", "not a comment", lambda data: comment_of(data, observed_at))
    return CommentPage(tuple(comments), listing.after, observed_at, answer.rate_limit, tuple(rejections))


def subreddit_page_of(payload: object, answer: Answer) -> SubredditPage:
    """The page in a listing of subreddits. Items that do not validate are left out. Raises like `page_of`."""
    listing = _listing(payload, answer)
    subreddits, rejections = _items(listing, "t5", "not a subreddit", subreddit_of)
    return SubredditPage(tuple(subreddits), listing.after, answer.observed_at, answer.rate_limit, tuple(rejections))


def children_of(payload: object, answer: Answer) -> list[Any]:
    """The items of a listing, as they are. Raises Unavailable when the payload is not a listing."""
    return _listing(payload, answer).children


def _listing(payload: object, answer: Answer) -> _ListingData:
    try:
        return msgspec.convert(payload, _Listing).data
    except msgspec.ValidationError as error:
        raise Unavailable(f"the answer is not a listing: {error}", "unusable_answer", answer.rate_limit) from error


def _items(
    listing: _ListingData, kind: str, other: str, read: Callable[[dict[str, object]], ItemT]
) -> tuple[list[ItemT], list[Rejection]]:
    """What `read` makes of the data of the items of this kind, and the items that are left out."""
    items: list[ItemT] = []
    rejections: list[Rejection] = []
    for child in listing.children:
        data = child.get("data") if isinstance(child, dict) else None
        try:
            if not isinstance(data, dict) or child.get("kind") != kind:
                raise Invalid(other, field="kind")
            if data.get("promoted") is True:
                raise Invalid("an advertisement", field="promoted")
            items.append(read(data))
        except Invalid as error:
            rejections.append(Rejection(safe_id(data) or hash(repr(child)), error.field or "item", str(error)))
    return items, rejections
