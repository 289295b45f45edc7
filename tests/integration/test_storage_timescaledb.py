"""The same tables in timescaledb mode, on the server SIGNALFLOW_TEST_TIMESCALE_DSN, which has TimescaleDB preloaded."""

import os
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from signalflow.clock import utcnow
from signalflow.storage.jobs import drop_old, ensure_partitions, refresh_rollup, refresh_touched
from signalflow.storage.migrate import upgrade
from signalflow.storage.pool import Pool
from signalflow.storage.schema import check_schema
from signalflow.storage.writer import write_batch
from tests.integration.storage_oracle import Oracle
from tests.integration.storage_rows import NOON, column, contents, observation, pool_of

DSN = os.environ.get("SIGNALFLOW_TEST_TIMESCALE_DSN", "")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not DSN, reason="SIGNALFLOW_TEST_TIMESCALE_DSN names no server with TimescaleDB"),
]


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """A pool on a fresh database of that server with the current schema."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = await asyncpg.connect(DSN)
    await admin.execute(f"CREATE DATABASE {name}")
    try:
        url = f"{DSN.rpartition('/')[0]}/{name}"
        await upgrade(url)
        async with await pool_of(url) as made:
            yield made
    finally:
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def test_the_mode_is_chosen_and_recorded(pool: Pool) -> None:
    assert await check_schema(pool) == "timescaledb"
    hypertables = await pool.fetch("SELECT hypertable_name FROM timescaledb_information.hypertables")
    assert "post_metrics_history" in [row["hypertable_name"] for row in hypertables]


async def test_redelivered_batches_are_stored_once(pool: Pool) -> None:
    for _ in range(2):
        await write_batch(pool, [observation("a", 0), observation("a", 10), observation("b", 0)])
    assert await column(pool, "posts", "id") == ["a", "b"]
    assert len(await column(pool, "post_metrics_history", "post_id")) == 3


async def test_the_rollup_equals_a_recomputation_and_shows_fresh_rows(pool: Pool) -> None:
    oracle = Oracle()
    for n in range(200):
        row = observation(f"p{n % 7}", n * 100, current_score=n, current_comments=n % 13, score_velocity=n / 8)
        oracle.apply(row)
        await write_batch(pool, [row])
    assert await contents(pool, "post_metrics_hourly") == oracle.hourly()
    await pool.execute(
        "CALL refresh_continuous_aggregate('post_metrics_hourly', $1::timestamptz, $2::timestamptz)", NOON, utcnow()
    )
    assert await contents(pool, "post_metrics_hourly") == oracle.hourly()


async def test_the_policies_do_the_jobs_and_retention_follows_the_setting(pool: Pool) -> None:
    assert await ensure_partitions(pool, NOON, 3) == 0
    assert await refresh_rollup(pool, NOON, NOON + timedelta(hours=1)) == 0
    await write_batch(pool, [observation("a", 0)])
    assert await refresh_touched(pool) == 0
    assert await column(pool, "rollup_touched", "bucket") == []
    for days in (90, 30):
        await drop_old(pool, NOON, days)
        ages = await pool.fetch(
            "SELECT (config ->> 'drop_after')::interval AS age FROM timescaledb_information.jobs"
            " WHERE proc_name = 'policy_retention' AND hypertable_name = 'post_metrics_history'"
        )
        assert [row["age"] for row in ages] == [timedelta(days=days)]
