"""The one loop over Kafka records: gather a batch, prepare it, commit it, acknowledge it, or give it back.

An agent hands its stream and a handler to `run_batch_loop`. The handler turns a batch into work (`prepare`, pure and
repeatable) and makes the work durable (`commit`, tried again until it succeeds). Nothing is acknowledged before
`commit` has returned.

When the flow stops (rebalance, shutdown), events that wait are given back at once, and a commit under way gets
GRACE_SECONDS to end. An event that is given back is neither acknowledged nor waited for, so the next owner of its
partition reads it again. After that, nothing of the same generation is acknowledged any more: a later commit would pass
over the events that were given back.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from typing import Generic, Protocol, TypeVar
from uuid import UUID, uuid4

import structlog
from faust.types import TP

from signalflow import tracing
from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable
from signalflow.fail_points import reach
from signalflow.kafka.records import EmptyOffset, KafkaRecord
from signalflow.metrics import COMMIT_RETRIES, GIVEN_BACK, RECORDS, UNIT_SECONDS, UNIT_STEP_SECONDS
from signalflow.streams.brokers import AWAY
from signalflow.streams.contiguity import ContiguityGuard
from signalflow.streams.faust_types import RunEvent, RunStream, StreamApp

log = structlog.get_logger()

# Faust's wait_empty has no limit of its own, but a rebalance must end before broker_rebalance_timeout, and a SIGTERM
# should end in seconds.
GRACE_SECONDS = 3.0
POLL_SECONDS = 0.1
COMMIT_BACKOFF = Backoff(first=0.2, most=2.0)
QUEUED_RUNS = 16


@dataclass(frozen=True)
class Gathering:
    """When a batch is due: at `due_records`, or `seconds` after its first record.

    Records that wait already when it is due are added, up to `most_records`.
    """

    due_records: int
    most_records: int
    seconds: float


class Batch:
    """Records of one generation of the assignment, by partition, in offset order; without empty offsets."""

    def __init__(self, events: list[RunEvent]) -> None:
        self.events = events
        self.topic: str = events[0].message.topic
        self.generation: int = events[0].message.generation_id
        self.partitions: dict[int, list[KafkaRecord]] = {}
        for event in events:
            self.partitions.setdefault(event.message.partition, []).extend(
                record for record in event.message.value if not isinstance(record, EmptyOffset)
            )

    def __len__(self) -> int:
        return sum(len(records) for records in self.partitions.values())


WorkT = TypeVar("WorkT")


class Handler(Protocol[WorkT]):
    """What an agent does with a batch."""

    async def prepare(self, batch: Batch) -> WorkT:
        """Compute what is to be made durable. No I/O except local reads; the same log must give the same work.

        Awaits only to let other tasks run.
        """
        ...

    async def commit(self, work: WorkT, owned: "Ownership") -> None:
        """Make the work durable. Raises Retryable to be called again with the same work, Fatal to stop the worker.

        Raises Rewind when earlier records must be read again; nothing of this work counts as done then. Calls
        `owned.check()` before each write that must not happen once another worker owns the partitions.
        """
        ...


class GiveBack(Exception):
    """The partitions are no longer ours: leave the batch to the next owner."""


class Rewind(Exception):
    """What the batch is written to lacks earlier records: read partitions of its topic again from these offsets."""

    def __init__(self, offsets: Mapping[int, int], reason: str) -> None:
        super().__init__(f"{reason}: {dict(offsets)}")
        self.offsets, self.reason = offsets, reason


class Ownership:
    """Whether the generation that a batch belongs to is still the current one."""

    def __init__(self, app: StreamApp, generation: int) -> None:
        self._app = app
        self.generation = generation
        # As they were when the batch was taken up. A rewind during the batch is not for its records.
        self._start_offsets: dict[TP, int] = dict(app.consumer.start_offsets)

    def draining(self) -> bool:
        """Whether a rebalance or a shutdown waits for this batch."""
        return bool(self._app.should_stop) or not self._app.flow_control.is_active()

    def topic_id(self, topic: str) -> UUID | None:
        """The id of a source topic; None when it is not known."""
        return self._app.consumer.topic_id(topic)

    def start_offset(self, tp: TP) -> int:
        """The first offset that was read of a partition since its assignment, or since its last rewind."""
        return self._start_offsets.get(tp, 0)

    def check(self) -> None:
        """Raises GiveBack when another generation of the assignment has begun."""
        if self._app.consumer_generation_id != self.generation:
            raise GiveBack


async def run_batch_loop(
    app: StreamApp,
    stream: RunStream,
    handler: Handler[WorkT],
    gathering: Gathering,
    *,
    name: str,
) -> None:
    """Take every event of the stream through the handler, for as long as the agent lives.

    Raises Fatal when going on would lose records, and any other error that ended the stream. The agent's supervisor
    then stops the worker.
    """
    await _BatchLoop(app, stream, handler, gathering, name).run()


class _BatchLoop(Generic[WorkT]):
    def __init__(
        self,
        app: StreamApp,
        stream: RunStream,
        handler: Handler[WorkT],
        gathering: Gathering,
        name: str,
    ) -> None:
        self._app, self._stream, self._handler, self._gathering, self._name = app, stream, handler, gathering, name
        self._guard = ContiguityGuard(app.consumer.start_offsets) if app.consumer.contiguity_guard else None
        self._queue: asyncio.Queue[RunEvent | Exception] = asyncio.Queue(QUEUED_RUNS)
        # Nothing of this generation may be acknowledged any more.
        self._given_up_generation = -1
        # Events that were taken from the queue and are neither acknowledged nor given back.
        self._in_hand: list[RunEvent] = []

    async def run(self) -> None:
        pump = asyncio.create_task(self._fill_queue())
        try:
            while True:
                self._in_hand = []
                self._in_hand = self._keep_ours(await self._gather())
                if self._in_hand:
                    # All lines that are logged below carry the id, also those of tasks and threads that are started.
                    with structlog.contextvars.bound_contextvars(batch=uuid4().hex[:8]):
                        await self._process(self._in_hand)
        finally:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pump
            while not self._queue.empty():
                item = self._queue.get_nowait()
                if not isinstance(item, Exception):
                    self._in_hand.append(item)
            # Nobody will acknowledge these events. Without this, the worker's stop would wait for them for ever.
            self._give_back(self._in_hand)

    async def _fill_queue(self) -> None:
        """Move the stream's events to a queue that can be waited for with a time limit.

        The last item is the exception that ended the stream.
        """
        try:
            async for event in self._stream.noack().events():
                await self._queue.put(event)
        except Exception as error:  # noqa: BLE001 - the loop raises it where the agent's supervisor sees it
            await self._queue.put(error)
        else:
            if not self._app.should_stop:
                await self._queue.put(Fatal("the stream ended by itself"))

    async def _gather(self) -> list[RunEvent]:
        """Wait for a first event, then gather until the batch is due or the flow stops."""
        events = self._in_hand
        events.append(_event(await self._queue.get()))
        count, end = _record_count(events[0]), time.monotonic() + self._gathering.seconds
        while count < self._gathering.due_records and self._app.flow_control.is_active():
            left = end - time.monotonic()
            if left <= 0:
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL_SECONDS)):
                    item = await self._queue.get()
                events.append(_event(item))
                count += _record_count(events[-1])
        while count < self._gathering.most_records and not self._queue.empty():
            events.append(_event(self._queue.get_nowait()))
            count += _record_count(events[-1])
        return events

    def _keep_ours(self, events: list[RunEvent]) -> list[RunEvent]:
        """The events of this generation whose partition was not rewound since; none when the flow has stopped.

        The others are given back.
        """
        generation = self._app.consumer_generation_id
        if Ownership(self._app, generation).draining():
            self._given_up_generation = generation
        if self._given_up_generation >= generation:
            self._give_back(events)
            return []
        ours: list[RunEvent] = []
        others: list[RunEvent] = []
        for event in events:
            of_now = event.message.generation_id == generation and not self._app.consumer.is_stale(event.message)
            (ours if of_now else others).append(event)
        if others:
            self._give_back(others)
        return ours

    async def _process(self, events: list[RunEvent]) -> None:
        """Prepare, commit and acknowledge one batch."""
        started = time.monotonic()
        owned = Ownership(self._app, self._app.consumer_generation_id)
        batch = Batch(events)
        try:
            if self._guard is not None:
                for event in events:
                    self._guard.admit(event.message)
            if len(batch):
                with tracing.batch(self._name, chain.from_iterable(batch.partitions.values())):
                    with self._timed("prepare"):
                        work = await self._handler.prepare(batch)
                    with self._timed("commit"):
                        await _commit_until_done(self._handler, work, owned, self._name)
        except GiveBack:
            self._give_back(events)
            self._given_up_generation = owned.generation
            return
        except Rewind as rewind:
            self._give_back(events)
            await self._rewind(batch, rewind)
            return
        with self._timed("acknowledge"):
            for event in events:
                await self._stream.ack(event)
        reach(f"{self._name}.after_ack")
        RECORDS.labels(agent=self._name).inc(len(batch))
        UNIT_SECONDS.labels(agent=self._name).observe(time.monotonic() - started)

    def _timed(self, step: str) -> AbstractContextManager[object]:
        """Measures a step of a unit of work, however it ends."""
        return UNIT_STEP_SECONDS.labels(agent=self._name, step=step).time()

    async def _rewind(self, batch: Batch, rewind: Rewind) -> None:
        """Read partitions of a batch again: those that must go back, and the others from where the batch began."""
        begins: dict[int, int] = {}
        for event in batch.events:
            begins.setdefault(event.message.partition, event.message.value[0].offset)
        offsets = {TP(batch.topic, partition): offset for partition, offset in {**begins, **rewind.offsets}.items()}
        while True:
            try:
                await self._app.consumer.rewind(offsets, rewind.reason)
                return
            except AWAY as error:
                log.warning("rewind_failed", agent=self._name, error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(COMMIT_BACKOFF.most)

    def _give_back(self, events: list[RunEvent]) -> None:
        """Leave events unacknowledged and stop waiting for them: their offsets stay uncommitted, so they come again."""
        for event in events:
            self._app.consumer.give_back(event.message)
        GIVEN_BACK.labels(agent=self._name).inc(sum(_record_count(event) for event in events))


def _event(item: RunEvent | Exception) -> RunEvent:
    if isinstance(item, Exception):
        raise item
    return item


def _record_count(event: RunEvent) -> int:
    return len(event.message.value)


async def _commit_until_done(handler: Handler[WorkT], work: WorkT, owned: Ownership, name: str) -> None:
    failures = 0
    while True:
        try:
            await _commit_once(handler, work, owned)
        except Retryable as error:
            failures += 1
            wait = max(COMMIT_BACKOFF.after(failures), min(error.retry_after or 0.0, COMMIT_BACKOFF.most))
            COMMIT_RETRIES.labels(agent=name).inc()
            log.warning("commit_failed", agent=name, error=str(error), retry_in=wait)
            await _pause(wait, owned)
        else:
            return


async def _commit_once(handler: Handler[WorkT], work: WorkT, owned: Ownership) -> None:
    """One try.

    When the flow stops meanwhile, it gets GRACE_SECONDS; then it is cancelled and the batch is given back.
    """
    owned.check()
    task = asyncio.ensure_future(handler.commit(work, owned))
    deadline: float | None = None
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=POLL_SECONDS)
            if deadline is None and owned.draining():
                deadline = time.monotonic() + GRACE_SECONDS
            if deadline is not None and time.monotonic() > deadline and not task.done():
                raise GiveBack
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Retryable, GiveBack, Rewind):
                await task
    task.result()


async def _pause(seconds: float, owned: Ownership) -> None:
    """Wait before the next try; raises GiveBack as soon as the flow stops."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if owned.draining():
            raise GiveBack
        await asyncio.sleep(min(left, POLL_SECONDS))
    owned.check()
