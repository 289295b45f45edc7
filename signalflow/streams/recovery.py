"""The end of a table recovery, without the loss of messages. Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md).

`Recovery.on_recovery_completed` runs while the flow is active (it was resumed to read the changelogs). It resumes the source
partitions, seeks, and then resumes the flow, which clears every queue: what was fetched in between is dropped although the fetch
position is past it. With the flow suspended first, nothing is in the queues when they are cleared.
"""

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery


class SuspendingRecovery(Recovery):
    """Suspends the flow before it completes a recovery."""

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        self.app.flow_control.suspend()
        await super().on_recovery_completed(generation_id)


class SuspendingTableManager(TableManager):
    """A table manager whose recovery suspends the flow (`TableManager` is an official setting)."""

    _recovery: Recovery | None = None

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = SuspendingRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
