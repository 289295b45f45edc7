"""Table published_positions: how far the poller wrote the raw topic, as the brokers confirmed it.

Brokers that lose the end of a log may lose records that no worker has read. Then no position of a reader is beyond the
end, and this one alone tells that they were there.
"""

from collections.abc import Mapping
from uuid import UUID

from signalflow.domain.positions import Position
from signalflow.storage.pool import Pool, connection
from signalflow.storage.positions import UNBROKEN, columns_of, positions_of

# What has an earlier time is a note that came late.
_NOTE = """
INSERT INTO published_positions AS p (topic_id, partition, next_offset, record_at)
SELECT $1, g.* FROM unnest($2::int[], $3::bigint[], $4::timestamptz[]) AS g (partition, next_offset, record_at)
ORDER BY partition
ON CONFLICT (topic_id, partition) DO UPDATE SET
    next_offset = EXCLUDED.next_offset, record_at = EXCLUDED.record_at, updated_at = now()
WHERE EXCLUDED.next_offset > p.next_offset OR EXCLUDED.record_at > p.record_at
"""
_OF_TOPIC = f"""
SELECT partition, next_offset, record_at FROM published_positions AS p WHERE topic_id = $1 AND {UNBROKEN}
"""  # noqa: S608, a constant


async def note_published(pool: Pool, topic_id: UUID, positions: Mapping[int, Position]) -> None:
    """Note how far partitions of a topic were written; each position has a time. Raises Retryable."""
    async with connection(pool) as writing:
        await writing.execute(_NOTE, topic_id, *columns_of(positions))


async def published_positions(pool: Pool, topic: str, topic_id: UUID) -> Mapping[int, Position]:
    """By partition, how far a topic was written; without the partitions of which a break was recorded since.

    Raises Retryable.
    """
    async with connection(pool) as reading:
        return positions_of(topic_id, await reading.fetch(_OF_TOPIC, topic_id, topic))
