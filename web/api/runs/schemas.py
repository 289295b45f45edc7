"""Runs as the API gives them."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from signalflow.domain.words import RunKind, RunOutcome


class RunOut(BaseModel):
    """What a worker did: a minute of polling, or one job. Requests of a job count in a minute of polling too."""

    id: UUID
    kind: RunKind = Field(
        description="`polling`: a minute of it. `discovery`: a look at r/popular or at the list of popular subreddits. "
        "`first_look`: what a subreddit had before it was first polled. `second_look`: the pages below the newest one; "
        "new on them are posts that Reddit showed late. `once`: listings that somebody asked for. The others are jobs "
        "on the database."
    )
    subject: str = Field(description="What of: a subreddit, or listings; empty for most kinds.", examples=["python"])
    worker: str = Field(description="Name of the worker.", examples=["worker-1"])
    started_at: datetime
    ended_at: datetime | None = Field(description="Null while it goes on, and when its worker told no end.")
    told_at: datetime = Field(description="When the worker last told how it stands.")
    outcome: RunOutcome = Field(
        description="`partly`: with errors beside results. `idle`: nothing was asked. `stopped`: the worker stopped "
        "before the end. `silent`: it has told nothing for a minute, and no end: it crashed, or the database was away."
    )
    requests: int = Field(description="Requests to Reddit.", examples=[42])
    posts: int = Field(description="Observations of posts that Kafka confirmed.", examples=[120])
    comments: int = Field(description="Observations of comments that Kafka confirmed.", examples=[0])
    new: int = Field(description="How many of these are of posts and comments that were unknown before.", examples=[7])
    gaps: int = Field(description="Answers below which posts or comments may be missing; later pages are read.")
    errors: int = Field(description="Requests without a usable answer, and answers that were not published in full.")
    uses: dict[str, int] = Field(description="Requests by their kind.", examples=[{"listing": 20, "refresh": 22}])
    error: str | None = Field(description="Why a job failed; null unless it did.")


class RunPage(BaseModel):
    """A page of the run history."""

    items: list[RunOut] = Field(description="Newest first.")
    next: str | None = Field(description="Give it as `cursor` to get the page after this one; null on the last page.")
