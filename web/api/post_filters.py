"""The filters of posts. They have the same names wherever posts are listed or counted."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import Field, ValidationInfo, field_validator

from signalflow.domain.subreddits import account_name
from signalflow.storage.post_filters import Filters
from web.api.parameters import LANGUAGE, Asked, CreatedWithin, Moment, SubredditName, Text, Window, window_of
from web.problems import InvalidParameter

LONGEST_SPAN = timedelta(days=31)
DEFAULT_WINDOW = "24h"
_INT32 = 2**31


class PostFilters(CreatedWithin):
    """Filters, all of which a post must meet."""

    subreddit: list[SubredditName] = Field(
        [], max_length=50, description="Of one of these subreddits; may be given several times. Case does not matter."
    )
    author: Text | None = Field(None, min_length=1, max_length=64, description="By this author. Case does not matter.")
    q: Asked | None = Field(None, description=f"What title or body has: {LANGUAGE}")
    keyword: Text | None = Field(
        None, min_length=1, max_length=200, description="With exactly this keyword (`nlp.keywords`)."
    )
    min_score: int | None = Field(None, ge=-_INT32, lt=_INT32, description="With at least this score.")
    trending: bool | None = Field(None, description="Only trending posts, or only others.")
    over_18: bool | None = Field(None, description="Only posts for adults, or only others.")
    shown: bool | None = Field(None, description="Only posts that Reddit still shows, or only others.")
    min_sentiment: float | None = Field(None, ge=-1, le=1, description="With at least this sentiment score.")
    max_sentiment: float | None = Field(None, ge=-1, le=1, description="With at most this sentiment score.")

    @field_validator("max_sentiment")
    @classmethod
    def _above_the_least(cls, value: float | None, info: ValidationInfo) -> float | None:
        least: float | None = info.data.get("min_sentiment")
        if value is not None and least is not None and value < least:
            raise ValueError("must not be below min_sentiment")
        return value

    @property
    def filters(self) -> Filters:
        """The filters as storage takes them."""
        return Filters(
            subreddits=tuple(self.subreddit),
            author=self.author and account_name(self.author),
            words=self.q,
            keyword=self.keyword,
            min_score=self.min_score,
            trending=self.trending,
            over_18=self.over_18,
            shown=self.shown,
            min_sentiment=self.min_sentiment,
            max_sentiment=self.max_sentiment,
            created_from=self.created_from,
            created_to=self.created_to,
        )


class Bound(NamedTuple):
    """The begin or the end of a window: the name of the parameter that gives it, and its moment."""

    parameter: str
    moment: datetime | None


class WindowedFilters(PostFilters):
    """Filters, and the window in which the posts were created, given by its begin or by its length."""

    created_from: Moment | None = Field(
        None,
        description="Created then or later (ISO 8601 with a time zone), at most 31 days before the end.",
        examples=["2026-01-01T00:00:00Z"],
    )
    created_to: Moment | None = Field(
        None,
        description="Created before (ISO 8601 with a time zone); default: now.",
        examples=["2026-01-02T00:00:00Z"],
    )
    window: Window | None = Field(
        None,
        description="Length of the window, instead of `created_from`, such as `24h`; at most `7d`. "
        f"Default: `{DEFAULT_WINDOW}`.",
        examples=["24h"],
    )

    @property
    def filters(self) -> Filters:
        """The filters without the window, because it may be compared with the one before it."""
        return replace(super().filters, created_from=None, created_to=None)

    def span(self, now: datetime) -> tuple[datetime, datetime]:
        """Begin and end. Raises InvalidParameter when the parameters do not describe a window of at most 31 days."""
        return span_of(Bound("created_from", self.created_from), Bound("created_to", self.created_to), self.window, now)


def span_of(begin: Bound, end: Bound, window: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Begin and end of a window, given by its begin or its length. Raises InvalidParameter."""
    until = end.moment or now
    if begin.moment is None:
        try:
            return until - window_of(window or DEFAULT_WINDOW), until
        except OverflowError as error:
            raise InvalidParameter(end.parameter, "out of range") from error
    if window is not None:
        raise InvalidParameter("window", f"give either window or {begin.parameter}")
    if begin.moment >= until:
        raise InvalidParameter(begin.parameter, "must be before the end")
    if until - begin.moment > LONGEST_SPAN:
        raise InvalidParameter(begin.parameter, f"must be at most {LONGEST_SPAN.days} days before the end")
    return begin.moment, until
