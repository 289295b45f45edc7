"""What only TimescaleDB mode has, on the server of SIGNALFLOW_TEST_TIMESCALE_DSN, which loads TimescaleDB.

The suites of storage, path and verify run in this mode too where that server is given.
"""

import asyncio
import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from alembic import command

from signalflow.domain.words import SchemaMode
from signalflow.events import Enriched
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.storage import migrate
from signalflow.storage.jobs import compress_old, drop_old, refresh_touched
from signalflow.storage.migrate import upgrade
from signalflow.storage.pool import Pool
from signalflow.storage.schema import check_schema
from signalflow.storage.writer import write_batch, write_or_reject
from tests.integration.storage_oracle import Oracle
from tests.integration.storage_rows import NOON, column, contents, observation, pool_of
from tests.integration.test_path_positions import publish, wait_until_committed
from tests.integration.workers import WorkerProcess, count, eventually, verified

TIMESCALE_DSN = os.environ.get("SIGNALFLOW_TEST_TIMESCALE_DSN", "")
# A command that restarts that server. No other test may use it meanwhile.
RESTART = os.environ.get("SIGNALFLOW_TEST_TIMESCALE_RESTART", "")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not TIMESCALE_DSN, reason="SIGNALFLOW_TEST_TIMESCALE_DSN names no server with TimescaleDB"),
]
DAY = 86_400

# The rollup of the schema before revision 0010, with its policies.
AN_AGGREGATE = (
    "DROP TABLE post_metrics_hourly",
    """
CREATE MATERIALIZED VIEW post_metrics_hourly WITH (timescaledb.continuous) AS
SELECT post_id, time_bucket(interval '1 hour', observed_at) AS bucket, count(*) AS observations,
    min(score) AS min_score, max(score) AS max_score, avg(score)::double precision AS avg_score,
    max(num_comments) AS max_comments, max(score_velocity) AS max_score_velocity,
    max(comment_velocity) AS max_comment_velocity
FROM post_metrics_history GROUP BY post_id, time_bucket(interval '1 hour', observed_at) WITH NO DATA""",
    "ALTER MATERIALIZED VIEW post_metrics_hourly SET (timescaledb.materialized_only = false)",
    """
SELECT add_continuous_aggregate_policy('post_metrics_hourly', start_offset => interval '3 days',
    end_offset => interval '1 hour', schedule_interval => interval '30 minutes')""",
    "SELECT add_retention_policy('post_metrics_history', interval '90 days')",
    "SELECT add_retention_policy('post_metrics_hourly', interval '730 days')",
)


@pytest.fixture
def database_mode() -> SchemaMode:
    """All databases of this module are on the server with TimescaleDB."""
    return "timescaledb"


async def jobs(pool: Pool) -> list[str]:
    """The background jobs of this database; TimescaleDB's own have numbers below 1000."""
    found = await pool.fetch("SELECT proc_name FROM timescaledb_information.jobs WHERE job_id >= 1000")
    return [row["proc_name"] for row in found]


async def has_licence(pool: Pool) -> bool:
    """Whether the server has what the Apache edition lacks: aggregates, policies, compression."""
    return bool(await pool.fetchval("SELECT current_setting('timescaledb.license') = 'timescale'"))


async def test_history_is_a_hypertable_and_no_background_job_is_needed(pool: Pool) -> None:
    assert await check_schema(pool) == "timescaledb"
    hypertables = await pool.fetch("SELECT hypertable_name FROM timescaledb_information.hypertables")
    assert [row["hypertable_name"] for row in hypertables] == ["post_metrics_history"]
    assert await jobs(pool) == []


async def test_a_hundred_days_at_once_and_days_that_come_late_are_in_the_rollup_whatever_is_kept(pool: Pool) -> None:
    oracle = Oracle()
    for days in (range(0, 100, 2), range(1, 100, 2)):
        log = [observation("a", 60 - DAY * n, current_score=n) for n in days]
        for row in log:
            oracle.apply(row)
        await write_batch(pool, log)
        await refresh_touched(pool)
    for kept in (90, 2, 1):
        await drop_old(pool, NOON, kept)
        assert await contents(pool, "post_metrics_hourly") == oracle.hourly()
        assert len(await column(pool, "post_metrics_history", "score")) == kept + 1


async def test_a_late_observation_makes_no_chunk_of_a_dropped_day(pool: Pool) -> None:
    await write_batch(pool, [observation("a", -DAY * n, current_score=n) for n in range(5)])
    assert await drop_old(pool, NOON, 2) == 2
    chunks = "SELECT count(*) FROM timescaledb_information.chunks"
    before = await pool.fetchval(chunks)
    late = [observation("a", 9 - DAY * 4, current_score=100), observation("a", -DAY * 9000)]
    assert [rejection.index for rejection in await write_or_reject(pool, late)] == [0, 1]
    assert await pool.fetchval(chunks) == before
    await refresh_touched(pool)
    assert await column(pool, "post_metrics_hourly", "max_score") == [4, 3, 2, 1, 0]


async def test_days_older_than_a_week_are_compressed_and_still_take_late_and_repeated_observations(pool: Pool) -> None:
    log = [observation("a", -DAY * n, current_score=n) for n in range(12)]
    await write_batch(pool, log)
    assert await compress_old(pool, NOON) == (4 if await has_licence(pool) else 0)
    assert await compress_old(pool, NOON) == 0
    await write_batch(pool, [*log, observation("a", 60 - DAY * 10, current_score=100)])
    await refresh_touched(pool)
    assert len(await column(pool, "post_metrics_history", "score")) == 13
    assert await column(pool, "post_metrics_hourly", "max_score") == [11, 100, *range(9, -1, -1)]
    assert await drop_old(pool, NOON, 8) == 3


async def store(pool: Pool, log: list[Enriched]) -> None:
    """Write history as any version of the schema has it."""
    rows = [(row.id, row.observed_at, row.current_score, row.current_comments) for row in log]
    await pool.executemany(
        "INSERT INTO post_metrics_history (post_id, observed_at, score, num_comments) VALUES ($1, $2, $3, $4)", rows
    )


async def to_revision(url: str, revision: str) -> None:
    """Migrate an empty database to a revision that is not the newest."""
    async with migrate._migration_connection(url) as migrating:
        await migrating.run_sync(
            lambda connection: command.upgrade(migrate._config(connection=connection, mode="timescaledb"), revision)
        )


async def test_an_aggregate_becomes_the_table_and_keeps_every_hour(make_database: Callable[..., str]) -> None:
    url = make_database()
    await to_revision(url, "0009")
    log: list[Enriched] = [
        observation("a", second - DAY * days, current_score=days + second)
        for days in (100, 60, 5, 0)
        for second in (0, 4000)
    ]
    oracle = Oracle()
    for row in log:
        oracle.apply(row)
    async with await pool_of(url) as pool:
        if not await has_licence(pool):
            pytest.skip("the Apache edition has no continuous aggregates")
        for statement in AN_AGGREGATE:
            await pool.execute(statement)
        await store(pool, log[:2])
        refresh = "CALL refresh_continuous_aggregate('post_metrics_hourly', $1::timestamptz, $2::timestamptz)"
        await pool.execute(refresh, NOON - timedelta(days=101), NOON - timedelta(days=99))
        await pool.execute("SELECT drop_chunks('post_metrics_history', $1::timestamptz)", NOON - timedelta(days=90))
        await store(pool, log[2:])
        # Moves the watermark: what is older and was never refreshed is hidden.
        await pool.execute(refresh, NOON - timedelta(days=2), NOON + timedelta(hours=1))
        assert await contents(pool, "post_metrics_hourly") != oracle.hourly()
    await upgrade(url)
    async with await pool_of(url) as pool:
        assert await contents(pool, "post_metrics_hourly") == oracle.hourly()
        assert await jobs(pool) == []
        first: datetime = await pool.fetchval("SELECT history_from FROM schema_info")
        assert first.date() == (NOON - timedelta(days=99)).date()
        await write_batch(pool, [observation("a", 60, current_score=7)])
        await refresh_touched(pool)
        assert (await contents(pool, "post_metrics_hourly"))[-2]["observations"] == 2


async def restart_with(libraries: str | None) -> None:
    """Restart the server with these libraries; None for those of its configuration file."""
    connection = await asyncpg.connect(TIMESCALE_DSN)
    change = "RESET shared_preload_libraries" if libraries is None else f"SET shared_preload_libraries = '{libraries}'"
    await connection.execute(f"ALTER SYSTEM {change}")
    await connection.close()
    await asyncio.to_thread(subprocess.run, RESTART, shell=True, check=True)


@pytest.mark.skipif(not RESTART, reason="SIGNALFLOW_TEST_TIMESCALE_RESTART restarts no server")
async def test_what_comes_while_the_library_is_not_loaded_is_stored_once_it_is(
    settings: Settings, topics: TopicNames, pool: Pool, tmp_path: Path
) -> None:
    """Rows that a plain server put into the hypertable's root would be invisible once the library is back."""
    worker = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")

    async def says_what_is_wrong() -> bool:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{worker.url}/ready")
        return answer.status_code == 503 and "shared_preload_libraries" in answer.text

    async def has(posts: int) -> bool:
        return await count(settings, "post_metrics_history") == posts

    try:
        worker.start()
        await worker.ready()
        await publish(settings, "before", 30)
        await eventually(lambda: has(30), 30, worker.tail)
        await restart_with("plpgsql")
        await eventually(says_what_is_wrong, 60, worker.tail)
        await publish(settings, "meanwhile", 20)
        # Enriched, so the sink has tried.
        await wait_until_committed(settings, worker, topics.posts_raw, 50)
        assert await count(settings, "ONLY post_metrics_history") == 0
        await restart_with(None)
        await eventually(lambda: has(50), 60, worker.tail)
        assert await count(settings, "dlq_events") == 0
        await verified(settings, worker)
    finally:
        worker.ensure_stopped()
        await restart_with(None)
