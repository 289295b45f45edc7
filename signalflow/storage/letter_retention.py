"""Retention of table dlq_events: dead letters that were resolved long ago are deleted."""

from datetime import datetime

from signalflow.storage.pool import Pool, connection

# So few that the statement stays far below its timeout. A letter holds up to a megabyte.
LETTERS_AT_ONCE = 500

# Letters of one record form a chain, each naming the one before it, and its last letter says what became of the record.
# A chain goes as a whole: a letter that is named by another cannot be deleted, and says nothing without it.
_FORGET = """
WITH RECURSIVE chain AS (
    (SELECT id, previous_id FROM dlq_events AS d
    WHERE state = 'resolved' AND resolved_at < $1
        AND NOT EXISTS (SELECT FROM dlq_events AS n WHERE n.previous_id = d.id)
    ORDER BY id LIMIT $2)
    UNION ALL
    SELECT p.id, p.previous_id FROM dlq_events AS p JOIN chain ON p.id = chain.previous_id
)
DELETE FROM dlq_events AS d USING chain WHERE d.id = chain.id
"""


async def forget_resolved(pool: Pool, before: datetime) -> int:
    """Delete the dead letters that were resolved before a moment, with the earlier letters of their records.

    Returns how many. Letters that are not resolved stay.
    """
    deleted = 0
    while True:
        async with connection(pool) as writing:
            some = int((await writing.execute(_FORGET, before, LETTERS_AT_ONCE)).rpartition(" ")[2])
        deleted += some
        if some < LETTERS_AT_ONCE:
            return deleted
