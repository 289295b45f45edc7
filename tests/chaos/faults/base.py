"""What all faults use: the run with its cluster and its journal, and the gate that keeps some faults alone."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from signalflow.kafka.producer import Outgoing
from signalflow.settings import Settings
from signalflow.storage.pool import DATABASE_ERRORS
from tests.chaos.cluster import Cluster
from tests.chaos.load import Identity, Load
from tests.chaos.poison import Poison
from tests.chaos.recovery import Probes, Seen
from tests.chaos.waiting import happens
from tests.integration.workers import fetch_all

# The next fault of a lane waits at most so long until records flow again; after a fault that was alone, the second
# time.
OVERLAP_SECONDS, PATIENCE_SECONDS = 12.0, 60.0
# The records that show the recovery from a fault; "none" for a fault that stops no records.
Flow = Literal["load", "reddit", "none"]
Lane = Literal["first workers", "second workers", "servers", "topics", "reddit"]


@dataclass
class Injection:
    """One fault as it happened. Times are epoch seconds; `healed` is when its cause was gone."""

    kind: str
    at: float
    alone: bool = False
    flow: Flow = "load"
    detail: str = ""
    healed: float | None = None


@dataclass
class Lost:
    """What may be lost because the raw log began anew, or lost its last seconds, at these times.

    `cut_and_read`: the times of cuts of which the database tells, because it had noted that lost records were read.
    `sent`: observations that brokers had confirmed. `poisons`: numbers of poisoned records. `stored`: the observations
    that were in the tables and must stay.
    """

    anew_at: list[float] = field(default_factory=list)
    cut_at: list[float] = field(default_factory=list)
    cut_and_read: list[float] = field(default_factory=list)
    sent: set[Identity] = field(default_factory=set)
    stored: set[Identity] = field(default_factory=set)
    poisons: set[int] = field(default_factory=set)


@dataclass
class Stored:
    """What enriched logs held that began anew, at the times `at`: `enriched` are their records, all of them stored."""

    at: list[float] = field(default_factory=list)
    enriched: list[Any] = field(default_factory=list)


async def stored_observations(settings: Settings) -> set[Identity]:
    """All observations that the history has."""
    return {tuple(row) for row in await fetch_all(settings, "SELECT post_id, observed_at FROM post_metrics_history")}


class Gate:
    """Lets faults overlap, except faults that must be alone because there is a goal for their recovery."""

    def __init__(self) -> None:
        self._together = 0
        self._is_alone = False
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Waits while another fault is alone or waits to be alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_alone)
            self._together += 1
        try:
            yield
        finally:
            async with self._changed:
                self._together -= 1
                self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Waits until no other fault is active, and keeps new ones waiting."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True
            await self._changed.wait_for(lambda: self._together == 0)
        try:
            yield
        finally:
            async with self._changed:
                self._is_alone = False
                self._changed.notify_all()


@dataclass
class Run:
    """One run of the suite. `failures` are findings other than differences, such as a worker that did not stop."""

    cluster: Cluster
    rnd: random.Random
    probes: Probes
    load: Load
    gate: Gate = field(default_factory=Gate)
    journal: list[Injection] = field(default_factory=list)
    without_effect: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    poisons: list[Poison] = field(default_factory=list)
    poisoning: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while poison is sent, so that its owner knows that no more is on its way than what the load will send."""

    began: float = field(default_factory=time.time)
    lost_with_a_log: Lost = field(default_factory=Lost)
    stored_with_a_log: Stored = field(default_factory=Stored)

    @property
    def settings(self) -> Settings:
        """The settings of the harness, with the number of partitions that the topics have now."""
        return self.cluster.settings.model_copy(update={"topic_partitions": self.load.partitions})

    async def remember_what_is_stored(self) -> None:
        """Every row of the history must stay, whatever happens to the log that it came from."""
        self.lost_with_a_log.stored |= await stored_observations(self.cluster.settings)

    def raw_log_begins_anew(self) -> None:
        """No log has the records that were sent until now, except those in the load's queue."""
        lost, waiting = self.lost_with_a_log, {header for _, each in self.load.extra for _, header in each.headers}
        lost.sent |= self.load.confirmed
        self.load.confirmed.clear()
        lost.poisons |= {p.number for p in self.poisons if p.topic == "posts_raw" and p.headers[0][1] not in waiting}
        lost.anew_at.append(time.time())

    def logs_were_cut(self, held: set[Identity], *, was_read: bool) -> None:
        """All logs have lost their last seconds, in which nobody sent poison. The raw one held these observations.

        `was_read`: whether the database has noted that a worker read some of the lost raw records.
        """
        lost = self.lost_with_a_log
        lost.sent |= self.load.confirmed - held
        self.load.confirmed &= held
        lost.cut_at.append(time.time())
        if was_read:
            lost.cut_and_read.append(lost.cut_at[-1])

    def enriched_log_begins_anew(self) -> None:
        """What the log held was stored, but nobody looks for what other programs wrote to it."""
        self.lost_with_a_log.poisons |= {p.number for p in self.poisons if p.topic == "posts_enriched"}
        self.stored_with_a_log.at.append(time.time())

    @asynccontextmanager
    async def injecting(
        self, kind: str, *, alone: bool = False, flow: Flow = "load", detail: str = ""
    ) -> AsyncIterator[Injection]:
        """Record a fault, from its beginning to the end of its cause. An AssertionError means that it had no effect."""
        injection = Injection(kind, time.time(), alone, flow, detail)
        try:
            yield injection
        except AssertionError as error:
            self.without_effect.append(f"{kind} {detail}: {error}")
            return
        injection.healed = time.time()
        self.journal.append(injection)

    def poison(self, poisons: Iterable[Poison]) -> None:
        """Send these with the next records."""
        for each in poisons:
            self.poisons.append(each)
            routing_key = each.key or str(each.number).encode()
            self.load.extra.append((routing_key, Outgoing(each.key, each.value, each.headers)))

    def seen(self, flow: Flow) -> Seen:
        """The probes that show when this flow has recovered."""
        return self.probes.reddit if flow == "reddit" else self.probes.load

    def recovered_at(self, injection: Injection) -> float | None:
        """When records flowed again after a fault; None: not yet."""
        return self.seen(injection.flow).recovered_at(injection.at)

    async def recovered(self, injection: Injection) -> bool:
        """Wait until records flow again; False when they do not in time."""
        seconds = PATIENCE_SECONDS if injection.alone else OVERLAP_SECONDS
        return await happens(lambda: self.recovered_at(injection) is not None, seconds)

    async def flowing(self) -> None:
        """Wait until records arrive in all partitions, for at most PATIENCE_SECONDS."""
        await happens(self.probes.flowing, PATIENCE_SECONDS)


async def remembered(run: Run) -> bool:
    """Remember what is stored; False while the database does not answer."""
    try:
        await run.remember_what_is_stored()
    except DATABASE_ERRORS:
        return False
    return True


@dataclass(frozen=True)
class Fault:
    """A kind of fault. A run of full length injects it `share` times."""

    kind: str
    lane: Lane
    share: int
    run: Callable[[Run], Awaitable[Any]]
    in_short_form: bool = True
