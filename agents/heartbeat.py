"""A timer that writes the worker's heartbeat to the database, with the address of its web views for the API."""

import asyncio
import contextlib
import os
from collections.abc import Callable

from agents.resources import ResourcesOf
from signalflow.storage.workers import HEARTBEAT_SECONDS, forget_worker, heartbeat
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

# A stop waits no longer than this for a database that is away. The worker's row then stays, and ages.
FAREWELL_SECONDS = 1.0


def register(app: Application, resources: ResourcesOf, is_polling: Callable[[], bool], *, can_poll: bool) -> None:
    """Add the timer to the app."""
    # Set once this process has written its row: a process that ends before it has a pool has no row to delete.
    written = asyncio.Event()

    @app.timer(interval=HEARTBEAT_SECONDS, name="heartbeat")
    @guarded("heartbeat")
    async def report() -> None:
        recovered = bool(app.tables.actives_ready) and not app.rebalancing
        await heartbeat(
            resources().pool,
            name=app.workspace.name,
            pid=os.getpid(),
            web_url=str(app.conf.canonical_url),
            state="running" if recovered else "recovering",
            is_poller=is_polling(),
            is_leader=app.is_leader(),
            can_poll=can_poll,
        )
        written.set()

    @guarded("farewell")
    async def farewell() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await forget_worker(resources().pool, name=app.workspace.name, pid=os.getpid())

    async def stop(sender: object = None, **_: object) -> None:
        if written.is_set():
            await farewell()

    app.on_before_shutdown.connect(stop, weak=False)
