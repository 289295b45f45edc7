"""Ranks on the whole path: from the simulated Reddit into the table, as the simulator ranks its posts."""

from pathlib import Path

import pytest

from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.ranking import ranked
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.verify.run import verify
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all

pytestmark = pytest.mark.by_mode


@pytest.mark.timeout(300)
async def test_posts_have_the_ranks_that_reddit_showed_and_verify_finds_no_difference(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    sorts = ("new", "hot", "top:day")
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast", post_sorts=sorts) for name in ("python", "funny")])
    worker = WorkerProcess(
        settings,
        "w1",
        tmp_path,
        SIGNALFLOW_POLL_ENABLED="true",
        SIGNALFLOW_REDDIT_BASE_URL=simulator.url,
        SIGNALFLOW_REQUESTS_PER_MINUTE="95",
        SIGNALFLOW_SINK_MAX_SECONDS="0.3",
    )
    worker.start()
    try:
        await worker.ready()

        async def first_places_are_stored() -> bool:
            found = await fetch_all(settings, "SELECT listing, post_sort FROM post_ranks WHERE rank = 1")
            return len({row["listing"] for row in found}) == len({row["post_sort"] for row in found}) == 2

        await eventually(first_places_are_stored, 120, worker.tail)
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.ensure_stopped()
    rows = await fetch_all(settings, "SELECT * FROM post_ranks ORDER BY rank")
    for row in rows:
        at, (sort, _, period) = row["observed_at"].timestamp(), row["post_sort"].partition(":")
        # The simulator makes its rankings anew every ten seconds.
        posts = ranked(simulator.world.newest([row["listing"]], at), sort, period, at // 10.0 * 10.0)
        shown = [post.id for post in posts if post.visible_at(at)]
        assert shown[row["rank"] - 1] == row["post_id"], row
    assert {(row["listing"], row["rank"]) for row in rows} >= {("python", 1), ("funny", 1)}
    assert await count(settings, "post_ranks") == len(rows)

    # What the stopped worker had not stored yet is not due.
    report = await verify(settings, topics)
    assert report.clean, report
    assert report.ranks.found == len(rows)
