"""The whole path from simulated feeds into the tables: what feeds do not tell is null everywhere, and never 0."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from signalflow.kafka.topics import TopicNames
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from signalflow.verify import compare, expected
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, read_topic

STRETCH_SECONDS = 15.0
# After this time the listing was read again after a post was made.
SETTLE_SECONDS = 10.0
SECRET = "simulatorsfeed"


@pytest.fixture
async def feeds() -> AsyncIterator[RunningSimulator]:
    """A simulated Reddit whose feeds may be asked 600 times a minute, with the secret of a personal feed."""
    running = await start(Config(Parameters(seed=11, activity=20, growth=40, fuzz=0), personal_feed_limit=600))
    yield running
    await running.close()


@pytest.fixture
async def poller(
    settings: Settings, pool: Pool, feeds: RunningSimulator, tmp_path: Path
) -> AsyncIterator[WorkerProcess]:
    """A worker that polls these feeds."""
    await load_defaults(pool, read_subreddits())
    worker = WorkerProcess(
        settings,
        "w1",
        tmp_path,
        SIGNALFLOW_POLL_ENABLED="true",
        SIGNALFLOW_REDDIT_SOURCE="feeds",
        SIGNALFLOW_REDDIT_CONTACT="you@example.org",
        SIGNALFLOW_REDDIT_FEED=f"feed={SECRET}&user=simulator",
        SIGNALFLOW_REDDIT_BASE_URL=feeds.url,
        SIGNALFLOW_SINK_MAX_SECONDS="0.3",
    )
    worker.start()
    yield worker
    worker.ensure_stopped()


async def ready_of(worker: WorkerProcess) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        answer: dict[str, Any] = (await client.get(f"{worker.url}/ready", timeout=5)).json()
    return answer


@pytest.mark.timeout(300)
async def test_every_post_of_the_feeds_is_stored_with_null_for_what_feeds_do_not_tell(
    settings: Settings, topics: TopicNames, poller: WorkerProcess, feeds: RunningSimulator
) -> None:
    await poller.ready()

    async def some() -> bool:
        return await count(settings, "posts") > 0

    await eventually(some, 60, poller.tail)
    began = datetime.now(UTC).timestamp()
    end = began + STRETCH_SECONDS
    await eventually(lambda: datetime.now(UTC).timestamp() > end + SETTLE_SECONDS, 120)
    assert SECRET not in Path(f"/proc/{poller.pid}/cmdline").read_text()
    assert poller.stop() == 0, poller.tail()
    assert SECRET not in poller.log.read_text()

    raw = await read_topic(settings, topics.posts_raw)
    untold = ("score", "num_comments", "upvote_ratio", "over_18", "flair")
    payloads = [orjson.loads(record.value)["payload"] for record in raw]
    assert {payload[name] for payload in payloads for name in untold} == {None}
    log = expected(raw)
    poller.start(SIGNALFLOW_POLL_ENABLED="false")

    async def stored() -> bool:
        return await count(settings, "posts") >= len({payload["id"] for payload in payloads})

    await eventually(stored, 60, poller.tail)
    report = await compare(log, settings.database_url.get_secret_value())
    log.close()
    assert {name: table.examples for name, table in report.tables.items() if table.differences} == {}
    assert await count(settings, "dlq_events") == 0

    posts = await fetch_all(settings, "SELECT * FROM posts")
    numbers = ("current_score", "current_comments", "current_ratio", "over_18", "score_velocity", "comment_velocity")
    assert {row[name] for row in posts for name in numbers} == {None}
    assert await count(settings, "post_metrics_history") == 0
    visible = {
        post.id
        for post in feeds.simulator.world.new_posts_between(began, end)
        if any(
            since <= post.created + 1 and (until is None or until > end + SETTLE_SECONDS)
            for since, until in post.visible_spans()
        )
    }
    # Some 40 at night, three times as many by day.
    assert len(visible) > 10
    assert visible - {row["id"] for row in posts} == set(), "posts that feeds showed and nobody stored"


@pytest.mark.timeout(200)
async def test_a_worker_after_a_killed_one_tells_the_block_at_once_and_does_not_test_it(
    poller: WorkerProcess, feeds: RunningSimulator
) -> None:
    await poller.ready()
    entries, faults = feeds.simulator.entries, feeds.simulator.faults
    await eventually(lambda: len(entries) > 3, 60, poller.tail)
    faults.add({"contains": ".rss", "count": -1, "block": "page"})

    async def is_told() -> bool:
        return (await ready_of(poller))["reddit_answers_nothing"] is not None

    await eventually(is_told, 30, poller.tail)
    told = (await ready_of(poller))["reddit_answers_nothing"]
    assert told["reason"] == "blocked_page"
    assert "SIGNALFLOW_REDDIT_FEED" in told["what_to_do"]
    asked = len(entries)
    poller.kill()
    poller.start()
    await poller.ready()
    await eventually(is_told, 60, poller.tail)
    again = (await ready_of(poller))["reddit_answers_nothing"]
    since = [datetime.fromisoformat(one["since"]).timestamp() for one in (told, again)]
    assert (again["reason"], since[1]) == ("blocked_page", pytest.approx(since[0], abs=2))
    assert len(entries) == asked
