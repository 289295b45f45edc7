"""How far the raw topic was read and written, as workers note it: no transaction stores its records.

Brokers that lose the end of that log may lose the commits of its readers with it. What was read (table
stored_positions) then tells that records were there; of records that nobody had read, only what was written tells
(table published_positions).
"""

from collections.abc import Mapping
from uuid import UUID

from signalflow.domain.positions import Position
from signalflow.storage.pool import Pool, connection
from signalflow.storage.positions import moment_of, positions_of


class NotedPositions:
    """The positions in one table. `update_if`: the condition under which a note replaces an earlier one, `p`."""

    def __init__(self, table: str, update_if: str = "true") -> None:
        self._note = f"""
            INSERT INTO {table} AS p (topic_id, partition, next_offset, record_at)
            SELECT $1, g.*
            FROM unnest($2::int[], $3::bigint[], $4::timestamptz[]) AS g (partition, next_offset, record_at)
            ORDER BY partition
            ON CONFLICT (topic_id, partition) DO UPDATE SET
                next_offset = EXCLUDED.next_offset, record_at = EXCLUDED.record_at, updated_at = now()
            WHERE {update_if}
        """  # noqa: S608, constants
        # A break that was recorded since a position was noted tells the same as the position would.
        self._unbroken = f"""
            SELECT partition, next_offset, record_at FROM {table} AS p
            WHERE topic_id = $1 AND NOT EXISTS (
                SELECT FROM log_breaks b
                WHERE b.topic = $2 AND b.partition = p.partition AND b.noticed_at >= p.updated_at
            )
        """  # noqa: S608, a constant

    async def note(self, pool: Pool, topic_id: UUID, positions: Mapping[int, Position]) -> None:
        """Note positions in partitions of a topic. Raises Retryable."""
        of_partitions = positions.values()
        times = [None if each.timestamp is None else moment_of(each.timestamp) for each in of_partitions]
        async with connection(pool) as writing:
            await writing.execute(self._note, topic_id, list(positions), [each.offset for each in of_partitions], times)

    async def unbroken(self, pool: Pool, topic: str, topic_id: UUID) -> Mapping[int, Position]:
        """The noted positions by partition, without those of which a break was recorded since. Raises Retryable."""
        async with connection(pool) as reading:
            return positions_of(topic_id, await reading.fetch(self._unbroken, topic_id, topic))


# A worker notes what it has read of the partitions that it owns. After a rewind its position is lower than before.
READ = NotedPositions("stored_positions")
# The poller notes what the brokers confirmed; each position has a time. What has an earlier time is a note that came
# late.
PUBLISHED = NotedPositions(
    "published_positions", "EXCLUDED.next_offset > p.next_offset OR EXCLUDED.record_at > p.record_at"
)
