"""A table recovery that loses no messages and does not end early.

Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md). This module repairs two defects of Faust.

`Recovery.on_recovery_completed` runs while the flow is active, because the changelogs had to be read. It resumes the
source partitions, seeks, and then resumes the flow, which clears every queue. Records that were fetched in between are
dropped although the fetch offset is past them. Here the flow is suspended first, so the queues are empty when they are
cleared.

When a step times out (`broker_request_timeout`), `Recovery._wait` acts as if the service had been stopped, and the
recovery task ends silently. The worker keeps its partitions, and no later rebalance makes it read them. This happens
when brokers are away for longer than the timeout during a rebalance. Here the recovery begins again instead.

It also wipes local state that cannot be used (signalflow/streams/local_state.py): stores that cannot be read before
Faust opens them, stores of another changelog before Faust compares offsets.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP

from signalflow.domain.backoff import WHILE_AWAY
from signalflow.errors import Retryable
from signalflow.streams.local_state import LocalState, changelog_identity

log = structlog.get_logger()


def local_states(app: Any) -> list[tuple[str, LocalState]]:
    """The local state of each table, by the name of its changelog."""
    return [
        (table.changelog_topic.get_topic_name(), LocalState(app.workspace.path, table.data))
        for table in app.tables.values()
    ]


class SuspendingRecovery(Recovery):
    """Suspends the flow before it completes a recovery, and begins again when a step takes too long."""

    async def _build_highwaters(self, consumer: Any, tps: set[TP], destination: Any, title: str) -> None:
        await super()._build_highwaters(consumer, tps, destination, title)
        if tps:
            await self._fit_local_state(destination)

    async def _fit_local_state(self, ends: Mapping[TP, int]) -> None:
        for changelog, state in local_states(self.app):
            identity = await self._identity(changelog)
            of_table = {tp.partition: end for tp, end in ends.items() if tp.topic == changelog}
            for partition in state.fit(identity, of_table):
                # Faust has read the offset of the store when the partition was assigned.
                self.active_offsets[TP(changelog, partition)] = None

    async def _identity(self, changelog: str) -> str:
        failures = 0
        while True:
            try:
                return await changelog_identity(self.app.settings, changelog)
            except Retryable as error:
                failures += 1
                log.warning("recovery_waits_for_kafka", error=str(error))
                await asyncio.sleep(WHILE_AWAY.after(failures))

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        self.app.flow_control.suspend()
        await super().on_recovery_completed(generation_id)

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        try:
            await super()._wait(coro, timeout)
        except ServiceStopped:
            if self.should_stop or self.crashed:
                raise
            log.warning("recovery_begins_anew", seconds=timeout)
            self.signal_recovery_start.set()
            raise RebalanceAgain from None


class SuspendingTableManager(TableManager):
    """A table manager whose recovery suspends the flow (`TableManager` is an official setting)."""

    _recovery: Recovery | None = None

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        for changelog, state in local_states(self.app):
            await state.wipe_unreadable(tp.partition for tp in assigned if tp.topic == changelog)
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = SuspendingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
