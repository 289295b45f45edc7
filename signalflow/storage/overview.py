"""What an operator asks the database: does it answer, how much does it hold, what may be missing."""

from dataclasses import dataclass
from datetime import datetime

from signalflow.storage.gaps import GapKind
from signalflow.storage.pool import Pool, connection

_STATUS = """
SELECT (SELECT mode FROM schema_info), (SELECT max(last_polled_at) FROM
    (SELECT last_polled_at FROM posts ORDER BY created_utc DESC, id DESC LIMIT 200) AS newest),
    pg_database_size(current_database())
"""
_GAPS = """
SELECT id, subreddits, since, pages, opened_at, kind, count(*) OVER () FROM listing_gaps
WHERE closed_at IS NULL AND kind <> 'first_look' ORDER BY id LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The schema's mode, the newest observation of the newest 200 posts (None: no posts), and the size in bytes."""

    mode: str
    newest_observation: datetime | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OpenGap:
    """An open gap; posts (or comments, as `kind` says) created after `since` may be missing."""

    id: int
    subreddits: list[str]
    since: datetime
    pages: int
    opened_at: datetime
    kind: GapKind


async def database_status(pool: Pool) -> DatabaseStatus:
    """The status of the database. Raises Retryable while it is away."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_STATUS)
    assert row is not None
    return DatabaseStatus(*row)


async def first_open_gaps(pool: Pool, limit: int) -> tuple[int, list[OpenGap]]:
    """The number of open gaps, and at most `limit` of them, oldest first. A first look back is no gap of polling."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_GAPS, limit)
    return (rows[0][6] if rows else 0), [OpenGap(*tuple(row)[:6]) for row in rows]


async def count_posts(pool: Pool) -> int:
    """The number of posts in the database. Raises Retryable while the database is away."""
    async with connection(pool) as reading:
        return int(await reading.fetchval("SELECT count(*) FROM posts"))
