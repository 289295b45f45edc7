"""Reads time, rate limit and posts of an HTTP answer of Reddit. Pure: headers and parsed JSON in, values out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct

from signalflow.domain.budget import LONGEST_WAIT, RateLimit
from signalflow.errors import Invalid
from signalflow.events import Post
from signalflow.reddit.protocol import Page, Rejection, Unavailable
from signalflow.reddit.shapes import post_of, safe_id

# The Date header has whole seconds, and an answer takes part of a second. A larger difference means that the local
# clock is wrong.
CLOCK_TOLERANCE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers (case-insensitive) of an HTTP answer, and when its headers arrived by the local clock."""

    status: int
    headers: Mapping[str, str]
    arrived: datetime

    @property
    def observed_at(self) -> datetime:
        """When the answer arrived, by the local clock; its Date header instead if the two differ by more than 2 s."""
        date = _http_date(self.headers.get("Date"))
        if date is None or abs(date - self.arrived) <= CLOCK_TOLERANCE:
            return self.arrived
        return date

    @property
    def rate_limit(self) -> RateLimit:
        """The x-ratelimit headers. A header that is absent, or not a finite number >= 0, is unknown."""
        return RateLimit(*(_number(self.headers.get(f"x-ratelimit-{name}")) for name in ("used", "remaining", "reset")))

    @property
    def retry_after(self) -> float | None:
        """Seconds of Retry-After, at most LONGEST_WAIT; None when it is absent or cannot be read.

        The header holds a number or an HTTP date.
        """
        text = self.headers.get("Retry-After")
        seconds = _number(text)
        if seconds is None and (date := _http_date(text)) is not None:
            seconds = max((date - self.observed_at).total_seconds(), 0.0)
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
    try:
        listing = msgspec.convert(payload, _Listing).data
    except msgspec.ValidationError as error:
        raise Unavailable(f"the answer is not a listing: {error}", "unusable_answer", answer.rate_limit) from error
    observed_at = answer.observed_at
    posts: list[Post] = []
    rejections: list[Rejection] = []
    for child in listing.children:
        data = child.get("data") if isinstance(child, dict) else None
        try:
            if not isinstance(data, dict) or child.get("kind") != "t3":
                raise Invalid("not a post", field="kind")
            if data.get("promoted") is True:
                raise Invalid("an advertisement", field="promoted")
            posts.append(post_of(data, observed_at))
        except Invalid as error:
            rejections.append(Rejection(safe_id(data) or hash(repr(child)), error.field or "item", str(error)))
    return Page(
        posts=tuple(posts),
        after=listing.after,
        observed_at=observed_at,
        rate_limit=answer.rate_limit,
        rejections=tuple(rejections),
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _http_date(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
