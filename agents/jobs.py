"""The leader's periodic work on the database: partitions ahead of time, retention, hourly rollup.

In TimescaleDB mode the database's own policies do this, and the functions called here do nothing.
"""

from collections.abc import Callable
from datetime import timedelta

from signalflow.clock import utcnow
from signalflow.settings import Settings
from signalflow.storage.jobs import drop_old, ensure_partitions, refresh_rollup
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

EVERY_SECONDS = 60.0
DAYS_AHEAD = 3
# Observations may be late by an hour; one more bucket makes sure that a bucket is recomputed after its last row came.
ROLLUP_WINDOW = timedelta(hours=3)


def register(app: Application, settings: Settings, pool_of: Callable[[], Pool]) -> None:
    """Add the timer to the app."""

    @app.timer(interval=EVERY_SECONDS, on_leader=True, name="jobs")
    @guarded("jobs")
    async def jobs() -> None:
        pool, now = pool_of(), utcnow()
        await ensure_partitions(pool, now, DAYS_AHEAD)
        await refresh_rollup(pool, now - ROLLUP_WINDOW, now)
        await drop_old(pool, now, settings.history_retention_days)
