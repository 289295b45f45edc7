"""The leader's periodic work on the database. Each job has its own timer, so that none waits for another."""

from datetime import timedelta

from agents.resources import ResourcesOf
from signalflow.settings import Settings
from signalflow.storage.erasure import erase_letters
from signalflow.storage.jobs import compress_old, drop_old, ensure_partitions, refresh_touched
from signalflow.storage.letter_retention import forget_resolved
from signalflow.storage.partitions import database_time
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

ROLLUP_EVERY_SECONDS = 60.0
PARTITIONS_EVERY_SECONDS = 60.0
RETENTION_EVERY_SECONDS = 3600.0
ERASURE_EVERY_SECONDS = 300.0
DAYS_AHEAD = 3


def register(app: Application, settings: Settings, resources: ResourcesOf) -> None:
    """Add the timers to the app."""

    @app.timer(interval=PARTITIONS_EVERY_SECONDS, on_leader=True, name="partitions")
    @guarded("partitions")
    async def partitions() -> None:
        await ensure_partitions(resources().pool, await database_time(resources().pool), DAYS_AHEAD)

    @app.timer(interval=ROLLUP_EVERY_SECONDS, on_leader=True, name="rollup")
    @guarded("rollup")
    async def rollup() -> None:
        await refresh_touched(resources().pool)

    @app.timer(interval=ERASURE_EVERY_SECONDS, on_leader=True, name="erasure")
    @guarded("erasure")
    async def erasure() -> None:
        # Dead letters are stored by another agent than posts, before or after them.
        await erase_letters(resources().pool)

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="retention")
    @guarded("retention")
    async def retention() -> None:
        await drop_old(resources().pool, await database_time(resources().pool), settings.history_retention_days)

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="resolved_letters")
    @guarded("resolved_letters")
    async def resolved_letters() -> None:
        now = await database_time(resources().pool)
        await forget_resolved(resources().pool, now - timedelta(days=settings.dlq_resolved_days))

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="compression")
    @guarded("compression")
    async def compression() -> None:
        await compress_old(resources().pool, await database_time(resources().pool))
