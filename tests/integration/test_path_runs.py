"""The run history of workers that run: an orderly stop ends every run, and a kill leaves what nobody ended."""

from pathlib import Path
from typing import Any

import pytest

from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from tests.integration.workers import WorkerProcess, eventually, fetch_all


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("topics")
async def test_a_stop_ends_every_run_and_a_kill_leaves_runs_without_an_end(
    settings: Settings, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast") for name in ("python", "funny")])
    worker = WorkerProcess(
        settings, "w1", tmp_path, SIGNALFLOW_POLL_ENABLED="true", SIGNALFLOW_REDDIT_BASE_URL=simulator.url,
        SIGNALFLOW_FIRST_LOOK_HOURS="1",
    )  # fmt: skip

    async def rows() -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for row in await fetch_all(settings, "SELECT * FROM runs ORDER BY started_at"):
            found.setdefault(row["kind"], []).append(row)
        return found

    async def polls() -> bool:
        found = await rows()
        return {"polling", "first_look"} <= found.keys() and found["polling"][-1]["new_items"] > 0

    worker.start()
    try:
        await worker.ready()
        await eventually(polls, 90, worker.tail)
        assert worker.stop() == 0, worker.tail()
        ended = await rows()
        assert {row["worker"] for row in ended["polling"]} == {"w1"}
        # The stop may come before the first request of a minute, or lose the answer that is under way.
        assert {row["outcome"] for row in ended["polling"]} <= {"ok", "idle", "partly"}
        assert all(row["ended_at"] >= row["started_at"] for row in ended["polling"])
        assert sum(first_look["posts"] for first_look in ended["first_look"]) > 0
        assert [row for of_kind in ended.values() for row in of_kind if row["ended_at"] is None] == []
        worker.start()
        await worker.ready()

        async def polls_again() -> bool:
            return len((await rows())["polling"]) > len(ended["polling"])

        await eventually(polls_again, 90, worker.tail)
        worker.kill()
    finally:
        worker.ensure_stopped()
    (last,) = [row for row in (await rows())["polling"] if row["ended_at"] is None]
    assert last["outcome"] == "running", "its next reader sees when it was last told"
