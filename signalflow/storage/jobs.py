"""Upkeep of the time series: partitions for the coming days, the hourly rollup, retention, compression.

The leader calls these at intervals, in both modes. Two processes may run any of them at the same time. Each raises
Retryable when the history needs TimescaleDB and the server does not load it.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from signalflow.storage.advisory_locks import LOCK_SPACE, rollup_lock
from signalflow.storage.partitions import day_of, drop_days_before, make_partitions, start_of
from signalflow.storage.pool import CLIENT_GRACE_SECONDS, Connection, Pool, TookTooLong, connection, transaction
from signalflow.storage.schema import schema_mode

HOUR = timedelta(hours=1)
# The rollup is small beside the history.
ROLLUP_RETENTION = timedelta(days=730)
# A day gets few late observations after a week. Inserts into a compressed day cost more.
COMPRESS_AFTER = timedelta(days=7)
# Recomputing one hour reads the partition of its day, and compressing rewrites it. Both may take longer than any flush
# of the sink.
REFRESH_SECONDS = 120

_LOCK = "SELECT pg_advisory_xact_lock($1, $2)"
_TOUCHED = "SELECT DISTINCT bucket FROM rollup_touched ORDER BY bucket"
_TOUCHED_BEFORE = "SELECT DISTINCT bucket FROM rollup_touched WHERE bucket < $1 ORDER BY bucket"
_WAITING_SECONDS = """
SELECT greatest(extract(epoch FROM now() - min(bucket) - interval '1 hour'), 0)::double precision FROM rollup_touched
"""
_UNTOUCH = "DELETE FROM rollup_touched WHERE bucket = $1"
_DROP_RANKS = "DELETE FROM post_ranks WHERE observed_at < $1"
_DROP_ROLLUP = "DELETE FROM post_metrics_hourly WHERE bucket < $1"
# Hours of dropped days keep their rollup: rows that are left of such a day must not replace the rollup of all its rows.
_RECOMPUTE = """
INSERT INTO post_metrics_hourly AS h
    (post_id, bucket, observations, min_score, max_score, avg_score, max_comments,
    max_score_velocity, max_comment_velocity)
SELECT post_id, $1::timestamptz, count(*), min(score), max(score), avg(score)::double precision, max(num_comments),
    max(score_velocity), max(comment_velocity)
FROM post_metrics_history
WHERE observed_at >= $1 AND observed_at < $1::timestamptz + interval '1 hour'
    AND $1 >= (SELECT history_from FROM schema_info)
GROUP BY post_id
ON CONFLICT (post_id, bucket) DO UPDATE SET
    observations = EXCLUDED.observations, min_score = EXCLUDED.min_score, max_score = EXCLUDED.max_score,
    avg_score = EXCLUDED.avg_score, max_comments = EXCLUDED.max_comments,
    max_score_velocity = EXCLUDED.max_score_velocity, max_comment_velocity = EXCLUDED.max_comment_velocity
WHERE (h.observations, h.min_score, h.max_score, h.avg_score,
        h.max_comments, h.max_score_velocity, h.max_comment_velocity)
    IS DISTINCT FROM (EXCLUDED.observations, EXCLUDED.min_score, EXCLUDED.max_score, EXCLUDED.avg_score,
        EXCLUDED.max_comments, EXCLUDED.max_score_velocity, EXCLUDED.max_comment_velocity)
"""
# The oldest chunk that is old enough. Only TimescaleDB's own licence has compression.
_COMPRESS = """
SELECT compress_chunk(chunk) FROM (
    SELECT format('%I.%I', c.chunk_schema, c.chunk_name)::regclass AS chunk
    FROM timescaledb_information.chunks AS c
    JOIN timescaledb_information.hypertables AS h USING (hypertable_schema, hypertable_name)
    WHERE hypertable_name = 'post_metrics_history' AND h.compression_enabled AND NOT c.is_compressed
        AND c.range_end <= $1 AND current_setting('timescaledb.license', true) = 'timescale'
    ORDER BY c.range_start LIMIT 1
) AS oldest
"""


async def ensure_partitions(pool: Pool, now: datetime, days_ahead: int) -> int:
    """Make the missing partitions from yesterday (late observations) to `days_ahead` days from now.

    Returns how many. A hypertable makes its chunks itself.
    """
    if await schema_mode(pool) == "timescaledb":
        return 0
    today = day_of(now)
    return len(await make_partitions(pool, (today + timedelta(days=n) for n in range(-1, days_ahead + 1))))


async def drop_old(pool: Pool, now: datetime, days: int) -> int:
    """Drop history and ranks older than `days` whole days, and rollup older than two years.

    Returns the number of dropped days. Their rollup is brought up to date first. A day that has an hour whose rollup
    takes too long is kept until the next call, with the days after it; then TookTooLong is raised at the end. Raises
    Retryable when writers held the table for too long.
    """
    mode = await schema_mode(pool)
    limit = start_of(day_of(now - timedelta(days=days)))
    async with connection(pool) as reading:
        waiting = [row["bucket"] for row in await reading.fetch(_TOUCHED_BEFORE, limit)]
    slow = await _recompute_each(pool, waiting)
    dropped = await drop_days_before(pool, limit, mode)
    async with connection(pool) as deleting:
        await deleting.execute(_DROP_ROLLUP, now - ROLLUP_RETENTION)
        await deleting.execute(_DROP_RANKS, limit)
    if slow:
        raise slow
    return dropped


async def refresh_touched(pool: Pool) -> int:
    """Recompute the hours that got rows since the last call, however late the rows were. Returns how many hours.

    The list of these hours is written in the transaction of their rows, so no row is missed. An hour that takes too
    long stays on the list and holds up no other; then TookTooLong is raised at the end.
    """
    await schema_mode(pool)
    async with connection(pool) as reading:
        buckets = [row["bucket"] for row in await reading.fetch(_TOUCHED)]
    slow = await _recompute_each(pool, buckets)
    if slow:
        raise slow
    return len(buckets)


async def rollup_waiting_seconds(pool: Pool) -> float:
    """Seconds since the end of the oldest hour that got rows and was not recomputed; 0 when none waits, or it runs."""
    async with connection(pool) as reading:
        found: float | None = await reading.fetchval(_WAITING_SECONDS)
        return found or 0.0


async def refresh_rollup(pool: Pool, start: datetime, end: datetime) -> int:
    """Recompute every hour that overlaps [start, end), whether it got rows or not. Returns how many hours."""
    await schema_mode(pool)
    bucket = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = 0
    while bucket < end:
        await _recompute(pool, bucket)
        bucket += HOUR
        hours += 1
    return hours


async def compress_old(pool: Pool, now: datetime) -> int:
    """Compress the chunks that are older than COMPRESS_AFTER, oldest first. Returns how many.

    There is nothing to compress in native mode, and with the Apache edition of TimescaleDB.
    """
    if await schema_mode(pool) == "native":
        return 0
    compressed = 0
    while await _compress_oldest(pool, now - COMPRESS_AFTER):
        compressed += 1
    return compressed


async def _compress_oldest(pool: Pool, before: datetime) -> bool:
    async with transaction(pool) as compressing:
        await _take_long(compressing)
        found = await compressing.fetchval(_COMPRESS, before, timeout=REFRESH_SECONDS + CLIENT_GRACE_SECONDS)
        return found is not None


async def _recompute_each(pool: Pool, buckets: Iterable[datetime]) -> TookTooLong | None:
    """Recompute these hours. An hour that takes too long holds up no other; returns the first such error."""
    first: TookTooLong | None = None
    for bucket in buckets:
        try:
            await _recompute(pool, bucket)
        except TookTooLong as error:
            first = first or error
    return first


async def _recompute(pool: Pool, bucket: datetime) -> None:
    async with transaction(pool) as refreshing:
        await _take_long(refreshing)
        await refreshing.execute(_LOCK, LOCK_SPACE, rollup_lock(bucket), timeout=REFRESH_SECONDS + CLIENT_GRACE_SECONDS)
        # The list first, then the rows: an entry was committed with its rows, so the next statement sees them.
        await refreshing.execute(_UNTOUCH, bucket)
        await refreshing.execute(_RECOMPUTE, bucket, timeout=REFRESH_SECONDS + CLIENT_GRACE_SECONDS)


async def _take_long(working: Connection) -> None:
    """Let each statement of this transaction take REFRESH_SECONDS, with its waits for locks."""
    await working.execute(f"SET LOCAL statement_timeout = '{REFRESH_SECONDS}s'; SET LOCAL lock_timeout = 0")
