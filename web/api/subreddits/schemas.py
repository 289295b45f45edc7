"""Watched subreddits as clients send and receive them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from signalflow.domain.sorts import PostSort
from signalflow.domain.subreddits import DEFAULT_PRIORITY, Priority
from signalflow.errors import Invalid
from signalflow.reddit.subreddits import MAX_INTERVAL, MIN_INTERVAL, checked_name
from signalflow.storage.subreddit_changes import Change

MOST_NAMES = 500


def _name(text: str) -> str:
    try:
        return checked_name(text)
    except Invalid as error:
        raise ValueError(str(error)) from error


Name = Annotated[str, Field(max_length=128), AfterValidator(_name)]
Names = Annotated[
    list[Name],
    Field(
        min_length=1,
        max_length=MOST_NAMES,
        description="Names with or without `r/`, or addresses.",
        examples=[["rust"]],
    ),
]
Interval = Annotated[
    int,
    Field(
        ge=MIN_INTERVAL,
        le=MAX_INTERVAL,
        description="Longest time between two polls, in seconds. Default by priority: 60, 180 or 600.",
    ),
]
Status = Literal["paused", "pending", "ok", "refused"]


class SubredditOut(BaseModel):
    """A watched subreddit."""

    name: str = Field(description="Name without `r/`.", examples=["rust"])
    priority: Priority = Field(description="How often it is polled.")
    interval_seconds: int = Field(description="Longest time between two polls, in seconds.")
    paused: bool
    comments: bool = Field(description="Whether its comments are read too.")
    post_sort: list[str] = Field(
        description="The listings that are read of it. `new` proves completeness, the others add ranks.",
        examples=[["new", "hot"]],
    )
    status: Status = Field(
        description="`pending` until Reddit has shown it for the first time, `refused` with the reason in `state`."
    )
    state: str = Field(description="`unchecked`, `ok`, or why Reddit refuses it.", examples=["private"])
    checked_at: datetime | None = Field(description="Since when `state` is so; null while it is `unchecked`.")
    last_polled_at: datetime | None = Field(description="When a listing with it was last fetched.")
    next_poll_at: datetime | None = Field(description="It is polled again by then; null while it is paused or refused.")
    posts_per_hour: float = Field(
        description="Mean over the last 24 hours; in an installation that is younger, since its first observation."
    )
    changed_by: str | None = Field(description="Who changed it last; null when nobody has changed the default.")
    changed_at: datetime | None
    effective_at: datetime | None = Field(description="The poller applies the last change by then.")


class SubredditPage(BaseModel):
    """Watched subreddits, by name."""

    items: list[SubredditOut]
    next: str | None = Field(description="Give it as `cursor` to get the page after this one; null on the last page.")


class Added(BaseModel):
    """Subreddits to watch, new or already known. A watched subreddit keeps the values that are not given."""

    model_config = ConfigDict(extra="forbid")

    names: Names
    priority: Priority | None = Field(
        None, description=f"How often they are polled; `{DEFAULT_PRIORITY}` for a new one."
    )
    interval_seconds: Interval | None = None


class Changed(BaseModel):
    """What to change; null leaves it as it is."""

    model_config = ConfigDict(extra="forbid")

    paused: bool | None = Field(None, description="Whether polling is paused.")
    priority: Priority | None = None
    interval_seconds: Interval | None = None
    comments: bool | None = Field(None, description="Whether its comments are read too.")
    post_sort: list[PostSort] | None = Field(
        None,
        max_length=20,
        description="The listings to read of it; `new` is always read.",
        examples=[["new", "hot", "top:day"]],
    )

    @model_validator(mode="after")
    def _something(self) -> "Changed":
        if (self.paused, self.priority, self.interval_seconds, self.comments, self.post_sort) == (None,) * 5:
            raise ValueError("give paused, priority, interval_seconds, comments or post_sort")
        return self

    @property
    def change(self) -> Change:
        """The change, as storage takes it."""
        sorts = None if self.post_sort is None else tuple(self.post_sort)
        return Change(self.paused, self.priority, self.interval_seconds, self.comments, sorts)


class ChangedMany(Changed):
    """One change for many subreddits."""

    names: Names


class Removed(BaseModel):
    """Subreddits to stop watching. Their posts stay."""

    model_config = ConfigDict(extra="forbid")

    names: Names


class Imported(BaseModel):
    """What an import did, or would do."""

    rows: int = Field(description="Rows of the file.")
    added: list[str] = Field(description="Subreddits that were not watched before.")
    changed: list[str] = Field(description="Watched subreddits that differed.")
    unchanged: int
    dry_run: bool
