"""A timer that measures what the database has: which time is covered, and how far the hourly rollup is behind.

Every worker measures it. So there is no number of an earlier leader, and the rollup of a leader that hangs is seen.
"""

from datetime import timedelta

from agents.resources import ResourcesOf
from signalflow.metrics import COVERAGE, ROLLUP_WAITING
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
        await measure(resources().pool)


async def measure(pool: Pool) -> None:
    """Set the gauges. Raises Retryable while the database is away."""
    ROLLUP_WAITING.set(await rollup_waiting_seconds(pool))
    now = await database_time(pool)
    found = await time_covered(ReadRouter(pool, None, 0.0), now - WINDOW, now, now=now)
    if found is None:
        COVERAGE.clear()
        return
    for time, seconds in (("covered", found.covered), ("missing", found.missing), ("unknown", found.unknown)):
        COVERAGE.labels(time=time).set(seconds / found.seconds)
