"""A table recovery that loses no messages and no states, and does not end early.

Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md). This module repairs three defects of Faust.

`Recovery.on_recovery_completed` runs while the flow is active, because the changelogs had to be read. It resumes the
source partitions, seeks, and then resumes the flow, which clears every queue. Records that were fetched in between are
dropped although the fetch offset is past them. Here the flow is suspended first, so the queues are empty when they are
cleared.

When a step times out (`broker_request_timeout`), `Recovery._wait` acts as if the service had been stopped, and the
recovery task ends silently. The worker keeps its partitions, and no later rebalance makes it read them. This happens
when brokers are away for longer than the timeout during a rebalance. Here the recovery begins again instead.

A rebalance drops the changelog records that wait in memory. Faust counts them as restored nevertheless: it keeps the
offsets that its recovery had reached when a store is still empty, and takes a record of an earlier generation of the
assignment for a reason to skip the records before it. Here a recovery begins where the store ends, and such records do
not reach it.

It also wipes local state that cannot be used (signalflow/streams/local_state.py): stores that cannot be read before
Faust opens them, stores of another changelog before Faust compares offsets.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import structlog
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode.utils.queues import ThrowableQueue

from signalflow.domain.backoff import WHILE_AWAY
from signalflow.errors import Retryable
from signalflow.metrics import TABLE_RESTORE_SECONDS
from signalflow.streams.faust_types import ChangelogEvent
from signalflow.streams.local_state import LocalState, changelog_identity

log = structlog.get_logger()


def local_states(app: Any) -> list[tuple[str, LocalState]]:
    """The local state of each table, by the name of its changelog."""
    return [
        (table.changelog_topic.get_topic_name(), LocalState(app.workspace.path, table.data))
        for table in app.tables.values()
    ]


class SuspendingRecovery(Recovery):
    """Suspends the flow before it completes a recovery, and begins again when a step takes too long.

    `began_at`: when the assignment came that is being restored, by the monotonic clock; None when nothing is restored.
    """

    began_at: float | None = None

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        await super()._build_highwaters(consumer, tps, destination, title)
        if tps:
            await self._fit_local_state(destination)

    async def _fit_local_state(self, ends: Mapping[TP, int]) -> None:
        for changelog, state in local_states(self.app):
            identity = await self._identity(changelog)
            state.fit(identity, {tp.partition: end for tp, end in ends.items() if tp.topic == changelog})

    async def _identity(self, changelog: str) -> str:
        failures = 0
        while True:
            try:
                return await changelog_identity(self.app.settings, changelog)
            except Retryable as error:
                failures += 1
                log.warning("recovery_waits_for_kafka", error=str(error))
                await asyncio.sleep(WHILE_AWAY.after(failures))

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        # Faust's own offsets count records that were never applied, and are of stores that may have been wiped since.
        for tp in tps:
            destination[tp] = self.tp_to_table[tp].persisted_offset(tp)
        await super()._build_offsets(consumer, tps, destination, title)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        self.app.flow_control.suspend()
        await super().on_recovery_completed(generation_id)
        # Otherwise another recovery has begun meanwhile, and this one goes on.
        if self.began_at is not None and self.app.consumer_generation_id == generation_id:
            TABLE_RESTORE_SECONDS.set(time.monotonic() - self.began_at)
            self.began_at = None

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:
            if self.should_stop or self.crashed:
                raise
            log.warning("recovery_begins_anew", seconds=timeout)
            self.signal_recovery_start.set()
            raise RebalanceAgain from None


class ChangelogQueue(ThrowableQueue[Any]):
    """The records that wait for the recovery, without those of earlier generations of the assignment."""

    def __init__(self, app: Any) -> None:
        super().__init__(app.conf.stream_buffer_maxsize, flow_control=app.flow_control, clear_on_resume=True)
        self._app = app

    async def get(self) -> ChangelogEvent:
        """The next record of the current generation."""
        while True:
            event: ChangelogEvent = await super().get()
            if event.message.generation_id == self._app.consumer_generation_id:
                return event


class SuspendingTableManager(TableManager):
    """A table manager whose recovery suspends the flow (`TableManager` is an official setting)."""

    _recovery: SuspendingRecovery | None = None
    _changelog_queue: ChangelogQueue | None

    @property
    def changelog_queue(self) -> ChangelogQueue:
        if self._changelog_queue is None:
            self._changelog_queue = ChangelogQueue(self.app)
        return self._changelog_queue

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        if self.recovery.began_at is None:
            self.recovery.began_at = time.monotonic()
        for changelog, state in local_states(self.app):
            await state.wipe_unreadable(tp.partition for tp in assigned if tp.topic == changelog)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    @property
    def recovery(self) -> SuspendingRecovery:
        if self._recovery is None:
            self._recovery = SuspendingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
