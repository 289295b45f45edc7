"""A timer that measures what the database has: which time is covered, and how far rollup and alerts are behind.

The leader alone measures coverage, which reads all gaps; an earlier leader has no number of it. Every worker measures
the others, so that one is seen whose leader hangs.
"""

from datetime import timedelta

from agents.resources import ResourcesOf
from signalflow.domain.coverage import Cell
from signalflow.metrics import ALERTS_WAITING, COVERAGE, ROLLUP_WAITING
from signalflow.storage.alert_deliveries import alerts_waiting_seconds
from signalflow.storage.coverage import time_covered
from signalflow.storage.jobs import rollup_waiting_seconds
from signalflow.storage.partitions import database_time
from signalflow.storage.pool import Pool
from signalflow.storage.read_router import ReadRouter
from signalflow.streams.app import Application
from signalflow.streams.timers import guarded

EVERY_SECONDS = 15.0
WINDOW = timedelta(hours=24)


def register(app: Application, resources: ResourcesOf) -> None:
    """Add the timer to the app."""

    @app.timer(interval=EVERY_SECONDS, name="freshness")
    @guarded("freshness")
    async def freshness() -> None:
        await measure(resources().pool, leads=app.is_leader())


async def measure(pool: Pool, *, leads: bool) -> None:
    """Set the gauges. Raises Retryable while the database is away."""
    found = await _last_day(pool) if leads else None
    if found is None:
        COVERAGE.clear()
    else:
        for time, seconds in (("covered", found.covered), ("missing", found.missing), ("unknown", found.unknown)):
            COVERAGE.labels(time=time).set(seconds / found.seconds)
    ROLLUP_WAITING.set(await rollup_waiting_seconds(pool))
    ALERTS_WAITING.set(await alerts_waiting_seconds(pool))


async def _last_day(pool: Pool) -> Cell | None:
    now = await database_time(pool)
    return await time_covered(ReadRouter(pool, None, 0.0), now - WINDOW, now, now=now)
