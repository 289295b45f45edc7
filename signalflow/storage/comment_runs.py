"""Table comment_runs: posts whose comments somebody asked for. The worker that polls takes the runs and reports."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from signalflow.domain.post_run import PostResult, PostRun
from signalflow.storage.pool import Pool, connection

_ASK = "INSERT INTO comment_runs (requested_by, posts, comments) VALUES ($1, $2, $3) RETURNING id"
# Nobody waits for an older run.
_WAITING = """
SELECT id, posts, comments FROM comment_runs
WHERE finished_at IS NULL AND requested_at > now() - interval '1 hour' ORDER BY id LIMIT 20
"""
_REPORT = """
UPDATE comment_runs SET taken_at = COALESCE(taken_at, now()), results = $2::jsonb,
    finished_at = CASE WHEN $3 THEN now() END
WHERE id = $1
"""
_TAKEN = "UPDATE comment_runs SET taken_at = now() WHERE id = ANY ($1::bigint[]) AND taken_at IS NULL"
_READ = """
SELECT taken_at IS NOT NULL AS is_taken, results, finished_at IS NOT NULL AS is_done FROM comment_runs WHERE id = $1
"""
_GIVE_UP = "DELETE FROM comment_runs WHERE id = $1 AND finished_at IS NULL"
_FORGET = "DELETE FROM comment_runs WHERE requested_at < now() - interval '14 days'"


async def ask_for_comments(pool: Pool, posts: Sequence[str], comments: int, by: str) -> int:
    """Ask for at most `comments` of each of these posts; returns the id of the run."""
    async with connection(pool) as writing:
        await writing.execute(_FORGET)
        id_: int = await writing.fetchval(_ASK, by, list(posts), comments)
        return id_


async def comment_runs_waiting(pool: Pool) -> list[PostRun]:
    """The runs that are not finished. Raises Retryable while the database is away."""
    async with connection(pool) as reading:
        rows = await reading.fetch(_WAITING)
        if rows:
            await reading.execute(_TAKEN, [row["id"] for row in rows])
    return [PostRun(row["id"], row["posts"], row["comments"]) for row in rows]


async def report_comment_run(pool: Pool, run: PostRun) -> None:
    """Record the results of a run so far. Raises Retryable while the database is away."""
    results = {post: asdict(result) for post, result in run.results.items()}
    async with connection(pool) as writing:
        await writing.execute(_REPORT, run.id, json.dumps(results), run.is_done)


async def read_comment_run(pool: Pool, id_: int) -> tuple[bool, dict[str, PostResult], bool]:
    """Whether a worker has taken the run, its results so far, and whether it is done."""
    async with connection(pool) as reading:
        row = await reading.fetchrow(_READ, id_)
    if row is None:
        return False, {}, False
    results = {post: PostResult(**result) for post, result in json.loads(row["results"]).items()}
    return row["is_taken"], results, row["is_done"]


async def give_up_comment_run(pool: Pool, id_: int) -> None:
    """Forget a run that is not done: nobody waits for it any more."""
    async with connection(pool) as writing:
        await writing.execute(_GIVE_UP, id_)
