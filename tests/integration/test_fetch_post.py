"""`signalflow fetch post` beside a worker that polls, from the request in the table to comments in the table."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from signalflow.domain.post_run import PostResult
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.comments import comment_at, parent_name
from signalflow.simulator.server import RunningSimulator
from signalflow.simulator.trees import depth_of
from signalflow.storage.comment_runs import (
    ask_for_comments,
    comment_runs_waiting,
    give_up_comment_run,
    read_comment_run,
    report_comment_run,
)
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.verify.run import verify
from tests.integration.workers import WorkerProcess, eventually, fetch_all


async def command(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value()}
    program = [Path(sys.executable).with_name("signalflow"), "fetch", "post", *arguments]
    return await asyncio.to_thread(
        subprocess.run, program, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.by_mode
async def test_a_run_waits_until_it_is_done_or_given_up(pool: Pool) -> None:
    run = await ask_for_comments(pool, ["p1", "p2"], 50, "ann")
    given_up = await ask_for_comments(pool, ["p3"], 10, "ann")
    assert await read_comment_run(pool, run) == (False, {}, False)
    assert [(each.id, list(each.posts), each.comments) for each in await comment_runs_waiting(pool)] == [
        (run, ["p1", "p2"], 50), (given_up, ["p3"], 10),
    ]  # fmt: skip
    await give_up_comment_run(pool, given_up)
    (waiting,) = await comment_runs_waiting(pool)
    waiting.results["p1"] = PostResult(published=3, not_followed=1)
    await report_comment_run(pool, waiting)
    assert await read_comment_run(pool, run) == (True, {"p1": PostResult(3, 0, 0, 1)}, False)
    waiting.results["p2"] = PostResult(error="refused")
    for _ in range(2):
        await report_comment_run(pool, waiting)
    found = {"p1": PostResult(3, 0, 0, 1), "p2": PostResult(error="refused")}
    assert await read_comment_run(pool, run) == (True, found, True)
    assert await comment_runs_waiting(pool) == []


async def test_without_a_worker_that_polls_the_command_gives_up_and_leaves_nothing(
    settings: Settings, pool: Pool
) -> None:
    done = await command(settings, "abc123", "--wait", "1")
    assert (done.returncode, done.stdout) == (3, "")
    assert "taken by no worker" in done.stderr
    assert await comment_runs_waiting(pool) == []
    assert (await command(settings)).returncode == 2
    assert (await command(settings, "not an id")).returncode == 2


@pytest.mark.timeout(300)
async def test_the_comments_of_a_post_come_into_the_table_with_their_depth_and_verify_stays_clean(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    await load_defaults(pool, [WatchedSubreddit("python", 60, "fast")])
    world, now = simulator.world, simulator.clock.now()
    post = next(post for post in world.newest(["worldnews"], now) if 20 <= post.comments_at(now) <= 300)
    total = post.comments_at(now)
    worker = WorkerProcess.polling(
        settings, tmp_path, simulator.url, SIGNALFLOW_DISCOVER_MINUTES="0", SIGNALFLOW_COMMENTS_PER_POST="0"
    )
    worker.start()
    try:
        await worker.ready()
        address = f"https://www.reddit.com/r/worldnews/comments/{post.id}/title/"
        done = await command(settings, address, "--comments", "4", "--json")
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["posts"].keys() == {post.id}
        assert (summary["published"], summary["known"], summary["failed"]) == (4, 0, 0)
        assert summary["not_followed"] >= total - 4
        again = json.loads((await command(settings, post.id, "--comments", "2000", "--json")).stdout)
        assert (again["known"], again["failed"], again["not_followed"]) == (4, 0, 0)
        assert again["published"] >= total - 4

        async def all_stored() -> bool:
            rows = await fetch_all(settings, "SELECT id FROM comments")
            return len(rows) == again["published"] + 4

        await eventually(all_stored, 60, worker.tail)
        rows = await fetch_all(settings, "SELECT id, post_id, parent_id, depth FROM comments")
        place_of = {
            comment.id: comment
            for place in range(1, len(rows) + 1)
            if (comment := comment_at(post, place, simulator.clock.now())) is not None
        }
        assert {(row["id"], row["post_id"], row["parent_id"], row["depth"]) for row in rows} == {
            (id_, post.id, parent_name(comment), depth_of(post, comment.place)) for id_, comment in place_of.items()
        }
        missing = await command(settings, "zzzzzz", "--json")
        assert missing.returncode == 1
        assert json.loads(missing.stdout)["posts"]["zzzzzz"]["error"] == "refused"
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.ensure_stopped()
    report = await verify(settings, topics)
    assert report.clean, report
