"""The stored posts, in the order in which the sweep checks whether Reddit still shows their text, or again."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from signalflow.storage.pool import Pool, connection

# What its author deleted does not come back. What others removed may be restored.
_TEXTS_AFTER = """
SELECT id, removed_by, edited_at, author FROM posts
WHERE id > $1 AND created_utc < $2
    AND removed_by IS DISTINCT FROM 'deleted' AND erased_until IS DISTINCT FROM 'infinity'
ORDER BY id LIMIT $3
"""
_REACHED = "SELECT reached FROM deletion_sweep"
_MARK = """
UPDATE deletion_sweep SET reached = $1,
    ended_at = CASE WHEN $1 = '' THEN now() ELSE ended_at END,
    began_at = CASE WHEN reached = '' THEN now() ELSE began_at END
"""


async def texts_after(pool: Pool, id_: str, created_before: datetime, most: int) -> Sequence[asyncpg.Record]:
    """The first posts after this id that were created before that time, with what tells whether their text may stay."""
    async with connection(pool) as reading:
        return await reading.fetch(_TEXTS_AFTER, id_, created_before, most)


async def sweep_reached(pool: Pool) -> str:
    """The id up to which posts were checked; empty at the beginning of a round."""
    async with connection(pool) as reading:
        return str(await reading.fetchval(_REACHED))


async def mark_swept(pool: Pool, reached: str) -> None:
    """Record how far the round is; empty: it has ended."""
    async with connection(pool) as writing:
        await writing.execute(_MARK, reached)
