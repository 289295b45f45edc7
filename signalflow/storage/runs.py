"""Table runs: the history of what workers did. Each worker writes its own runs, in batches.

Times are the database's: a worker says how long ago something was, so that a clock that is wrong changes nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from signalflow.domain.run_history import RunReport
from signalflow.domain.words import RunKind, RunOutcome
from signalflow.events import storable
from signalflow.storage.pool import Pool, connection, values_of
from signalflow.storage.read_router import ReadRouter, Row

# A worker says every five seconds how its runs stand. One without an end of which nothing was said for so long is
# shown as `silent`.
SILENT_AFTER = timedelta(seconds=60)

# An end is final: a late repetition of an earlier write must not take it back. Two writes compute the start, so an end
# that follows at once could seem to be before it.
_WRITE = """
INSERT INTO runs AS r (id, kind, subject, worker, started_at, ended_at, told_at, outcome,
    requests, posts, comments, new_items, gaps, errors, uses, error)
SELECT id, kind, subject, $1, now() - make_interval(secs => started_ago), now() - make_interval(secs => ended_ago),
    now(), outcome, requests, posts, comments, new_items, gaps, errors, uses, error
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::text[], $8::int[], $9::int[],
    $10::int[], $11::int[], $12::int[], $13::int[], $14::jsonb[], $15::text[])
    AS given (id, kind, subject, started_ago, ended_ago, outcome, requests, posts, comments, new_items, gaps, errors,
    uses, error)
ORDER BY id
ON CONFLICT (id) DO UPDATE SET
    ended_at = CASE WHEN EXCLUDED.ended_at IS NOT NULL THEN GREATEST(EXCLUDED.ended_at, r.started_at) END,
    told_at = EXCLUDED.told_at, outcome = EXCLUDED.outcome, requests = EXCLUDED.requests, posts = EXCLUDED.posts,
    comments = EXCLUDED.comments, new_items = EXCLUDED.new_items, gaps = EXCLUDED.gaps, errors = EXCLUDED.errors,
    uses = EXCLUDED.uses, error = EXCLUDED.error
WHERE r.ended_at IS NULL
"""
_FORGET = "DELETE FROM runs WHERE started_at < now() - make_interval(days => $1)"
_PAGE = """
WITH shown AS (
    SELECT id, kind, subject, worker, started_at, ended_at, told_at,
        CASE WHEN ended_at IS NULL AND told_at < now() - $1::interval THEN 'silent' ELSE outcome END AS outcome,
        requests, posts, comments, new_items AS new, gaps, errors, uses, error
    FROM runs
)
SELECT * FROM shown
WHERE ($2::text[] = '{}' OR kind = ANY ($2)) AND ($3::text[] = '{}' OR outcome = ANY ($3))
    AND ($4::timestamptz IS NULL OR started_at >= $4) AND ($5::timestamptz IS NULL OR started_at < $5)
    AND ($6::timestamptz IS NULL OR (started_at, id) < ($6, $7::uuid))
ORDER BY started_at DESC, id DESC LIMIT $8
"""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are wanted: of these kinds and outcomes (empty: any), that began from `since` until before `until`."""

    kinds: Sequence[RunKind] = ()
    outcomes: Sequence[RunOutcome] = ()
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One run. `told_at`: when its worker last said how it stands. `uses`: requests by kind."""

    id: UUID
    kind: RunKind
    subject: str
    worker: str
    started_at: datetime
    ended_at: datetime | None
    told_at: datetime
    outcome: RunOutcome
    requests: int
    posts: int
    comments: int
    new: int
    gaps: int
    errors: int
    uses: dict[str, int]
    error: str | None


async def write_runs(pool: Pool, worker: str, reports: Sequence[RunReport]) -> None:
    """Store how these runs of a worker stand. To repeat it changes nothing. Raises Retryable while it is away."""
    columns: list[list[Any]] = [
        [report.id for report in reports],
        [report.kind for report in reports],
        [storable(report.subject) for report in reports],
        [report.started_ago for report in reports],
        [report.ended_ago for report in reports],
        [report.outcome for report in reports],
        [report.requests for report in reports],
        [report.posts for report in reports],
        [report.comments for report in reports],
        [report.new for report in reports],
        [report.gaps for report in reports],
        [report.errors for report in reports],
        [json.dumps(dict(report.uses)) for report in reports],
        [None if report.error is None else storable(report.error) for report in reports],
    ]
    async with connection(pool) as writing:
        await writing.execute(_WRITE, worker, *columns)


async def runs_page(
    reads: ReadRouter, wanted: RunFilter, *, before: tuple[datetime, UUID] | None, limit: int
) -> list[StoredRun]:
    """The newest runs, or the newest before this start and id."""
    rows = await reads.fetch(
        _PAGE,
        SILENT_AFTER,
        list(wanted.kinds),
        list(wanted.outcomes),
        wanted.since,
        wanted.until,
        *(before or (None, None)),
        limit,
    )
    return [_stored(row) for row in rows]


def _stored(row: Row) -> StoredRun:
    return StoredRun(**(values_of(row) | {"uses": json.loads(row["uses"])}))


async def forget_runs(pool: Pool, days: int) -> None:
    """Remove the runs that began more than `days` days ago."""
    async with connection(pool) as deleting:
        await deleting.execute(_FORGET, days)
