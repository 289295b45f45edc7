"""Ranks on the whole path: from the simulated Reddit into the table, as the simulator ranks its posts."""

from pathlib import Path

import pytest

from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.verify.run import verify
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all
from tests.simulated_ranks import true_ranks


@pytest.mark.timeout(300)
async def test_posts_have_the_ranks_that_reddit_showed_and_verify_finds_no_difference(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    sorts = ("new", "hot", "top:day")
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast", post_sorts=sorts) for name in ("python", "funny")])
    worker = WorkerProcess.polling(settings, tmp_path, simulator.url)
    worker.start()
    try:
        await worker.ready()

        async def each_listing_is_stored() -> bool:
            # Followed posts may have ranks in r/popular, too.
            found = await fetch_all(
                settings, "SELECT DISTINCT listing, post_sort FROM post_ranks WHERE listing IN ('python', 'funny')"
            )
            return len(found) == 4

        await eventually(each_listing_is_stored, 120, worker.tail)
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.ensure_stopped()
    rows = await fetch_all(settings, "SELECT * FROM post_ranks ORDER BY rank")
    for row in rows:
        observed_at = row["observed_at"].timestamp()
        assert row["rank"] in true_ranks(
            simulator.world, row["listing"], row["post_sort"], row["post_id"], observed_at
        ), row
    assert await count(settings, "post_ranks") == len(rows)

    # What the stopped worker had not stored yet is not due.
    report = await verify(settings, topics)
    assert report.clean, report
    assert report.ranks.found == len(rows)
