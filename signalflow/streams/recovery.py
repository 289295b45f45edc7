"""A table recovery that loses no messages and does not end early.

Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md). This module repairs two defects of Faust.

`Recovery.on_recovery_completed` runs while the flow is active, because the changelogs had to be read. It resumes the
source partitions, seeks, and then resumes the flow, which clears every queue. Records that were fetched in between are
dropped although the fetch offset is past them. Here the flow is suspended first, so the queues are empty when they are
cleared.

When a step times out (`broker_request_timeout`), `Recovery._wait` acts as if the service had been stopped, and the
recovery task ends silently. The worker keeps its partitions, and no later rebalance makes it read them. This happens
when brokers are away for longer than the timeout during a rebalance. Here the recovery begins again instead.
"""

from typing import Any

import structlog
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped

log = structlog.get_logger()


class SuspendingRecovery(Recovery):
    """Suspends the flow before it completes a recovery, and begins again when a step takes too long."""

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

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = SuspendingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
