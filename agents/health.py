"""Every worker says in the database that it lives and where its web views are, so that the API finds it."""

import os
from collections.abc import Callable

from signalflow.metrics import IS_POLLER
from signalflow.storage.pool import Pool
from signalflow.storage.workers import heartbeat
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

EVERY_SECONDS = 5.0


def register(app: Application, pool_of: Callable[[], Pool]) -> None:
    """Add the timer to the app."""

    @app.timer(interval=EVERY_SECONDS, name="health")
    @guarded("health")
    async def health() -> None:
        recovered = bool(app.tables.actives_ready) and not app.rebalancing
        await heartbeat(
            pool_of(),
            name=app.workspace.name,
            pid=os.getpid(),
            web_url=str(app.conf.canonical_url),
            state="running" if recovered else "recovering",
            is_poller=bool(IS_POLLER._value.get()),
        )
