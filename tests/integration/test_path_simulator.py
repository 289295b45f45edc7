"""The whole path from the simulated Reddit into the tables, compared with what really happened there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from signalflow.kafka.topics import TopicNames
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.verify import compare, expected
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, read_topic

WARM_UP_SECONDS = 10.0
STRETCH_SECONDS = 25.0
# After this time every group has been listed again after a post was made (slow priority: 50 s at most, 30 s in
# practice).
SETTLE_SECONDS = 30.0
# Longest time from the moment at which the simulator reads a score to the arrival of its answer, when everything here
# shares two cores.
ANSWER_SECONDS = 10.0


def timestamp(at: datetime) -> float:
    return at.timestamp()


@pytest.mark.timeout(300)
async def test_every_visible_post_is_stored_with_the_scores_it_had(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    await load_defaults(pool, read_subreddits())
    worker = WorkerProcess.polling(settings, tmp_path, simulator.url, SIGNALFLOW_LISTING_REQUESTS_PER_MINUTE="40")
    worker.start()
    try:
        await worker.ready()

        async def some() -> bool:
            return await count(settings, "posts") > 0

        await eventually(some, 30, worker.tail)
        began = datetime.now(UTC).timestamp() + WARM_UP_SECONDS
        end = began + STRETCH_SECONDS
        await eventually(lambda: datetime.now(UTC).timestamp() > end + SETTLE_SECONDS, 180)
        assert worker.stop() == 0, worker.tail()
    finally:
        worker.ensure_stopped()
    drain = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.3")
    raw = await read_topic(settings, topics.posts_raw)
    log = expected(raw)
    rows = sum(1 for _ in log.history)
    drain.start()
    try:

        async def stored() -> bool:
            return await count(settings, "post_metrics_history") >= rows

        await eventually(stored, 60, drain.tail)
    finally:
        drain.ensure_stopped()
    posts = await fetch_all(settings, "SELECT * FROM posts")
    history = await fetch_all(settings, "SELECT * FROM post_metrics_history")

    report = await compare(log, settings.database_url.get_secret_value())
    log.close()
    assert {name: table.examples for name, table in report.tables.items() if table.differences} == {}

    visible = {
        post.id
        for post in simulator.world.new_posts_between(began, end)
        if any(since <= post.created + 1 and (until is None or until > end + SETTLE_SECONDS)
               for since, until in post.visible_spans())
    }  # fmt: skip
    stored_ids = {row["id"] for row in posts}
    # Some 60 at night, three times as many by day.
    assert len(visible) > 20
    assert visible - stored_ids == set(), "posts that Reddit showed and nobody stored"

    wrong = []
    for row in history:
        at = timestamp(row["observed_at"])
        post = simulator.world.post(row["post_id"], at)
        assert post is not None, "a post that never existed"
        if not post.score_at(at - ANSWER_SECONDS) <= row["score"] <= post.score_at(at):
            wrong.append(
                (row["post_id"], post.score_at(at - ANSWER_SECONDS), row["score"], post.score_at(at), post.life)
            )
    assert wrong == []
    # Posts of the first look back leave no history.
    assert len(history) > len({row["post_id"] for row in history}), "no post was ever refreshed"
