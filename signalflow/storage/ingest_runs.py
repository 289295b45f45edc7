"""Table ingest_runs: runs that somebody asked for. The worker that polls takes them and reports their results."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from signalflow.domain.once import OnceResult, OnceRun
from signalflow.storage.pool import Pool, connection

_ASK = """
INSERT INTO ingest_runs (requested_by, post_sort, subreddits, posts) VALUES ($1, $2, $3, $4) RETURNING id
"""
# Nobody waits for an older run.
_WAITING = """
SELECT id, post_sort, subreddits, posts FROM ingest_runs
WHERE finished_at IS NULL AND requested_at > now() - interval '1 hour' ORDER BY id LIMIT 20
"""
_REPORT = """
UPDATE ingest_runs SET taken_at = COALESCE(taken_at, now()), results = $2::jsonb,
    finished_at = CASE WHEN $3 THEN now() END
WHERE id = $1
"""
_TAKEN = "UPDATE ingest_runs SET taken_at = now() WHERE id = ANY ($1::bigint[]) AND taken_at IS NULL"
_READ = """
SELECT taken_at IS NOT NULL AS is_taken, results, finished_at IS NOT NULL AS is_done FROM ingest_runs WHERE id = $1
"""
_GIVE_UP = "DELETE FROM ingest_runs WHERE id = $1 AND finished_at IS NULL"
_FORGET = "DELETE FROM ingest_runs WHERE requested_at < now() - interval '14 days'"


async def ask_for_run(pool: Pool, post_sort: str, subreddits: Sequence[str], posts: int, by: str) -> int:
    """Ask for a run; returns its id."""
    async with connection(pool) as writing:
        await writing.execute(_FORGET)
        id_: int = await writing.fetchval(_ASK, by, post_sort, list(subreddits), posts)
        return id_


async def runs_waiting(pool: Pool) -> list[OnceRun]:
    """The runs that are not finished. Raises Retryable while the database is away."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_WAITING)
        if rows:
            await reading.execute(_TAKEN, [row["id"] for row in rows])
    return [OnceRun(row["id"], row["post_sort"], row["subreddits"], row["posts"]) for row in rows]


async def report_run(pool: Pool, run: OnceRun) -> None:
    """Record the results of a run so far. Raises Retryable while the database is away."""
    results = {name: asdict(result) for name, result in run.results.items()}
    async with connection(pool) as writing:
        await writing.execute(_REPORT, run.id, json.dumps(results), run.is_done)


async def read_run(pool: Pool, id_: int) -> tuple[bool, dict[str, OnceResult], bool]:
    """Whether a worker has taken the run, its results so far, and whether it is done."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_READ, id_)
    if row is None:
        return False, {}, False
    results = {name: OnceResult(**result) for name, result in json.loads(row["results"]).items()}
    return row["is_taken"], results, row["is_done"]


async def give_up_run(pool: Pool, id_: int) -> None:
    """Forget a run that is not done: nobody waits for it any more."""
    async with connection(pool) as writing:
        await writing.execute(_GIVE_UP, id_)
