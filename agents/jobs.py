"""The leader's periodic work on the database: partitions ahead of time, hourly rollup, retention.

In TimescaleDB mode the database's own policies do this, and the functions called here do nothing.
"""

from agents.resources import ResourcesOf
from signalflow.settings import Settings
from signalflow.storage.jobs import drop_old, ensure_partitions, refresh_touched
from signalflow.storage.partitions import database_time
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

ROLLUP_EVERY_SECONDS = 60.0
RETENTION_EVERY_SECONDS = 3600.0
DAYS_AHEAD = 3


def register(app: Application, settings: Settings, resources: ResourcesOf) -> None:
    """Add the timers to the app."""

    @app.timer(interval=ROLLUP_EVERY_SECONDS, on_leader=True, name="rollup")
    @guarded("rollup")
    async def rollup() -> None:
        await ensure_partitions(resources().pool, await database_time(resources().pool), DAYS_AHEAD)
        await refresh_touched(resources().pool)

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="retention")
    @guarded("retention")
    async def retention() -> None:
        await drop_old(resources().pool, await database_time(resources().pool), settings.history_retention_days)
