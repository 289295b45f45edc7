"""The ingest agent: one worker, usually Faust's leader, polls Reddit and publishes to the raw topic."""

import asyncio
from collections.abc import Callable

import structlog

from agents.ingest_sources import DatabaseSources
from agents.resources import ResourcesOf
from signalflow.domain.leadership import Lock, should_poll
from signalflow.errors import Retryable
from signalflow.metrics import IS_POLLER
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.poller import Poller
from signalflow.settings import Settings
from signalflow.storage.leader import PollerLock
from signalflow.storage.workers import leader_cannot_poll
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

log = structlog.get_logger()

EVERY_SECONDS = 2.0


class Ingest:
    """Starts and stops the poller of this worker, as leadership and lock come and go."""

    def __init__(self, settings: Settings, resources: ResourcesOf) -> None:
        self._settings, self._resources = settings, resources
        self._lock = PollerLock(settings)
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def tick(self, *, is_leader: bool, is_rebalancing: bool) -> None:
        """Start or stop polling, as leadership and lock require. If the leader cannot poll, a deputy does."""
        if self._is_closed:
            return
        if self._task is not None and self._task.done():
            self._report_end(self._task)
            self._task = None
        is_polling = self._task is not None
        is_deputy = not is_leader and await self._leader_cannot_poll()
        if not (is_polling or is_leader or is_deputy):
            return
        lock = await self._ask_for_lock()
        wanted = should_poll(
            is_polling=is_polling, is_leader=is_leader, is_deputy=is_deputy, is_rebalancing=is_rebalancing, lock=lock
        )
        if wanted and not is_polling and not self._is_closed:
            self._task = asyncio.create_task(self._poll(), name="poller")
            IS_POLLER.set(1)
            log.info("polling_begins", as_deputy=is_deputy)
        elif is_polling and not wanted:
            log.info("polling_ends", is_leader=is_leader, lock=lock)
            await self._stop_polling()
        if not wanted:
            await self._lock.release()

    def is_polling(self) -> bool:
        """Whether this worker is polling now."""
        return self._task is not None

    async def close(self) -> None:
        """Stop polling for good, and release the lock so that a successor need not wait for it."""
        self._is_closed = True
        await self._stop_polling()
        await self._lock.release()

    async def _leader_cannot_poll(self) -> bool:
        try:
            return await leader_cannot_poll(self._resources().pool)
        except Retryable:
            return False

    async def _ask_for_lock(self) -> Lock:
        try:
            return "held" if await self._lock.acquire() else "taken"
        except Retryable:
            return "unknown"

    async def _poll(self) -> None:
        client = AsyncprawClient.of(self._settings)
        sources = DatabaseSources(lambda: self._resources().pool)
        poller = Poller(
            self._settings,
            client=client,
            publisher=self._resources().publisher,
            ledger=sources,
            config=sources,
            known=sources,
        )
        try:
            await poller.run()
        finally:
            await client.close()

    async def _stop_polling(self) -> None:
        task, self._task = self._task, None
        IS_POLLER.set(0)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    @staticmethod
    def _report_end(task: "asyncio.Task[None]") -> None:
        IS_POLLER.set(0)
        if not task.cancelled() and (error := task.exception()):
            log.error("poller_ended", error=str(error), error_type=type(error).__name__, exc_info=error)


def why_it_cannot_poll(settings: Settings) -> str | None:
    """What keeps a worker with these settings from polling; None when nothing does."""
    if not settings.poll_enabled:
        return "SIGNALFLOW_POLL_ENABLED is off"
    if not (settings.reddit_client_id or settings.reddit_base_url):
        return "neither SIGNALFLOW_REDDIT_CLIENT_ID nor SIGNALFLOW_REDDIT_BASE_URL is set"
    return None


def register(app: Application, settings: Settings, resources: ResourcesOf) -> Callable[[], bool]:
    """Add the leader timer to the app, unless these settings forbid polling.

    Returns a function that says whether this worker polls now.
    """
    ingest = Ingest(settings, resources)
    reason = why_it_cannot_poll(settings)
    if reason is not None:
        log.info("polling_off", reason=reason)
        return ingest.is_polling

    # On every worker: a worker that stops being leader has to notice it.
    @app.timer(interval=EVERY_SECONDS, name="ingest")
    @guarded("ingest")
    async def tick() -> None:
        await ingest.tick(is_leader=app.is_leader(), is_rebalancing=app.rebalancing)

    async def stop(sender: object = None, **_: object) -> None:
        await ingest.close()

    app.on_before_shutdown.connect(stop, weak=False)
    return ingest.is_polling
