"""How the installation is: each part says whether it could be asked, and if not, why."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Part(BaseModel):
    """A part that could be asked or could not; if not, its other fields are empty."""

    available: bool = Field(description="Whether it could be asked.")
    reason: str | None = Field(None, description="Why not, and what to do.", examples=[None])


class WorkerMetrics(Part):
    """What the worker counts. Rates are between this look and the one before, and null at the first."""

    lag: dict[str, int] = Field(
        {}, description="Records not committed yet, by topic.", examples=[{"reddit.posts.raw": 0}]
    )
    records_per_second: dict[str, float] | None = Field(None, description="By agent.", examples=[{"enrich": 12.5}])
    records_total: dict[str, float] = Field({}, description="Since the worker began, by agent.")
    visible_seconds: float | None = Field(
        None, description="Mean time from publication to a committed row.", examples=[0.8]
    )


class WorkerOut(BaseModel):
    """A worker."""

    name: str = Field(examples=["worker-1"])
    pid: int
    state: str = Field(description="As it last said: `running` or `recovering`.", examples=["running"])
    status: Literal["running", "recovering", "silent"] = Field(description="`silent` after three missing heartbeats.")
    is_poller: bool = Field(description="Whether it polls Reddit.")
    is_leader: bool = Field(description="Whether Faust calls it the leader.")
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age_seconds: float
    metrics: WorkerMetrics


class Workers(Part):
    """The workers that reported within the last hour."""

    items: list[WorkerOut] = []


class Flow(Part):
    """All workers together. `complete` is false when one of them could not be asked."""

    complete: bool = False
    lag: dict[str, int] = Field({}, description="Records not committed yet, by topic.")
    records_per_second: dict[str, float] | None = Field(None, description="By agent; null at the first look.")
    visible_seconds: float | None = Field(None, description="Mean time from publication to a committed row.")


class Budget(Part):
    """Requests to Reddit of the worker that polls."""

    poller: str | None = Field(None, description="The worker that polls.")
    used: float | None = Field(None, description="Requests within the last 60 s.", examples=[22])
    limit: float = Field(description="Requests a minute that the settings allow.", examples=[60])
    requests_total: dict[str, float] = Field({}, description="By outcome, since the worker began.")


class DeadLetters(Part):
    """Dead letters by state."""

    counts: dict[str, int] = Field({}, description="By state; states without any are missing.", examples=[{"dead": 3}])
    oldest_dead: datetime | None = Field(None, description="When the oldest that is still dead failed.")


class GapOut(BaseModel):
    """A stretch of listings that is not proven complete yet."""

    id: int
    subreddits: list[str]
    since: datetime = Field(description="Posts created after this may be missing.")
    pages: int = Field(description="Pages fetched so far.")
    opened_at: datetime


class Gaps(Part):
    """Open gaps."""

    open: int | None = Field(None, description="How many.")
    items: list[GapOut] = Field([], description="The oldest 20.")


class Database(Part):
    """PostgreSQL."""

    milliseconds: float | None = Field(None, description="How long it took to answer.")
    mode: str | None = Field(None, description="`timescaledb` or `native`.")
    newest_observation: datetime | None = Field(None, description="Newest observation of the newest posts.")
    size_bytes: int | None = None


class Kafka(Part):
    """The brokers."""

    milliseconds: float | None = Field(None, description="How long they took to answer.")
    brokers: int | None = Field(None, description="How many answer.")
    topics_missing: list[str] = Field([], description="Topics of ours that do not exist.")
    replicas_out_of_sync: int | None = Field(None, description="Copies of partitions of ours that are behind.")


class Operations(BaseModel):
    """How the installation is."""

    computed_at: datetime
    version: str
    workers: Workers
    flow: Flow
    budget: Budget
    dead_letters: DeadLetters
    gaps: Gaps
    database: Database
    kafka: Kafka
