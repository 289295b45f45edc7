"""Partitions for the coming days, retention, and the hourly rollup, compared with a computation in plain Python."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from agents import jobs
from signalflow import clock
from signalflow.domain.run_history import RunBook
from signalflow.domain.words import SchemaMode
from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched
from signalflow.settings import Settings
from signalflow.storage import jobs as storage_jobs
from signalflow.storage.jobs import drop_old, ensure_partitions, refresh_rollup, refresh_touched
from signalflow.storage.pool import Pool, TookTooLong
from signalflow.storage.schema import schema_mode
from signalflow.storage.writer import STORE_HISTORY, write_batch, write_or_reject
from tests.integration.storage_oracle import Oracle
from tests.integration.storage_rows import NOON, column, contents, observation
from tests.waiting import until

DAY = 86_400


def random_log(random: Random, size: int) -> list[Enriched]:
    """Observations of 20 posts in six hours, with scores whose means are exact enough to compare."""
    return [
        observation(
            f"p{random.randrange(20):02}",
            random.randrange(0, 6 * 3600),
            current_score=random.randrange(-50, 1000),
            current_comments=random.randrange(0, 300),
            score_velocity=random.choice([None, random.random()]),
        )
        for _ in range(size)
    ]


async def stored_days(pool: Pool) -> list[str]:
    """The days that have a partition or a chunk, as YYYYMMDD."""
    if await schema_mode(pool) == "timescaledb":
        rows = await pool.fetch(
            "SELECT to_char(range_start AT TIME ZONE 'UTC', 'YYYYMMDD') AS name FROM timescaledb_information.chunks"
            " WHERE hypertable_name = 'post_metrics_history' ORDER BY 1"
        )
    else:
        rows = await pool.fetch(
            "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
            " WHERE inhparent = 'post_metrics_history'::regclass ORDER BY 1"
        )
    return [row["name"][-8:] for row in rows]


@pytest.fixture
def _partitions(database_mode: SchemaMode) -> None:
    """Skips where history has no partitions."""
    if database_mode != "native":
        pytest.skip("a hypertable makes its chunks itself")


def days(first: int, last: int) -> list[str]:
    """The days from NOON's day + first to + last, as YYYYMMDD."""
    return [f"{NOON + timedelta(days=n):%Y%m%d}" for n in range(first, last + 1)]


@pytest.mark.usefixtures("_partitions")
async def test_partitions_are_made_ahead_and_once(pool: Pool) -> None:
    made = await asyncio.gather(*(ensure_partitions(pool, NOON, 3) for _ in range(4)))
    assert sum(made) == 5
    assert await stored_days(pool) == days(-1, 3)
    assert await ensure_partitions(pool, NOON, 3) == 0


class Timers:
    """A stand-in for the application that keeps the registered timers by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Any] = {}

    def timer(self, *, name: str, **_: Any) -> Any:
        return lambda tick: self.by_name.setdefault(name, tick)


@pytest.mark.parametrize("days", [-100, 100])
async def test_a_leader_whose_clock_is_wrong_drops_no_history_and_refuses_none(pool: Pool, days: int) -> None:
    timers, now = Timers(), datetime.now(UTC)
    jobs.register(timers, Settings(), lambda: SimpleNamespace(pool=pool), RunBook())  # type: ignore[arg-type]
    await write_batch(pool, [observation("a", observed_at=now)])
    clock.set_wrong(days * DAY)
    try:
        for tick in timers.by_name.values():
            await tick()
        await write_batch(pool, [observation("a", observed_at=now + timedelta(days=2))])
    finally:
        clock.set_wrong(0)
    await write_batch(pool, [observation("b", observed_at=now)])
    assert await column(pool, "post_metrics_history", "post_id") == ["a", "a", "b"]


@pytest.mark.usefixtures("_partitions")
async def test_a_partition_can_be_made_while_a_writer_holds_the_table(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0)])
    async with pool.acquire() as writing, writing.transaction():
        await writing.execute("UPDATE post_metrics_history SET score = 2")
        assert await ensure_partitions(pool, NOON, 2) == 3


async def test_retention_drops_whole_days_and_keeps_the_rollup(pool: Pool) -> None:
    log = [observation("a", -DAY * n, current_score=n) for n in range(5)]
    await write_batch(pool, log)
    assert await drop_old(pool, NOON, 2) == 2
    assert await stored_days(pool) == days(-2, 0)
    assert await column(pool, "post_metrics_history", "score") == [2, 1, 0]
    assert await column(pool, "post_metrics_hourly", "max_score") == [4, 3]
    assert await refresh_touched(pool) == 3
    assert await column(pool, "post_metrics_hourly", "max_score") == [4, 3, 2, 1, 0]
    assert await drop_old(pool, NOON, 2) == 0


async def test_a_dropped_day_does_not_come_back_to_overwrite_its_rollup(pool: Pool) -> None:
    await write_batch(pool, [observation("a", -DAY * 4 + n, current_score=n) for n in range(3)])
    await drop_old(pool, NOON, 2)
    late = observation("a", -DAY * 4 + 9, current_score=100)
    with pytest.raises(Invalid, match="history is kept from"):
        await write_batch(pool, [late])
    assert [rejection.index for rejection in await write_or_reject(pool, [observation("b", 0), late])] == [1]
    assert await ensure_partitions(pool, NOON - timedelta(days=4), 1) == 0
    await refresh_rollup(pool, NOON - timedelta(days=5), NOON)
    assert [row["max_score"] for row in await contents(pool, "post_metrics_hourly") if row["post_id"] == "a"] == [2]


@pytest.mark.parametrize("days", [-9000, 3])
async def test_a_day_that_history_does_not_keep_is_refused_even_where_there_is_room_for_it(
    pool: Pool, days: int
) -> None:
    today = NOON + timedelta(days=1)
    await ensure_partitions(pool, today, 4)
    far = observation("far", observed_at=today + timedelta(days=days))
    near = observation("near", observed_at=today + timedelta(days=2))
    [rejection] = await write_or_reject(pool, [near, far])
    assert (rejection.index, rejection.error.field) == (1, "observed_at")
    assert await column(pool, "posts", "id") == await column(pool, "post_metrics_history", "post_id") == ["near"]


async def test_a_writer_that_waited_for_retention_sees_which_days_were_dropped(pool: Pool) -> None:
    # The chunk or partition is still there: only the check can refuse the row.
    await write_batch(pool, [observation("a", -DAY * 4)])
    async with pool.acquire() as dropping, dropping.transaction():
        await dropping.execute("LOCK TABLE ONLY post_metrics_history IN ACCESS EXCLUSIVE MODE")
        writing = asyncio.create_task(write_or_reject(pool, [observation("b", -DAY * 4)]))
        await until(lambda: dropping.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        await dropping.execute("UPDATE schema_info SET history_from = $1", NOON - timedelta(days=2))
    [rejection] = await writing
    assert rejection.error.field == "observed_at"
    assert await column(pool, "post_metrics_history", "post_id") == ["a"]


async def test_retention_gives_way_to_a_writer_that_takes_long(pool: Pool) -> None:
    await write_batch(pool, [observation("a", -DAY * 4)])
    async with pool.acquire() as writing, writing.transaction():
        await writing.execute("UPDATE post_metrics_history SET score = 2")
        with pytest.raises(Retryable, match="55P03"):
            await drop_old(pool, NOON, 2)
    assert await drop_old(pool, NOON, 2) == 1


@asynccontextmanager
async def slow_hour(pool: Pool, monkeypatch: pytest.MonkeyPatch, bucket: datetime) -> AsyncIterator[None]:
    """Inside, the rollup of this hour cannot be recomputed in time. It must have a row."""
    monkeypatch.setattr(storage_jobs, "REFRESH_SECONDS", 1)
    async with pool.acquire() as holding, holding.transaction():
        assert (
            await holding.execute("UPDATE post_metrics_hourly SET min_score = 0 WHERE bucket = $1", bucket) > "UPDATE 0"
        )
        yield


async def test_a_slow_hour_holds_up_neither_other_hours_nor_retention(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_batch(pool, [observation("a", -DAY * n, current_score=n) for n in range(5)])
    await refresh_touched(pool)
    late = [observation("a", 1 - DAY * n, current_score=10 + n) for n in range(5)]
    await write_batch(pool, late)
    async with slow_hour(pool, monkeypatch, NOON - timedelta(days=1)):
        assert await drop_old(pool, NOON, 2) == 2
        with pytest.raises(TookTooLong):
            await refresh_touched(pool)
        assert await column(pool, "post_metrics_hourly", "max_score") == [14, 13, 12, 1, 10]
    assert await refresh_touched(pool) == 1
    assert await column(pool, "post_metrics_hourly", "max_score") == [14, 13, 12, 11, 10]


async def test_a_day_whose_rollup_cannot_be_computed_is_kept_and_older_days_are_dropped(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_batch(pool, [observation("a", -DAY * n, current_score=n) for n in range(5)])
    await refresh_touched(pool)
    await write_batch(pool, [observation("a", 1 - DAY * 3, current_score=13)])
    async with slow_hour(pool, monkeypatch, NOON - timedelta(days=3)):
        with pytest.raises(TookTooLong):
            await drop_old(pool, NOON, 1)
        assert await column(pool, "post_metrics_history", "score") == [3, 13, 2, 1, 0]
    assert await drop_old(pool, NOON, 1) == 2
    assert await column(pool, "post_metrics_history", "score") == [1, 0]
    assert await column(pool, "post_metrics_hourly", "max_score") == [4, 13, 2, 1, 0]


@pytest.mark.parametrize("whole_window", [True, False], ids=["window", "touched hours"])
async def test_the_rollup_equals_a_recomputation(pool: Pool, whole_window: bool) -> None:
    oracle, random = Oracle(), Random(11)
    for _ in range(4):
        log = random_log(random, 300)
        for row in log:
            oracle.apply(row)
        await write_batch(pool, log)
        if whole_window:
            assert await refresh_rollup(pool, NOON + timedelta(minutes=5), NOON + timedelta(hours=5, minutes=5)) == 6
        else:
            assert await refresh_touched(pool) == 6
    found, expected = await contents(pool, "post_metrics_hourly"), oracle.hourly()
    for hour in found + expected:
        hour["avg_score"] = round(hour["avg_score"], 9)
    assert found == expected


async def test_an_observation_that_comes_days_late_is_in_the_rollup(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, current_score=1)])
    assert await refresh_touched(pool) == 1
    await write_batch(pool, [observation("a", 60, current_score=5), observation("a", -DAY * 3, current_score=9)])
    assert await refresh_touched(pool) == 2
    assert await column(pool, "post_metrics_hourly", "max_score") == [9, 5]


async def test_a_redelivery_touches_no_hour(pool: Pool) -> None:
    for expected in (1, 0):
        await write_batch(pool, [observation("a", 0)])
        assert await refresh_touched(pool) == expected


async def test_rows_of_an_open_transaction_are_taken_by_the_next_refresh(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, current_score=1)])
    async with pool.acquire() as writing:
        transaction = writing.transaction()
        await transaction.start()
        await writing.execute(STORE_HISTORY.sql, ["b"], [NOON], [7], [0], *[[None]] * 4)
        await refresh_touched(pool)
        assert await column(pool, "post_metrics_hourly", "post_id") == ["a"]
        await transaction.commit()
    await refresh_touched(pool)
    assert await column(pool, "post_metrics_hourly", "post_id") == ["a", "b"]


async def test_rows_that_commit_while_an_hour_is_recomputed_are_not_forgotten(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0, current_score=1)])
    await refresh_touched(pool)
    await write_batch(pool, [observation("a", 1, current_score=2)])
    async with pool.acquire() as holding, holding.transaction():
        # When the recomputation waits for this transaction, it has read its rows.
        await holding.execute("UPDATE post_metrics_hourly SET max_score = 0")
        refreshing = asyncio.create_task(refresh_touched(pool))
        await until(lambda: holding.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        await write_batch(pool, [observation("b", 0)])
    await refreshing
    await refresh_touched(pool)
    assert await column(pool, "post_metrics_hourly", "post_id") == ["a", "b"]


async def test_refreshes_at_once_agree(pool: Pool) -> None:
    log = random_log(Random(5), 500)
    oracle = Oracle()
    for row in log:
        oracle.apply(row)
    await write_batch(pool, log)
    await asyncio.gather(*(refresh_touched(pool) for _ in range(4)))
    assert await column(pool, "post_metrics_hourly", "observations") == [row["observations"] for row in oracle.hourly()]


async def test_the_rollup_is_kept_for_two_years(pool: Pool) -> None:
    await write_batch(pool, [observation("a", 0)])
    await drop_old(pool, NOON, 90)
    await drop_old(pool, NOON + timedelta(days=729), 90)
    assert await column(pool, "post_metrics_hourly", "post_id") == ["a"]
    await drop_old(pool, NOON + timedelta(days=731), 90)
    assert await column(pool, "post_metrics_hourly", "post_id") == []
