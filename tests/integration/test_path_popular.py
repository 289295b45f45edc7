"""Popular subreddits on the whole path: a worker asks the simulated Reddit for them, and they stand in the table."""

from datetime import timedelta
from pathlib import Path

import pytest

from signalflow.clock import utcnow
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.storage.trending_subreddits import trending_subreddits
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all

pytestmark = pytest.mark.usefixtures("topics")

RUNS = "SELECT outcome, requests FROM runs WHERE subject = 'popular subreddits'"


@pytest.mark.timeout(300)
async def test_a_worker_stores_what_reddit_calls_popular_and_what_does_not_rise_comes_last(
    settings: Settings, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    await load_defaults(pool, [WatchedSubreddit("python", 60, "fast")])
    worker = WorkerProcess.polling(settings, tmp_path, simulator.url, SIGNALFLOW_CONFIG_REFRESH_SECONDS="1")
    worker.start()
    try:
        await worker.ready()

        async def all_is_stored() -> bool:
            # A stop waits for the run history no longer than a second, so the run must be there before.
            runs = await fetch_all(settings, f"{RUNS} AND outcome <> 'running'")
            return bool(runs and await count(settings, "popular_subreddits") and await count(settings, "rising_posts"))

        await eventually(all_is_stored, 120, worker.tail)
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.ensure_stopped()
    public = [sub for sub in simulator.world.subreddits.values() if sub.access == "public"]
    largest = sorted(public, key=lambda sub: (-sub.subscribers, sub.key))[:100]
    rows = await fetch_all(settings, "SELECT name, rank FROM popular_subreddits ORDER BY rank")
    assert [tuple(row) for row in rows] == [(sub.name, rank) for rank, sub in enumerate(largest, 1)]
    (job,) = await fetch_all(settings, RUNS)
    assert tuple(job) == ("ok", 1)

    found = await trending_subreddits(pool, utcnow() - timedelta(days=1), 200)
    places = [(not each.posts, -each.weight, each.popular_rank or len(found)) for each in found]
    assert places == sorted(places)
    assert {each.popular_rank for each in found} - {None} == {
        rank for rank, sub in enumerate(largest, 1) if sub.key != "python"
    }
    assert "python" not in {each.name.lower() for each in found}
