"""Upkeep of the time series: partitions for the coming days, retention, the hourly rollup.

The leader calls these at intervals. In timescaledb mode TimescaleDB's own policies do the work, and these functions
only make the policies agree with the settings. Two processes may run any of them at the same time.
"""

from datetime import UTC, datetime, timedelta

from signalflow.storage.advisory_locks import LOCK_SPACE, ROLLUP_LOCK
from signalflow.storage.partitions import day_of, drop_partitions_before, make_partitions
from signalflow.storage.pool import CLIENT_GRACE_SECONDS, Pool, connection, transaction
from signalflow.storage.schema import schema_mode

HOUR = timedelta(hours=1)
# The rollup is small beside the history. The policy of timescaledb mode has the same figure (migrations, 0001).
ROLLUP_RETENTION = timedelta(days=730)
# Recomputing one hour reads the partition of its day, which may take longer than any flush of the sink.
REFRESH_SECONDS = 120

_LOCK = f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, {ROLLUP_LOCK})"
_TOUCHED = "SELECT DISTINCT bucket FROM rollup_touched ORDER BY bucket"
_UNTOUCH = "DELETE FROM rollup_touched WHERE bucket = $1"
_UNTOUCH_ALL = "DELETE FROM rollup_touched"
_DROP_ROLLUP = "DELETE FROM post_metrics_hourly WHERE bucket < $1"
# Hours whose rows retention has dropped keep their rollup: a dropped day gets no partition again, so no late row can
# replace the rollup of all its rows.
_RECOMPUTE = """
INSERT INTO post_metrics_hourly AS h
    (post_id, bucket, observations, min_score, max_score, avg_score, max_comments,
    max_score_velocity, max_comment_velocity)
SELECT post_id, $1::timestamptz, count(*), min(score), max(score), avg(score)::double precision, max(num_comments),
    max(score_velocity), max(comment_velocity)
FROM post_metrics_history
WHERE observed_at >= $1 AND observed_at < $1::timestamptz + interval '1 hour'
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
_POLICY_AGE = """
SELECT (config ->> 'drop_after')::interval FROM timescaledb_information.jobs
WHERE proc_name = 'policy_retention' AND hypertable_name = 'post_metrics_history'
"""
_REMOVE_POLICY = "SELECT remove_retention_policy('post_metrics_history', if_exists => true)"
_ADD_POLICY = "SELECT add_retention_policy('post_metrics_history', $1::interval)"


async def ensure_partitions(pool: Pool, now: datetime, days_ahead: int) -> int:
    """Make the missing partitions from yesterday (late observations) to `days_ahead` days from now.

    Returns how many.
    """
    if await schema_mode(pool) == "timescaledb":
        return 0
    today = day_of(now)
    return len(await make_partitions(pool, (today + timedelta(days=n) for n in range(-1, days_ahead + 1))))


async def drop_old(pool: Pool, now: datetime, days: int) -> int:
    """Drop history older than `days` whole days, and rollup older than two years.

    Returns the number of dropped partitions. The rollup is brought up to date first. Raises Retryable when writers held
    the table for too long.
    """
    if await schema_mode(pool) == "timescaledb":
        await _align_policy(pool, timedelta(days=days))
        return 0
    await refresh_touched(pool)
    dropped = await drop_partitions_before(pool, day_of(now - timedelta(days=days)))
    async with connection(pool) as deleting:
        await deleting.execute(_DROP_ROLLUP, now - ROLLUP_RETENTION)
    return len(dropped)


async def refresh_touched(pool: Pool) -> int:
    """Recompute the hours that got rows since the last call, however late the rows were. Returns how many hours.

    The list of these hours is written in the transaction of their rows, so no row is missed.
    """
    if await schema_mode(pool) == "timescaledb":
        async with connection(pool) as clearing:
            await clearing.execute(_UNTOUCH_ALL)
        return 0
    async with connection(pool) as reading:
        buckets = [row["bucket"] for row in await reading.fetch(_TOUCHED)]
    for bucket in buckets:
        await _recompute(pool, bucket)
    return len(buckets)


async def refresh_rollup(pool: Pool, start: datetime, end: datetime) -> int:
    """Recompute every hour that overlaps [start, end), whether it got rows or not. Returns how many hours."""
    if await schema_mode(pool) == "timescaledb":
        return 0
    bucket = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = 0
    while bucket < end:
        await _recompute(pool, bucket)
        bucket += HOUR
        hours += 1
    return hours


async def _recompute(pool: Pool, bucket: datetime) -> None:
    async with transaction(pool) as refreshing:
        await refreshing.execute(_LOCK)
        await refreshing.execute(f"SET LOCAL statement_timeout = '{REFRESH_SECONDS}s'")
        # The list first, then the rows: an entry was committed with its rows, so the next statement sees them.
        await refreshing.execute(_UNTOUCH, bucket)
        await refreshing.execute(_RECOMPUTE, bucket, timeout=REFRESH_SECONDS + CLIENT_GRACE_SECONDS)


async def _align_policy(pool: Pool, age: timedelta) -> None:
    async with transaction(pool) as aligning:
        if await aligning.fetchval(_POLICY_AGE) != age:
            await aligning.execute(_REMOVE_POLICY)
            await aligning.execute(_ADD_POLICY, age)
