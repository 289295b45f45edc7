"""Table ingest_runs: runs that somebody asked for. The worker that polls takes them and reports their results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

from signalflow.domain.once import OnceResult, OnceRun
from signalflow.storage.pool import Pool, connection

_ASK = """
INSERT INTO ingest_runs (requested_by, post_sort, subreddits, posts, comments) VALUES ($1, $2, $3, $4, $5) RETURNING id
"""
# Nobody waits for an older run.
_WAITING = """
SELECT id, post_sort, subreddits, posts, comments FROM ingest_runs
WHERE finished_at IS NULL AND requested_at > now() - interval '1 hour' ORDER BY id LIMIT 20
"""
_REPORT = """
UPDATE ingest_runs SET taken_at = COALESCE(taken_at, now()), results = $2::jsonb, comment_results = $3::jsonb,
    finished_at = CASE WHEN $4 THEN now() END
WHERE id = $1
"""
_TAKEN = "UPDATE ingest_runs SET taken_at = now() WHERE id = ANY ($1::bigint[]) AND taken_at IS NULL"
_READ = """
SELECT taken_at IS NOT NULL AS is_taken, results, finished_at IS NOT NULL AS is_done, comment_results
FROM ingest_runs WHERE id = $1
"""
_GIVE_UP = "DELETE FROM ingest_runs WHERE id = $1 AND finished_at IS NULL"
_FORGET = "DELETE FROM ingest_runs WHERE requested_at < now() - interval '14 days'"


class RunState(NamedTuple):
    """How a run stands: whether a worker has taken it, and its results so far, of posts and of comments."""

    is_taken: bool
    results: dict[str, OnceResult]
    is_done: bool
    comment_results: dict[str, OnceResult]


async def ask_for_run(
    pool: Pool, post_sort: str, subreddits: Sequence[str], posts: int, by: str, comments: int = 0
) -> int:
    """Ask for a run; returns its id."""
    async with connection(pool) as writing:
        await writing.execute(_FORGET)
        id_: int = await writing.fetchval(_ASK, by, post_sort, list(subreddits), posts, comments)
        return id_


async def runs_waiting(pool: Pool) -> list[OnceRun]:
    """The runs that are not finished. Raises Retryable while the database is away."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_WAITING)
        if rows:
            await reading.execute(_TAKEN, [row["id"] for row in rows])
    return [OnceRun(*row) for row in rows]


async def report_run(pool: Pool, run: OnceRun) -> None:
    """Record the results of a run so far. Raises Retryable while the database is away."""
    results = (_written(each) for each in (run.results, run.comment_results))
    async with connection(pool) as writing:
        await writing.execute(_REPORT, run.id, *results, run.is_done)


async def read_run(pool: Pool, id_: int) -> RunState:
    """How a run stands."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_READ, id_)
    if row is None:
        return RunState(False, {}, False, {})
    return RunState(row["is_taken"], _read(row["results"]), row["is_done"], _read(row["comment_results"]))


def _written(results: Mapping[str, OnceResult]) -> str:
    return json.dumps({name: asdict(result) for name, result in results.items()})


def _read(text: str) -> dict[str, OnceResult]:
    return {name: OnceResult(**result) for name, result in json.loads(text).items()}


async def give_up_run(pool: Pool, id_: int) -> None:
    """Forget a run that is not done: nobody waits for it any more."""
    async with connection(pool) as writing:
        await writing.execute(_GIVE_UP, id_)
