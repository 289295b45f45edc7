"""Coverage as the API gives it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from signalflow.storage.coverage import Step


class Shares(BaseModel):
    """What is known of a part of the time. `covered`, `missing` and `unknown` add up to 1."""

    covered: float = Field(
        ge=0, le=1, description="Share of the time of which every post that Reddit showed was found.", examples=[0.95]
    )
    missing: float = Field(ge=0, le=1, description="Share of the time that lies in a gap.", examples=[0.05])
    unknown: float = Field(
        ge=0,
        le=1,
        description="Share of the time before the first poll, after the last one, or while Reddit refuses the "
        "subreddit. It is not covered.",
        examples=[0.0],
    )
    posts: int = Field(description="Posts of the time that is not unknown.", examples=[120])
    posts_share: float | None = Field(
        description="Estimated share of the posts that were found, by the rate of posts before and after each gap; "
        "null when nothing tells it.",
        examples=[0.97],
    )


class CoverageGap(BaseModel):
    """A stretch of the listing in which posts may be missing."""

    id: int
    since: datetime = Field(description="Posts created after this may be missing.")
    until: datetime = Field(description="Posts created after this are found.")
    pages: int = Field(description="Pages read so far.", examples=[10])
    state: Literal["open", "given_up", "unreachable"] = Field(
        description="`open`: it is being read. `given_up`: Reddit's listing does not reach so far back. "
        "`unreachable`: Reddit refused the listing for two days."
    )


class SubredditCoverage(Shares):
    """The coverage of a subreddit over the window, and of each hour or day of it."""

    subreddit: str = Field(examples=["python"])
    state: str = Field(description="`ok`, `unchecked`, or why Reddit refuses it.", examples=["ok"])
    paused: bool = Field(description="Whether it is not polled now.", examples=[False])
    polled_since: datetime | None = Field(description="Since when its coverage is known; null: it was never polled.")
    last_polled_at: datetime | None = Field(description="Its last poll whose posts were all published.")
    cells: list[Shares] = Field(description="One for each of `starts`, in the same order.")
    gaps: list[CoverageGap] = Field(description="The gaps that touch the window, oldest first.")


class Coverage(BaseModel):
    """The coverage of subreddits over a window."""

    computed_at: datetime
    start: datetime = Field(description="Begin of the window, on the hour or day in UTC.")
    end: datetime = Field(description="End of the window. The newest five minutes are not judged yet.")
    step: Step = Field(description="Length of a cell.")
    starts: list[datetime] = Field(description="When each hour or day begins.")
    items: list[SubredditCoverage] = Field(description="The subreddits, by name.")
