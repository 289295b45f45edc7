"""The days of post_metrics_history: partitions in native mode, chunks in TimescaleDB mode. Days are UTC."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from signalflow.domain.words import SchemaMode
from signalflow.errors import Invalid
from signalflow.storage.advisory_locks import LOCK_SPACE, PARTITION_LOCK
from signalflow.storage.pool import Connection, Pool, connection, transaction

HISTORY_TABLE = "post_metrics_history"
# Observations are made in the present. A clock may be wrong by hours, but hardly by days.
MAX_DAYS_AHEAD = 2
# Dropping locks the table exclusively. While it waits for earlier writers, later writers wait behind it.
DROP_LOCK_MILLISECONDS = 2000

_LOCK = f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, {PARTITION_LOCK})"
_HISTORY_FROM = "SELECT history_from FROM schema_info"
_KEPT = "SELECT history_from, now() AS now FROM schema_info"
_EXISTS = "SELECT to_regclass($1) IS NOT NULL"
_PARTITIONS = f"""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = '{HISTORY_TABLE}'::regclass AND c.relname ~ '^{HISTORY_TABLE}_p[0-9]{{8}}$' ORDER BY 1
"""  # noqa: S608, constants
_CHUNKS_BEFORE = f"""
SELECT chunk_name FROM timescaledb_information.chunks WHERE hypertable_name = '{HISTORY_TABLE}' AND range_end <= $1
"""  # noqa: S608, constant
_DROP_CHUNKS = f"SELECT drop_chunks('{HISTORY_TABLE}', older_than => $1::timestamptz)"
_LOCK_OUT_WRITERS = f"LOCK TABLE ONLY {HISTORY_TABLE} IN ACCESS EXCLUSIVE MODE"
_FIRST_WAITING = "SELECT min(bucket) FROM rollup_touched WHERE bucket < $1"
_FORGET_BEFORE = "UPDATE schema_info SET history_from = GREATEST(history_from, $1)"


async def database_time(pool: Pool) -> datetime:
    """The database's clock. What is dropped or refused for good depends on this one clock, not on the leader's."""
    async with connection(pool) as asking:
        now: datetime = await asking.fetchval("SELECT now()")
        return now


def day_of(moment: datetime) -> date:
    """The UTC day of a moment."""
    return moment.astimezone(UTC).date()


def start_of(day: date) -> datetime:
    """The first moment of a UTC day."""
    return datetime.combine(day, time(), UTC)


async def make_partitions(pool: Pool, days: Iterable[date]) -> list[date]:
    """Make the missing partitions of these days, and return their days. A dropped day gets no partition again."""
    async with transaction(pool) as making:
        await making.execute(_LOCK)
        first = day_of(await making.fetchval(_HISTORY_FROM))
        return [day for day in sorted(set(days)) if day >= first and await _make(making, day)]


async def make_partitions_of_observations(pool: Pool, observed_at: Sequence[datetime]) -> None:
    """Make the partitions that these observations need. Raises Invalid for a day that history does not keep."""
    async with transaction(pool) as making:
        await making.execute(_LOCK)
        [kept] = await making.fetch(_KEPT)
        refuse_other_days(observed_at, kept["history_from"], kept["now"])
        for day in sorted({day_of(moment) for moment in observed_at}):
            await _make(making, day)


def refuse_other_days(observed_at: Sequence[datetime], history_from: datetime, now: datetime) -> None:
    """Raise Invalid when one of these moments is of a day that history does not keep: dropped, or too far ahead."""
    first, last = day_of(history_from), day_of(now) + timedelta(days=MAX_DAYS_AHEAD)
    for day in (day_of(min(observed_at)), day_of(max(observed_at))):
        if not first <= day <= last:
            raise Invalid(f"observed_at is of {day}; history is kept from {first} to {last}", field="observed_at")


async def drop_days_before(pool: Pool, limit: datetime, mode: SchemaMode) -> int:
    """Drop the partitions or chunks of all days before `limit`, the start of a day. They are never made again.

    Returns how many days. The first day with an hour whose rollup waits to be computed is kept, with those after it.
    """
    async with transaction(pool) as dropping:
        await dropping.execute(f"SET LOCAL lock_timeout = {DROP_LOCK_MILLISECONDS}")
        await dropping.execute(_LOCK)
        if not await _days_before(dropping, limit, mode):
            return 0
        # From here on no writer adds a row, or an hour to the list.
        await dropping.execute(_LOCK_OUT_WRITERS)
        waiting = await dropping.fetchval(_FIRST_WAITING, limit)
        if waiting is not None:
            limit = start_of(day_of(waiting))
        days = await _days_before(dropping, limit, mode)
        if not days:
            return 0
        if mode == "timescaledb":
            await dropping.execute(_DROP_CHUNKS, limit)
        else:
            for name in days:
                await dropping.execute(f"DROP TABLE {name}")
        await dropping.execute(_FORGET_BEFORE, limit)
        return len(days)


async def _days_before(asking: Connection, limit: datetime, mode: SchemaMode) -> list[str]:
    """The names of the partitions or chunks whose rows are all older than `limit`."""
    if mode == "timescaledb":
        return [row["chunk_name"] for row in await asking.fetch(_CHUNKS_BEFORE, limit)]
    names = [row["relname"] for row in await asking.fetch(_PARTITIONS)]
    return [name for name in names if start_of(_day_of_name(name)) < limit]


async def _make(making: Connection, day: date) -> bool:
    """Make a partition. Returns False when it exists.

    It is made as a table and then attached: CREATE TABLE ... PARTITION OF would lock all writers out of the parent.
    """
    name = _name(day)
    if await making.fetchval(_EXISTS, name):
        return False
    bounds = f"FROM ('{start_of(day).isoformat()}') TO ('{start_of(day + timedelta(days=1)).isoformat()}')"
    await making.execute(f"CREATE TABLE {name} (LIKE {HISTORY_TABLE} INCLUDING ALL)")
    await making.execute(f"ALTER TABLE {HISTORY_TABLE} ATTACH PARTITION {name} FOR VALUES {bounds}")
    return True


def _name(day: date) -> str:
    return f"{HISTORY_TABLE}_p{day:%Y%m%d}"


def _day_of_name(name: str) -> date:
    return datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
