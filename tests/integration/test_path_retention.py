"""A real worker while days of history are dropped: late observations, and days that history does not keep."""

from datetime import UTC, datetime, timedelta

import pytest

from signalflow.settings import Settings
from signalflow.storage.jobs import drop_old, ensure_partitions, refresh_touched
from signalflow.storage.pool import Pool
from tests.integration.workers import WorkerProcess, fetch_all, observation, produce, verified

pytestmark = pytest.mark.by_mode

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS, KEPT, HOURS = 10, 2, 6
ROLLUP = "SELECT post_id, bucket, observations FROM post_metrics_hourly ORDER BY post_id, bucket"


def moment(days_ago: int, hour: int) -> datetime:
    return TODAY - timedelta(days=days_ago) + timedelta(hours=hour)


async def hours(settings: Settings) -> list[tuple[str, datetime, int]]:
    """The hourly rollup."""
    return [tuple(row) for row in await fetch_all(settings, ROLLUP)]


@pytest.fixture
async def filled(settings: Settings, pool: Pool, worker: WorkerProcess) -> list[tuple[str, datetime, int]]:
    """Days of history are stored, the oldest last. Returns the rollup that they must have."""
    await ensure_partitions(pool, TODAY, 3)
    for days_ago in (*range(1, DAYS - 2), DAYS, DAYS - 1, DAYS - 2):
        await produce(
            settings,
            [
                observation(f"p{days_ago}", moment(days_ago, hour), created_at=moment(days_ago, 0), score=hour)
                for hour in range(HOURS)
            ],
        )
    await verified(settings, worker)
    return sorted((f"p{day}", moment(day, hour), 1) for day in range(1, DAYS + 1) for hour in range(HOURS))


async def test_retention_drops_days_of_history_and_keeps_every_hour_of_the_rollup(
    settings: Settings, pool: Pool, worker: WorkerProcess, filled: list[tuple[str, datetime, int]]
) -> None:
    # The hours of the days that are dropped were not computed before.
    assert await drop_old(pool, datetime.now(UTC), KEPT) > 0
    await refresh_touched(pool)
    assert await hours(settings) == filled
    report = await verified(settings, worker)
    assert (report.posts.found, report.history.found, report.hourly.found) == (DAYS, KEPT * HOURS, KEPT * HOURS)


@pytest.mark.parametrize("at", [datetime(1999, 5, 5, tzinfo=UTC), moment(KEPT + 3, 12)], ids=["1999", "dropped"])
async def test_an_observation_of_a_day_that_history_does_not_keep_is_set_aside_and_verify_stays_clean(
    settings: Settings, pool: Pool, worker: WorkerProcess, filled: list[tuple[str, datetime, int]], at: datetime
) -> None:
    await drop_old(pool, datetime.now(UTC), KEPT)
    await produce(settings, [observation("late", at, created_at=at, score=3, mode="refresh")])
    await produce(settings, [observation("new", moment(0, 0), created_at=moment(1, 0), score=4)])
    await verified(settings, worker)
    (letter,) = await fetch_all(settings, "SELECT original_key, stage FROM dlq_events")
    assert tuple(letter) == (b"late", "write")
    await refresh_touched(pool)
    assert await hours(settings) == sorted([*filled, ("new", moment(0, 0), 1)])
    assert (await verified(settings, worker)).posts.found == DAYS + 1
