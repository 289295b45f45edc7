"""`signalflow ingest once` beside a worker that polls, from the request in the table to posts in the tables."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from signalflow.clock import utcnow
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.once import OnceResult
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.ingest_runs import ask_for_run, give_up_run, read_run, report_run, runs_waiting
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.storage.trending_subreddits import note_popular, note_rising
from signalflow.verify.run import verify
from tests.integration.workers import WorkerProcess, eventually, fetch_all


async def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value()}
    program = [Path(sys.executable).with_name("signalflow"), "ingest", "once", *arguments]
    return await asyncio.to_thread(
        subprocess.run, program, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.by_mode
async def test_a_run_waits_until_it_is_done_or_given_up(pool: Pool) -> None:
    run = await ask_for_run(pool, "hot", ["rust", "go"], 10, "ann")
    given_up = await ask_for_run(pool, "hot", ["zig"], 10, "ann")
    assert await read_run(pool, run) == (False, {}, False, {})
    assert [(each.id, each.post_sort, list(each.subreddits), each.posts) for each in await runs_waiting(pool)] == [
        (run, "hot", ["rust", "go"], 10), (given_up, "hot", ["zig"], 10),
    ]  # fmt: skip
    await give_up_run(pool, given_up)
    (waiting,) = await runs_waiting(pool)
    waiting.results["rust"] = OnceResult(published=3, known=1)
    await report_run(pool, waiting)
    assert await read_run(pool, run) == (True, {"rust": OnceResult(3, 1)}, False, {})
    waiting.results["go"] = OnceResult(error="refused")
    for _ in range(2):
        await report_run(pool, waiting)
    assert await read_run(pool, run) == (True, {"rust": OnceResult(3, 1), "go": OnceResult(error="refused")}, True, {})
    assert await runs_waiting(pool) == []


@pytest.mark.by_mode
async def test_a_run_with_comments_is_finished_with_both_kinds_of_results(pool: Pool) -> None:
    run = await ask_for_run(pool, "hot", ["rust"], 10, "ann", comments=20)
    (waiting,) = await runs_waiting(pool)
    assert (waiting.posts, waiting.comments) == (10, 20)
    waiting.results["rust"] = OnceResult(published=3)
    await report_run(pool, waiting)
    assert (await read_run(pool, run)).is_done is False
    waiting.comment_results["rust"] = OnceResult(known=20)
    await report_run(pool, waiting)
    assert await read_run(pool, run) == (True, {"rust": OnceResult(3)}, True, {"rust": OnceResult(known=20)})


async def test_without_a_worker_that_polls_the_command_gives_up_and_leaves_nothing(
    settings: Settings, pool: Pool
) -> None:
    done = await command(settings, "rust", "--wait", "1")
    assert (done.returncode, done.stdout) == (3, "")
    assert "taken by no worker" in done.stderr
    assert await runs_waiting(pool) == []
    # A popular subreddit need not rise.
    await note_popular(pool, [PopularSubreddit("pics", 1)], utcnow())
    nothing = await command(settings, "--trending")
    assert nothing.returncode == 1
    assert "nothing rises" in nothing.stderr
    assert (await command(settings)).returncode == 2
    assert (await command(settings, "rust", "--sort", "best")).returncode == 2


@pytest.mark.timeout(300)
async def test_a_run_beside_a_worker_publishes_within_its_budget_and_verify_stays_clean(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    await load_defaults(pool, [WatchedSubreddit("python", 60, "fast")])
    seen_at = utcnow() - timedelta(hours=1)
    rising = [RisingPost(f"x{rank}", name, "hot", rank, seen_at) for rank, name in enumerate(("worldnews", "funny"), 1)]
    await note_rising(pool, rising)
    # Nobody else reads comments: those of a post that takes off would count among the run's.
    alone = {"SIGNALFLOW_DISCOVER_MINUTES": "0", "SIGNALFLOW_COMMENTS_PER_POST": "0"}
    worker = WorkerProcess.polling(settings, tmp_path, simulator.url, **alone)
    worker.start()
    try:
        await worker.ready()
        arguments = ("--trending", "--subreddits", "2", "--posts", "5", "--sort", "hot", "--json")
        done = await command(settings, *arguments)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["subreddits"].keys() == {"worldnews", "funny"}
        assert (summary["published"], summary["known"], summary["failed"]) == (10, 0, 0)

        async def all_stored() -> bool:
            rows = await fetch_all(settings, "SELECT DISTINCT post_id FROM post_ranks")
            return len(rows) == 10

        await eventually(all_stored, 60, worker.tail)
        again = json.loads((await command(settings, "worldnews", "--posts", "5", "--json")).stdout)
        assert again["published"] + again["known"] == 5
        assert again["known"] > 0
        with_comments = await command(settings, "worldnews", "--comments", "4", "--json")
        assert with_comments.returncode == 0, with_comments.stderr
        of_comments = json.loads(with_comments.stdout)["comments"]
        assert (sum(of_comments.values()), of_comments["failed"]) == (4, 0)

        async def comments_stored() -> bool:
            rows = await fetch_all(settings, "SELECT id FROM comments WHERE lower(subreddit) = 'worldnews'")
            return len(rows) == of_comments["published"]

        await eventually(comments_stored, 60, worker.tail)
        missing = json.loads((await command(settings, "no_such_place", "--json")).stdout)
        assert missing["subreddits"]["no_such_place"]["error"] == "refused"
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.ensure_stopped()
    starts = [entry.real for entry in simulator.simulator.entries if entry.path.startswith(("/r/", "/api/info"))]
    spacing = 60 / 95
    # These are arrivals, not starts: a slow request before a quick one comes a little nearer.
    assert min(after - before for before, after in pairwise(starts)) > 0.5 * spacing
    assert all(len([at for at in starts if begin <= at < begin + 20 * spacing]) <= 21 for begin in starts)
    report = await verify(settings, topics)
    assert report.clean, report
