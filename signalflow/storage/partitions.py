"""Daily partitions of post_metrics_history in native mode: made, listed, dropped. Days are UTC."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from signalflow.errors import Invalid
from signalflow.storage.advisory_locks import LOCK_SPACE, PARTITION_LOCK
from signalflow.storage.pool import Connection, Pool, connection, transaction

HISTORY_TABLE = "post_metrics_history"
# Observations are made in the present. A clock may be wrong by hours, but hardly by days.
MAX_DAYS_AHEAD = 2
# Dropping locks the parent table exclusively. While it waits for earlier writers, later writers wait behind it.
DROP_LOCK_MILLISECONDS = 2000

_LOCK = f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, {PARTITION_LOCK})"
_HISTORY_FROM = "SELECT history_from FROM schema_info"
_KEPT = "SELECT history_from, now() AS now FROM schema_info"
_EXISTS = "SELECT to_regclass($1) IS NOT NULL"
_PARTITIONS = f"""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = '{HISTORY_TABLE}'::regclass AND c.relname ~ '^{HISTORY_TABLE}_p[0-9]{{8}}$' ORDER BY 1
"""  # noqa: S608, constants
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
        await refuse_other_days(making, observed_at)
        for day in sorted({day_of(moment) for moment in observed_at}):
            await _make(making, day)


async def refuse_other_days(asking: Connection, observed_at: Sequence[datetime]) -> None:
    """Raise Invalid when one of these moments is of a day that history does not keep: dropped, or too far ahead.

    Called after the insert of these rows, in its transaction, it also sees a day that was dropped just before.
    """
    [kept] = await asking.fetch(_KEPT)
    first, last = day_of(kept["history_from"]), day_of(kept["now"]) + timedelta(days=MAX_DAYS_AHEAD)
    for day in (day_of(min(observed_at)), day_of(max(observed_at))):
        if not first <= day <= last:
            raise Invalid(f"observed_at is of {day}; history is kept from {first} to {last}", field="observed_at")


async def drop_partitions_before(pool: Pool, limit: date) -> list[date]:
    """Drop the partitions of all days before `limit`, which are never made again. Returns their days."""
    async with transaction(pool) as dropping:
        await dropping.execute(f"SET LOCAL lock_timeout = {DROP_LOCK_MILLISECONDS}")
        await dropping.execute(_LOCK)
        names = [row["relname"] for row in await dropping.fetch(_PARTITIONS)]
        dropped = [day for day in map(_day_of_name, names) if day < limit]
        for day in dropped:
            await dropping.execute(f"DROP TABLE {_name(day)}")
        if dropped:
            await dropping.execute(_FORGET_BEFORE, start_of(limit))
        return dropped


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
