"""The state of the installation. Each part says whether it answered, and if not, why."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from signalflow.storage.gaps import GapKind


class Part(BaseModel):
    """A part of the installation. If it did not answer, its other fields are empty."""

    available: bool = Field(description="Whether it answered.")
    reason: str | None = Field(None, description="Why it did not answer, and what to do.", examples=[None])


class Progress(Part):
    """How far records are read: of one worker, or of all workers together."""

    lag: dict[str, int] = Field(
        {}, description="Records not committed yet, by topic.", examples=[{"reddit.posts.raw": 0}]
    )
    oldest_unprocessed_seconds: float = Field(
        0.0, description="Age of the oldest record that is not committed yet; 0 without one.", examples=[0.4]
    )
    commits_beyond_end: int = Field(
        0, description="Records by which commits are beyond the end of the log: a broker lost records.", examples=[0]
    )
    partitions_standing_still: int = Field(
        0, description="Partitions that have a worker, which does not read them.", examples=[0]
    )
    rewinds: int = Field(
        0,
        description="Partitions that were read again since their worker started, because a log or the database had "
        "lost records.",
        examples=[0],
    )
    records_per_second: dict[str, float] | None = Field(
        None,
        description="Records per second, by agent. Compares this scrape with the one before; null at the first.",
        examples=[{"enrich": 12.5}],
    )
    visible_seconds: float | None = Field(
        None, description="Mean time from publication to a committed row.", examples=[0.8]
    )


class WorkerMetrics(Progress):
    """The metrics of a worker."""

    records_total: dict[str, float] = Field({}, description="Records since the worker started, by agent.")


class WorkerOut(BaseModel):
    """A worker."""

    name: str = Field(examples=["worker-1"])
    pid: int
    state: str = Field(description="What it last reported: `running` or `recovering`.", examples=["running"])
    status: Literal["running", "recovering", "silent"] = Field(description="`silent` after three missed heartbeats.")
    is_poller: bool = Field(description="Whether it polls Reddit.")
    is_leader: bool = Field(description="Whether Faust calls it the leader.")
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age_seconds: float
    metrics: WorkerMetrics


class Workers(Part):
    """The workers that reported within the last hour."""

    items: list[WorkerOut] = []


class Flow(Progress):
    """All workers together. `complete` is false when one of them did not answer."""

    complete: bool = False


class Budget(Part):
    """Requests to Reddit, counted by the poller."""

    poller: str | None = Field(None, description="Name of the worker that polls Reddit.")
    used: float | None = Field(None, description="Requests within the last 60 s.", examples=[22])
    limit: float = Field(description="Requests a minute that the settings or, at first, feeds allow.", examples=[60])
    requests_total: dict[str, float] = Field({}, description="Requests since the worker started, by outcome.")
    unanswered_since: datetime | None = Field(
        None, description="Since when Reddit has answered no request; null while it answers.", examples=[None]
    )
    unanswered_reason: str | None = Field(
        None, description="What it does instead, such as `status_403` or `no_answer`.", examples=[None]
    )
    what_to_do: str | None = Field(None, description="What an operator can do about it.", examples=[None])


class DeadLettersPart(Part):
    """Dead letters by state."""

    counts: dict[str, int] = Field(
        {}, description="Dead letters by state; a state without dead letters is missing.", examples=[{"dead": 3}]
    )
    oldest_dead: datetime | None = Field(None, description="When the oldest dead letter in the state `dead` failed.")


class GapOut(BaseModel):
    """A stretch of listings that is not proven complete yet."""

    id: int
    subreddits: list[str]
    kind: GapKind = Field(description="What may be missing.")
    since: datetime = Field(description="What was created after this may be missing.")
    pages: int = Field(description="Pages fetched so far.")
    opened_at: datetime


class Gaps(Part):
    """Open gaps."""

    open: int | None = Field(None, description="Number of open gaps.")
    items: list[GapOut] = Field([], description="The oldest 20 open gaps.")


class Database(Part):
    """PostgreSQL."""

    milliseconds: float | None = Field(None, description="Time until PostgreSQL answered, in milliseconds.")
    mode: str | None = Field(None, description="`timescaledb` or `native`.")
    newest_observation: datetime | None = Field(None, description="Newest observation of the newest 200 posts.")
    size_bytes: int | None = None


class Kafka(Part):
    """The brokers."""

    milliseconds: float | None = Field(None, description="Time until the brokers answered, in milliseconds.")
    brokers: int | None = Field(None, description="Number of brokers that answer.")
    topics_missing: list[str] = Field([], description="Topics of this installation that do not exist.")
    replicas_out_of_sync: int | None = Field(None, description="Replicas of its partitions that are not in sync.")
    partitions_unread: dict[str, int] | None = Field(
        None,
        description="Partitions that no worker reads, by topic; null while workers join or leave.",
        examples=[{"reddit.posts.raw": 0}],
    )


class Operations(BaseModel):
    """The state of the installation."""

    computed_at: datetime
    version: str
    workers: Workers
    flow: Flow
    budget: Budget
    dead_letters: DeadLettersPart
    gaps: Gaps
    database: Database
    kafka: Kafka
