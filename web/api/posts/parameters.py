"""The query parameters of posts and of their history."""

from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from signalflow.storage.post_list import Filters
from signalflow.storage.post_orders import ORDERS, OrderName
from web.api.parameters import Moment, Parameters, SubredditName, Text, Window, window_of

MOST_POSTS_A_PAGE = 200
MOST_OBSERVATIONS_A_PAGE = 2000
DEFAULT_WINDOW = "24h"
_INT32 = 2**31

_CURSOR = "`next` of the page before, with the same other parameters (but `page_size`); without it, the first page."
CursorText = Annotated[str, Field(max_length=4096)]


class PostListParameters(Parameters):
    """Filters, all of which a post must meet, the order, and the page."""

    order: OrderName = Field(
        "newest",
        description="Highest first. Ties are ordered by id, in `trending_score` newest first. Unknown velocities come "
        "last. `trend_velocity` tells what takes off; `score_velocity` shows the noise of Reddit's votes too. "
        "`momentum` and `engagement` order the posts of a `window`.",
    )
    window: Window | None = Field(
        None,
        description="Greatest age of a post, only in the orders `momentum` and `engagement`: `24h`, `7d` (the most). "
        f"{DEFAULT_WINDOW} without it.",
        examples=["24h"],
    )
    subreddit: list[SubredditName] = Field(
        [], max_length=50, description="Of one of these subreddits; may be given several times. Case does not matter."
    )
    author: Text | None = Field(None, min_length=1, max_length=64, description="By this author. Case does not matter.")
    q: Text | None = Field(
        None,
        min_length=1,
        max_length=200,
        description='Words of title or body, in any form: `rocket launch`, `"exact phrase"`, `mars or moon`, `-not`. '
        "`search` of the answer says how they were looked up.",
    )
    keyword: Text | None = Field(
        None, min_length=1, max_length=200, description="With exactly this keyword (`nlp.keywords`)."
    )
    min_score: int | None = Field(None, ge=-_INT32, lt=_INT32, description="With at least this score.")
    trending: bool | None = Field(None, description="Only trending posts, or only others.")
    over_18: bool | None = Field(None, description="Only posts for adults, or only others.")
    min_sentiment: float | None = Field(None, ge=-1, le=1, description="With at least this sentiment score.")
    max_sentiment: float | None = Field(None, ge=-1, le=1, description="With at most this sentiment score.")
    created_from: Moment | None = Field(None, description="Created then or later (ISO 8601 with a time zone).")
    created_to: Moment | None = Field(None, description="Created before (ISO 8601 with a time zone).")
    page_size: int = Field(50, ge=1, le=MOST_POSTS_A_PAGE, description="Posts of a page.")
    cursor: CursorText | None = Field(None, description=_CURSOR)

    @field_validator("window")
    @classmethod
    def _only_where_it_counts(cls, value: str | None, info: ValidationInfo) -> str | None:
        order: OrderName | None = info.data.get("order")
        if value is not None and order is not None and not ORDERS[order].is_windowed:
            raise ValueError("only the orders momentum and engagement have a window; use created_from")
        return value

    @field_validator("created_to")
    @classmethod
    def _after_its_begin(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        begin: datetime | None = info.data.get("created_from")
        if value is not None and begin is not None and value < begin:
            raise ValueError("must not be before created_from")
        return value

    @property
    def filters(self) -> Filters:
        """The filters alone."""
        return Filters(
            subreddits=tuple(self.subreddit),
            author=self.author,
            words=self.q,
            keyword=self.keyword,
            min_score=self.min_score,
            trending=self.trending,
            over_18=self.over_18,
            min_sentiment=self.min_sentiment,
            max_sentiment=self.max_sentiment,
            created_from=self.created_from,
            created_to=self.created_to,
        )

    @property
    def longest_age(self) -> timedelta:
        """The window, given or not."""
        return window_of(self.window or DEFAULT_WINDOW)

    @property
    def walk(self) -> str:
        """What must stay the same on all pages of a walk."""
        return self.model_copy(update={"cursor": None, "page_size": 50}).model_dump_json(exclude_defaults=True)


class HistoryParameters(Parameters):
    """How finely, and which page."""

    interval: Literal["raw", "1h"] = Field("raw", description="Every observation, or one item an hour.")
    page_size: int = Field(500, ge=1, le=MOST_OBSERVATIONS_A_PAGE, description="Items of a page.")
    cursor: CursorText | None = Field(None, description=_CURSOR)

    def walk(self, post_id: str) -> str:
        """What must stay the same on all pages of a walk."""
        return f"{post_id} {self.interval}"
