"""Tables stored_positions, log_breaks and topics_read.

stored_positions: how far a topic's partitions are stored, written in the transaction that stores the rows.

A database that went back to an earlier state (a restored copy, a standby that lacked the last seconds) thereby tells
what it lacks, at the latest when it is written next. Of the raw topic, which no transaction stores, it has how far the
topic was read. Brokers that lose the end of that log and the group's commits with it are found out by this, if a worker
had read what is lost (otherwise by published_positions.py).

log_breaks: where a log was found shorter than what was committed, or made anew. Rows and velocities from before may
rest on records that no topic has any more.

topics_read: the ids of the topics that fill the tables. Another id is the break of a log. Consumers that read the topic
before notice it too, and record how far they had read. Nobody may have: the topic was made anew while no worker ran, or
the database was brought to another Kafka.
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from asyncpg import Record

from signalflow.domain.positions import Break, Position
from signalflow.errors import SignalflowError
from signalflow.storage.pool import Connection, Pool, connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Updates only rows that have what the writer stored before. A higher position comes from a repetition, or from a log
# that was cut since: then a lower offset has a later record, and the position must be set back before anything passes
# it.
_ADVANCE = """
UPDATE stored_positions AS p SET
    next_offset = greatest(a.next_offset, p.next_offset),
    record_at = CASE WHEN a.next_offset > p.next_offset THEN a.ends_at ELSE p.record_at END,
    updated_at = now()
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
    AS a (partition, expected, next_offset, begins_at, ends_at)
WHERE p.topic_id = $1 AND p.partition = a.partition AND (
    p.next_offset = a.expected
    OR p.next_offset > a.expected AND (a.begins_at <= p.record_at OR p.record_at IS NULL)
)
RETURNING p.partition
"""
_OF_TOPIC = "SELECT partition, next_offset, record_at FROM stored_positions WHERE topic_id = $1"
# After this the records below the offset count as stored: they are, or no log has them any more.
_MOVE_FORWARD = """
INSERT INTO stored_positions AS p (topic_id, partition, next_offset) VALUES ($1, $2, $3)
ON CONFLICT (topic_id, partition) DO UPDATE SET
    next_offset = EXCLUDED.next_offset, record_at = NULL, updated_at = now()
WHERE p.next_offset < EXCLUDED.next_offset
"""
# Not when a transaction has advanced the position meanwhile.
_SET_BACK = """
UPDATE stored_positions SET next_offset = $4, record_at = NULL, updated_at = now()
WHERE topic_id = $1 AND partition = $2 AND next_offset = $3
"""
# A worker writes the partitions that it owns. After a rewind its position is lower than before.
_NOTE_READ = """
INSERT INTO stored_positions AS p (topic_id, partition, next_offset, record_at)
SELECT $1, g.* FROM unnest($2::int[], $3::bigint[], $4::timestamptz[]) AS g (partition, next_offset, record_at)
ORDER BY partition
ON CONFLICT (topic_id, partition) DO UPDATE SET
    next_offset = EXCLUDED.next_offset, record_at = EXCLUDED.record_at, updated_at = now()
"""
# A break that was recorded since a position `p` of the topic $2 was noted tells the same as the position would.
UNBROKEN = """NOT EXISTS (
    SELECT FROM log_breaks b WHERE b.topic = $2 AND b.partition = p.partition AND b.noticed_at >= p.updated_at
)"""
_READ_UNBROKEN = f"""
SELECT partition, next_offset, record_at FROM stored_positions p WHERE topic_id = $1 AND {UNBROKEN}
"""  # noqa: S608, a constant
_NOTE_BREAK = """
INSERT INTO log_breaks (topic, partition, reason, committed, going_on_at) VALUES ($1, $2, $3, $4, $5)
"""
# A worker that waited for another one's row lock finds the id unchanged.
_NOTE_TOPICS = """
WITH given AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS g (topic, topic_id)),
changed AS (
    SELECT topic FROM given JOIN topics_read r USING (topic) WHERE r.topic_id <> given.topic_id FOR UPDATE OF r
),
noted AS (
    INSERT INTO topics_read AS r (topic, topic_id) SELECT topic, topic_id FROM given ORDER BY topic
    ON CONFLICT (topic) DO UPDATE SET topic_id = EXCLUDED.topic_id, since = now()
    WHERE r.topic_id <> EXCLUDED.topic_id
)
INSERT INTO log_breaks (topic, reason, going_on_at) SELECT topic, $3, 0 FROM changed
RETURNING topic
"""


@dataclass(frozen=True, slots=True)
class Advance:
    """Records of one partition that a transaction stores.

    `expected`: the database must have stored everything below this offset. `next_offset`: after the last record.
    `begins_at` and `ends_at`: the times of the first and the last record in the log.
    """

    partition: int
    expected: int
    next_offset: int
    begins_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Advances:
    """Advances of partitions of one topic, at most one a partition, in the order of the partitions."""

    topic_id: UUID
    of_partitions: Sequence[Advance]


class StoredBehind(SignalflowError):
    """The database has not stored what its writer stored before, or has no position of these partitions.

    Or its position is one of a log that was cut since. Nothing of the transaction is stored.
    """

    def __init__(self, partitions: Sequence[int]) -> None:
        super().__init__(f"the database has other positions than what was stored in partitions {list(partitions)}")


class LogRecord(Protocol):
    """A record of the topic that is stored. `timestamp`: milliseconds since 1970."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...


class Progress:
    """How far the writer of a topic has stored it: tells each transaction what it advances.

    `expected`: by partition, the offset below which everything was stored. It moves with what is stored.
    """

    def __init__(self, topic_id: UUID, expected: MutableMapping[int, int]) -> None:
        self.topic_id, self.expected = topic_id, expected

    def advances(self, records: Sequence[LogRecord]) -> Advances:
        """What a transaction advances that stores these records, which are in offset order within a partition."""
        lasts = {record.partition: record for record in records}
        firsts = {record.partition: record for record in reversed(records)}
        return Advances(
            self.topic_id,
            [
                Advance(
                    partition,
                    self.expected[partition],
                    lasts[partition].offset + 1,
                    _at(firsts[partition].timestamp),
                    _at(lasts[partition].timestamp),
                )
                for partition in sorted(lasts)
            ],
        )

    def stored(self, advances: Advances) -> None:
        """Note that a transaction with these advances was committed. A repetition takes back nothing."""
        for each in advances.of_partitions:
            self.expected[each.partition] = max(self.expected[each.partition], each.next_offset)


def _at(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


async def advance(storing: Connection, advances: Advances) -> None:
    """Advance positions, inside the transaction that stores the rows. Raises StoredBehind."""
    given = advances.of_partitions
    rows = await storing.fetch(
        _ADVANCE,
        advances.topic_id,
        [each.partition for each in given],
        [each.expected for each in given],
        [each.next_offset for each in given],
        [each.begins_at for each in given],
        [each.ends_at for each in given],
    )
    if len(rows) < len(given):
        found = {partition for (partition,) in rows}
        raise StoredBehind([each.partition for each in given if each.partition not in found])


async def stored_positions(pool: Pool, topic_id: UUID) -> Mapping[int, Position]:
    """By partition of a topic, the position up to which its records are stored."""
    async with connection(pool) as reading:
        return positions_of(topic_id, await reading.fetch(_OF_TOPIC, topic_id))


async def note_read(pool: Pool, topic_id: UUID, positions: Mapping[int, Position]) -> None:
    """Note how far partitions of a topic were read whose records no transaction stores."""
    async with connection(pool) as writing:
        await writing.execute(_NOTE_READ, topic_id, *columns_of(positions))


async def read_positions(pool: Pool, topic: str, topic_id: UUID) -> Mapping[int, Position]:
    """By partition of a topic, how far it was read; without the partitions of which a break was recorded since."""
    async with connection(pool) as reading:
        return positions_of(topic_id, await reading.fetch(_READ_UNBROKEN, topic_id, topic))


def columns_of(positions: Mapping[int, Position]) -> tuple[list[int], list[int], list[datetime | None]]:
    """Partitions, offsets and times, as statements take them."""
    kept = positions.values()
    times = [None if position.timestamp is None else _at(position.timestamp) for position in kept]
    return list(positions), [position.offset for position in kept], times


def positions_of(topic_id: UUID, rows: Iterable[Record]) -> Mapping[int, Position]:
    """The positions that rows tell, by partition."""
    return {row["partition"]: Position(row["next_offset"], topic_id, _milliseconds(row["record_at"])) for row in rows}


def _milliseconds(at: datetime | None) -> int | None:
    return None if at is None else (at - _EPOCH) // timedelta(milliseconds=1)


async def count_as_stored(pool: Pool, topic_id: UUID, partition: int, below: int) -> None:
    """Let the records below an offset count as stored."""
    async with connection(pool) as writing:
        await writing.execute(_MOVE_FORWARD, topic_id, partition, below)


async def set_back(pool: Pool, topic_id: UUID, partition: int, position: int, to: int) -> None:
    """Set a position back to where the log was cut. Does nothing when it has moved since it was read."""
    async with connection(pool) as writing:
        await writing.execute(_SET_BACK, topic_id, partition, position, to)


async def note_topics(pool: Pool, ids: Mapping[str, UUID]) -> Sequence[str]:
    """Note the ids that topics have now. Record the break of those that had others until now; returns their names."""
    async with connection(pool) as writing:
        rows = await writing.fetch(_NOTE_TOPICS, list(ids), list(ids.values()), Break.TOPIC_MADE_ANEW.value)
    return [topic for (topic,) in rows]


async def note_break(pool: Pool, *, topic: str, partition: int, reason: str, committed: int, going_on_at: int) -> None:
    """Record that a log was found broken: it was committed up to an offset, and is read on at another one."""
    async with connection(pool) as writing:
        await writing.execute(_NOTE_BREAK, topic, partition, reason, committed, going_on_at)
