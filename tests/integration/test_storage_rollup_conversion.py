"""A continuous aggregate becomes the table of the rollup, and no hour is lost that history or aggregate still has.

Here a view stands in for the aggregate: the statement that keeps every hour only reads it. The whole revision runs in
test_storage_timescaledb.py, where there is a server.
"""

from datetime import datetime, timedelta

from migrations.versions.r0010_one_rollup import KEEP_EVERY_HOUR
from signalflow.events import Enriched
from signalflow.storage.jobs import drop_old, refresh_rollup, refresh_touched
from signalflow.storage.partitions import start_of
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch
from tests.integration.storage_oracle import Oracle
from tests.integration.storage_rows import NOON, contents, observation

AN_AGGREGATE = (
    "ALTER TABLE post_metrics_hourly RENAME TO materialized",
    "CREATE TABLE post_metrics_hourly_table (LIKE materialized INCLUDING ALL)",
    "CREATE VIEW post_metrics_hourly AS SELECT * FROM materialized",
)
A_TABLE = (
    "DROP VIEW post_metrics_hourly",
    "ALTER TABLE post_metrics_hourly_table RENAME TO post_metrics_hourly",
)


def ago(days: int) -> datetime:
    return NOON - timedelta(days=days)


def seen(days_ago: int, second: int = 0) -> Enriched:
    """An observation with a score of its own."""
    return observation("a", second - 86_400 * days_ago, current_score=second + days_ago)


async def run(pool: Pool, *statements: str) -> None:
    for statement in statements:
        await pool.execute(statement)


async def history_from(pool: Pool) -> datetime:
    moment: datetime = await pool.fetchval("SELECT history_from FROM schema_info")
    return moment


async def test_every_hour_is_kept_that_history_or_aggregate_still_has(pool: Pool) -> None:
    log = [seen(days, second) for days in (5000, 100, 95, 60, 30, 5, 0) for second in (0, 60, 4000)]
    oracle = Oracle()
    for row in log:
        oracle.apply(row)
    await write_batch(pool, log)
    await refresh_touched(pool)
    await run(pool, *AN_AGGREGATE)
    # What retention dropped, and a late observation that made a chunk of such a day again.
    await pool.execute("DELETE FROM post_metrics_history WHERE observed_at < $1", ago(90))
    late = "INSERT INTO post_metrics_history (post_id, observed_at, score, num_comments) VALUES ('a', $1, 999, 0)"
    await pool.execute(late, ago(95) + timedelta(minutes=3))
    # What was never refreshed, or deleted by a window that was too wide.
    await pool.execute("DELETE FROM materialized WHERE bucket >= $1 AND bucket < $2", ago(61), ago(29))
    await pool.execute("DELETE FROM materialized WHERE bucket >= $1", NOON)
    # What was refreshed before the last observations came.
    await pool.execute("UPDATE materialized SET observations = 1, max_score = 5 WHERE bucket = $1", ago(5))
    await pool.execute("INSERT INTO rollup_touched VALUES ($1)", ago(95))

    await run(pool, KEEP_EVERY_HOUR, *A_TABLE)

    assert await contents(pool, "post_metrics_hourly") == oracle.hourly()
    assert await history_from(pool) == start_of(ago(94).date())
    assert await refresh_touched(pool) == 0
    await refresh_rollup(pool, ago(96), NOON)
    assert await contents(pool, "post_metrics_hourly") == oracle.hourly()
    await drop_old(pool, NOON, 90)
    assert await contents(pool, "post_metrics_hourly") == [row for row in oracle.hourly() if row["bucket"] > ago(730)]


async def test_history_without_a_loss_keeps_its_beginning(pool: Pool) -> None:
    await write_batch(pool, [seen(3), seen(0)])
    before = await history_from(pool)
    await run(pool, *AN_AGGREGATE, KEEP_EVERY_HOUR, *A_TABLE)
    assert await history_from(pool) == before
    assert [row["max_score"] for row in await contents(pool, "post_metrics_hourly")] == [3, 0]


async def test_rows_deleted_by_hand_today_do_not_make_history_refuse_today(pool: Pool) -> None:
    today: datetime = await pool.fetchval("SELECT date_trunc('day', now(), 'UTC')")
    await write_batch(pool, [observation("a", observed_at=today)])
    await refresh_touched(pool)
    await run(pool, *AN_AGGREGATE, "DELETE FROM post_metrics_history", KEEP_EVERY_HOUR, *A_TABLE)
    assert await history_from(pool) == today - timedelta(days=1)
    await write_batch(pool, [observation("a", observed_at=today)])


async def test_an_empty_database_is_converted(pool: Pool) -> None:
    await run(pool, *AN_AGGREGATE, KEEP_EVERY_HOUR, *A_TABLE)
    assert await contents(pool, "post_metrics_hourly") == []
