"""The leader's periodic work on the database. Each job has its own timer, so that none waits for another."""

from datetime import timedelta

import structlog

from agents.resources import ResourcesOf
from agents.runs import recorded
from signalflow.domain.run_history import RunBook
from signalflow.settings import Settings
from signalflow.storage.alert_deliveries import forget_alerts
from signalflow.storage.column_statistics import renew_statistics
from signalflow.storage.erasure import erase_letters
from signalflow.storage.jobs import compress_old, drop_old, ensure_partitions, refresh_touched
from signalflow.storage.letter_retention import forget_resolved
from signalflow.storage.partitions import database_time
from signalflow.storage.runs import forget_runs
from signalflow.storage.signal_writer import forget_signals
from signalflow.storage.topic_clusters import forget_topic_clusters
from signalflow.storage.trending_watch import watch_trending
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

log = structlog.get_logger()

ROLLUP_EVERY_SECONDS = 60.0
PARTITIONS_EVERY_SECONDS = 60.0
RETENTION_EVERY_SECONDS = 3600.0
ERASURE_EVERY_SECONDS = 300.0
TRENDING_EVERY_SECONDS = 300.0
DAYS_AHEAD = 3


def register(app: Application, settings: Settings, resources: ResourcesOf, book: RunBook) -> None:
    """Add the timers to the app. Each time that a job runs is a run in the book."""

    @app.timer(interval=PARTITIONS_EVERY_SECONDS, on_leader=True, name="partitions")
    @guarded("partitions")
    @recorded(book, "partitions")
    async def partitions() -> None:
        await ensure_partitions(resources().pool, await database_time(resources().pool), DAYS_AHEAD)

    @app.timer(interval=ROLLUP_EVERY_SECONDS, on_leader=True, name="rollup")
    @guarded("rollup")
    @recorded(book, "rollup")
    async def rollup() -> None:
        await refresh_touched(resources().pool)

    @app.timer(interval=ERASURE_EVERY_SECONDS, on_leader=True, name="erasure")
    @guarded("erasure")
    @recorded(book, "erasure")
    async def erasure() -> None:
        # Dead letters are stored by another agent than posts, before or after them.
        await erase_letters(resources().pool)
        await renew_statistics(resources().pool)

    @app.timer(interval=TRENDING_EVERY_SECONDS, on_leader=True, name="trending")
    @guarded("trending")
    @recorded(book, "trending")
    async def trending() -> None:
        pool = resources().pool
        added, removed = await watch_trending(pool, settings.discover_watch, await database_time(pool))
        if added or removed:
            log.info("trending_watched", added=added, removed=removed)

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="retention")
    @guarded("retention")
    @recorded(book, "retention")
    async def retention() -> None:
        await drop_old(resources().pool, await database_time(resources().pool), settings.history_retention_days)
        await forget_runs(resources().pool, settings.run_retention_days)
        await forget_signals(resources().pool, settings.signal_retention_days)
        await forget_topic_clusters(resources().pool, settings.signal_retention_days)
        await forget_alerts(resources().pool, settings.alert_retention_days)

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="resolved_letters")
    @guarded("resolved_letters")
    @recorded(book, "resolved_letters")
    async def resolved_letters() -> None:
        now = await database_time(resources().pool)
        await forget_resolved(resources().pool, now - timedelta(days=settings.dlq_resolved_days))

    @app.timer(interval=RETENTION_EVERY_SECONDS, on_leader=True, name="compression")
    @guarded("compression")
    @recorded(book, "compression")
    async def compression() -> None:
        await compress_old(resources().pool, await database_time(resources().pool))
