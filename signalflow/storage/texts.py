"""Stored posts, or comments, in the order in which a sweep checks whether Reddit still shows their text, or again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from signalflow.storage.pool import Pool, connection


@dataclass(frozen=True, slots=True)
class SweptTexts:
    """What one sweep reads: the statement that reads the next texts, and the table that tells how far it is."""

    texts_after: str
    progress: str


# What its author deleted does not come back. What others removed may be restored. Of a comment whose erasure was asked
# for nothing is left.
POSTS = SweptTexts(
    """
SELECT id, removed_by, edited_at, author FROM posts
WHERE id > $1 AND created_utc < $2
    AND removed_by IS DISTINCT FROM 'deleted' AND erased_until IS DISTINCT FROM 'infinity'
ORDER BY id LIMIT $3
""",
    "deletion_sweep",
)
COMMENTS = SweptTexts(
    """
SELECT id, removed_by, edited_at, author FROM comments
WHERE id > $1 AND created_utc < $2
    AND (author IS NOT NULL OR body IS NOT NULL OR removed_by NOT IN ('deleted', 'request'))
ORDER BY id LIMIT $3
""",
    "comment_sweep",
)


async def texts_after(
    pool: Pool, swept: SweptTexts, id_: str, created_before: datetime, most: int
) -> Sequence[asyncpg.Record]:
    """The first texts after this id that were created before that time, with what tells whether they may stay."""
    async with connection(pool) as reading:
        return await reading.fetch(swept.texts_after, id_, created_before, most)


async def sweep_reached(pool: Pool, swept: SweptTexts) -> str:
    """The id up to which texts were checked; empty at the beginning of a round."""
    async with connection(pool) as reading:
        return str(await reading.fetchval(f"SELECT reached FROM {swept.progress}"))  # noqa: S608, a constant


async def mark_swept(pool: Pool, swept: SweptTexts, reached: str) -> None:
    """Record how far the round is; empty: it has ended."""
    statement = f"""
UPDATE {swept.progress} SET reached = $1,
    ended_at = CASE WHEN $1 = '' THEN now() ELSE ended_at END,
    began_at = CASE WHEN reached = '' THEN now() ELSE began_at END
"""  # noqa: S608, a constant
    async with connection(pool) as writing:
        await writing.execute(statement, reached)
