"""Whether this worker polls Reddit: it needs the lease, and leadership or a leader that cannot poll."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from signalflow.clock import steady
from signalflow.domain.budget import Budget
from signalflow.domain.leadership import should_poll
from signalflow.domain.lease import Claim, HeldLease
from signalflow.errors import Retryable
from signalflow.metrics import IS_POLLER
from signalflow.reddit.ports import Lease, OtherWorkers, Permit

log = structlog.get_logger()

Poll = Callable[[Budget, Permit], Coroutine[Any, Any, None]]


class Polling:
    """Starts and stops the poller of this worker, as leadership and lease come and go.

    `poll` polls until it is cancelled, within the budget and as long as the permit holds. `leads_until` says until
    when, by `clock.steady`, this worker is surely the group's leader. The budget outlives the poller: what one poller
    of this process knows of Reddit's waits, the next one knows too.
    """

    def __init__(
        self, lease: Lease, workers: OtherWorkers, poll: Poll, budget: Budget, leads_until: Callable[[], float]
    ) -> None:
        self._lease, self._workers, self._poll, self._budget = lease, workers, poll, budget
        self._leads_until = leads_until
        self._held = HeldLease()
        self._task: asyncio.Task[None] | None = None
        # The lease had ended while this worker polled.
        self._was_interrupted = False
        self._is_closed = False

    async def tick(self, *, is_leader: bool, is_rebalancing: bool) -> None:
        """Start or stop polling, as leadership and lease require. If the leader cannot poll, a deputy does."""
        if self._is_closed:
            return
        if self._task is not None and self._task.done():
            self._report_end(self._task)
            self._task = None
        # The lease first: the questions after it share their connections with the sink, and may wait.
        claim = await self._renew() if self.is_polling() or is_leader else None
        is_leader = is_leader and not await self._is_superseded()
        is_deputy = not is_leader and await self._leader_cannot_poll()
        if claim is None:
            if not is_deputy:
                return
            claim = await self._renew()
        if self._was_interrupted:
            log.warning("polling_begins_anew", reason="the lease had ended, and another worker may have polled")
            await self._stop_polling()
        is_polling = self.is_polling()
        wanted = should_poll(
            is_polling=is_polling,
            is_leader=is_leader,
            is_deputy=is_deputy,
            is_rebalancing=is_rebalancing,
            claim=claim,
            may_go_on=steady() < self.until(),
        )
        if wanted and not is_polling and not self._is_closed:
            self._task = asyncio.create_task(self._poll(self._budget, self), name="poller")
            IS_POLLER.set(1)
            log.info("polling_begins", as_deputy=is_deputy)
        elif is_polling and not wanted:
            log.info("polling_ends", is_leader=is_leader, claim=claim)
            await self._stop_polling()
        if not wanted:
            await self._release()

    def is_polling(self) -> bool:
        """Whether this worker is polling now."""
        return self._task is not None

    def until(self) -> float:
        """See Permit."""
        return self._held.polls_until(self._leads_until())

    async def record(self) -> None:
        """See Permit."""
        await self._renew()

    async def close(self) -> None:
        """Stop polling for good, and release the lease so that a successor need not wait for its end."""
        self._is_closed = True
        await self._stop_polling()
        await self._release()
        await self._lease.close()

    async def _renew(self) -> Claim:
        asked_at = steady()
        try:
            claim, stands = await self._lease.renew(self._budget.hand_over(asked_at))
        except Retryable as error:
            log.warning("lease_not_renewed", error=str(error))
            return "unknown"
        self._held.answered(claim, asked_at)
        if claim == "taken_over":
            self._budget.take_over(stands, steady())
            self._was_interrupted = self.is_polling()
        return claim

    async def _release(self) -> None:
        if self._held.until == -math.inf:
            return
        self._held.until = -math.inf
        try:
            await self._lease.release(self._budget.hand_over(steady()))
        except Retryable as error:
            # It ends by itself.
            log.warning("lease_not_released", error=str(error))

    async def _is_superseded(self) -> bool:
        """Whether this worker is cut off from Kafka and another one has become leader meanwhile.

        This one would keep the lease, and could publish nothing.
        """
        if not self.is_polling() or steady() < self._leads_until():
            return False
        try:
            return await self._workers.another_leads()
        except Retryable:
            return False

    async def _leader_cannot_poll(self) -> bool:
        try:
            return await self._workers.leader_cannot_poll()
        except Retryable:
            return False

    async def _stop_polling(self) -> None:
        task, self._task = self._task, None
        self._was_interrupted = False
        IS_POLLER.set(0)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    @staticmethod
    def _report_end(task: "asyncio.Task[None]") -> None:
        IS_POLLER.set(0)
        if not task.cancelled() and (error := task.exception()):
            log.error("poller_ended", error=str(error), error_type=type(error).__name__, exc_info=error)
