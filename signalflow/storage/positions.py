"""Table stored_positions: how far a topic's partitions are stored, written in the transaction that stores the rows.

A database that went back to an earlier state (a restored copy, a standby that lacked the last seconds) thereby tells
what it lacks, at the latest when it is written next. Of the raw topic and the inputs of signals, which no transaction
stores, the table has how far they were read (noted_positions.py).
"""

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from asyncpg import Record

from signalflow.domain.positions import Position
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
                    moment_of(firsts[partition].timestamp),
                    moment_of(lasts[partition].timestamp),
                )
                for partition in sorted(lasts)
            ],
        )

    def stored(self, advances: Advances) -> None:
        """Note that a transaction with these advances was committed. A repetition takes back nothing."""
        for each in advances.of_partitions:
            self.expected[each.partition] = max(self.expected[each.partition], each.next_offset)


def moment_of(milliseconds: int) -> datetime:
    """The time that a log gives as milliseconds since 1970."""
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
