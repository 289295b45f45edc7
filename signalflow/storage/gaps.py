"""The gap ledger. It keeps gaps so that another poller can go on with them after this one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from signalflow.clock import utcnow
from signalflow.domain.gaps import GapRecord, Outcome
from signalflow.errors import Invalid
from signalflow.storage.pool import Pool, connection

# What may be missing in a gap: posts, comments, or what a subreddit had before it was first polled.
GapKind = Literal["posts", "comments", "first_look"]

_OPEN = """
INSERT INTO listing_gaps (subreddits, anchor_ids, since, after, opened_at, kind, until)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id
"""
_ADVANCE = "UPDATE listing_gaps SET after = $2, pages = $3, until = $4 WHERE id = $1 AND closed_at IS NULL"
_CLOSE = "UPDATE listing_gaps SET outcome = $2, closed_at = $3, until = $4 WHERE id = $1 AND closed_at IS NULL"
_STILL_OPEN = """
SELECT id, subreddits, anchor_ids, since, after, pages, opened_at, until FROM listing_gaps
WHERE closed_at IS NULL AND kind = $1 ORDER BY id
"""


async def open_gap(
    pool: Pool,
    *,
    subreddits: Sequence[str],
    anchor_ids: Sequence[str],
    since: datetime,
    after: str | None,
    opened_at: datetime,
    until: datetime | None = None,
    kind: GapKind = "posts",
) -> int:
    """Record a gap; returns the id of its row. The gap's pages are fetched only after this."""
    async with connection(pool) as writing:
        row = (list(subreddits), list(anchor_ids), since, after, opened_at, kind, until)
        return int(await writing.fetchval(_OPEN, *row))


async def advance_gap(pool: Pool, gap_id: int, after: str | None, pages: int, until: datetime | None = None) -> None:
    """Record how far a gap was read: nothing after `until` is missing. None: nothing was read.

    Raises Invalid when the gap is not open.
    """
    async with connection(pool) as writing:
        _must_have_changed(await writing.execute(_ADVANCE, gap_id, after, pages, until), gap_id)


async def close_gap(pool: Pool, gap_id: int, outcome: Outcome, until: datetime | None = None) -> None:
    """Record how a gap ended, and how far it was read (see `advance_gap`). Raises Invalid when the gap is not open."""
    async with connection(pool) as writing:
        _must_have_changed(await writing.execute(_CLOSE, gap_id, outcome, utcnow(), until), gap_id)


async def open_gaps(pool: Pool, kind: GapKind = "posts") -> list[GapRecord]:
    """All open gaps of a kind, the oldest first."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_STILL_OPEN, kind)
    return [
        GapRecord(
            record=row["id"],
            subreddits=tuple(row["subreddits"]),
            anchor_ids=tuple(row["anchor_ids"]),
            since=row["since"].timestamp(),
            opened_at=row["opened_at"].timestamp(),
            after=row["after"],
            pages=row["pages"],
            until=row["until"].timestamp() if row["until"] else None,
        )
        for row in rows
    ]


def _must_have_changed(status: str, gap_id: int) -> None:
    if status != "UPDATE 1":
        raise Invalid(f"gap {gap_id} is not open", field="gap_id")
