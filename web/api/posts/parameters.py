"""The query parameters of posts and of their history."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from signalflow.storage.post_orders import ORDERS, OrderName
from web.api.parameters import Window, window_of
from web.api.post_filters import DEFAULT_WINDOW, PostFilters

MOST_POSTS_A_PAGE = 200
MOST_OBSERVATIONS_A_PAGE = 2000

_CURSOR = "`next` of the page before, with the same other parameters (but `page_size`); without it, the first page."
CursorText = Annotated[str, Field(max_length=4096)]


class PostListParameters(PostFilters):
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
    page_size: int = Field(50, ge=1, le=MOST_POSTS_A_PAGE, description="Posts of a page.")
    cursor: CursorText | None = Field(None, description=_CURSOR)

    @field_validator("window")
    @classmethod
    def _only_where_it_counts(cls, value: str | None, info: ValidationInfo) -> str | None:
        order: OrderName | None = info.data.get("order")
        if value is not None and order is not None and not ORDERS[order].is_windowed:
            raise ValueError("only the orders momentum and engagement have a window; use created_from")
        return value

    @property
    def longest_age(self) -> timedelta:
        """The window, given or not."""
        return window_of(self.window or DEFAULT_WINDOW)

    @property
    def walk(self) -> str:
        """What must stay the same on all pages of a walk."""
        return self.model_copy(update={"cursor": None, "page_size": 50}).model_dump_json(exclude_defaults=True)


class HistoryParameters(BaseModel):
    """How finely, and which page."""

    interval: Literal["raw", "1h"] = Field("raw", description="Every observation, or one item an hour.")
    page_size: int = Field(500, ge=1, le=MOST_OBSERVATIONS_A_PAGE, description="Items of a page.")
    cursor: CursorText | None = Field(None, description=_CURSOR)

    def walk(self, post_id: str) -> str:
        """What must stay the same on all pages of a walk."""
        return f"{post_id} {self.interval}"
