"""Tables log_breaks and topics_read.

log_breaks: where a log was found shorter than what was committed, or made anew. Rows and velocities from before may
rest on records that no topic has any more.

topics_read: the ids of the topics that fill the tables. Another id is the break of a log. Consumers that read the topic
before notice it too, and record how far they had read. Nobody may have: the topic was made anew while no worker ran, or
the database was brought to another Kafka.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from signalflow.domain.positions import Break
from signalflow.storage.pool import Pool, connection

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


async def note_topics(pool: Pool, ids: Mapping[str, UUID]) -> Sequence[str]:
    """Note the ids that topics have now. Record the break of those that had others until now; returns their names."""
    async with connection(pool) as writing:
        rows = await writing.fetch(_NOTE_TOPICS, list(ids), list(ids.values()), Break.TOPIC_MADE_ANEW.value)
    return [topic for (topic,) in rows]


async def note_break(pool: Pool, *, topic: str, partition: int, reason: str, committed: int, going_on_at: int) -> None:
    """Record that a log was found broken: it was committed up to an offset, and is read on at another one."""
    async with connection(pool) as writing:
        await writing.execute(_NOTE_BREAK, topic, partition, reason, committed, going_on_at)
