"""A real worker polls a simulated Reddit: what it may not ask, and what it must read back, over SIGKILL and changes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from signalflow.clock import utcnow
from signalflow.domain.lease import LEASE_SECONDS
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.pool import Pool
from signalflow.storage.subreddit_changes import Change, add_subreddits, change_subreddits, remove_subreddits
from signalflow.storage.subreddits import load_defaults
from tests.integration.polling_lease import pass_time
from tests.integration.workers import WorkerProcess, eventually, fetch_all, verified

pytestmark = pytest.mark.by_mode

RETRY_AFTER = 600
EMPTY_LISTING = '{"kind": "Listing", "data": {"after": null, "before": null, "dist": 0, "children": []}}'
LEASE = "SELECT holder, until, last_request FROM polling_lease"


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A Reddit that has almost no posts but those that a test adds, and none from before."""
    quiet = Parameters(seed=5, activity=0.01, stories_per_hour=0, burst_probability=0, life=0, fuzz=0, history=600)
    running = await start(Config(quiet))
    yield running
    await running.close()


@pytest.fixture
async def poller(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> AsyncIterator[WorkerProcess]:
    """A worker that is not started. It polls two subreddits, and soon reads a gap again after a page without posts."""
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast") for name in ("python", "funny")])
    app = "tests.integration.short_gap_waits"
    worker = WorkerProcess.polling(settings, tmp_path, simulator.url, app=app, SIGNALFLOW_CONFIG_REFRESH_SECONDS="1")
    yield worker
    worker.ensure_stopped()


async def control(simulator: RunningSimulator, **command: Any) -> dict[str, Any]:
    async with httpx.AsyncClient() as http:
        answer = await http.post(f"{simulator.url}/__ctl", json=command)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told


def asked(simulator: RunningSimulator) -> list[int]:
    """The status of each answer, but for tokens."""
    return [each.status for each in simulator.simulator.entries if not each.path.startswith("/api/v1")]


async def test_a_wait_that_reddit_names_outlives_workers_that_are_killed(
    settings: Settings, simulator: RunningSimulator, poller: WorkerProcess
) -> None:
    await control(simulator, path="/", contains="/r/", status=429, headers={"Retry-After": str(RETRY_AFTER)})
    await control(simulator, add="python", k=20)
    url = settings.database_url.get_secret_value()

    async def holds_the_lease_and_renews_it(before: Any) -> bool:
        (row,) = await fetch_all(settings, LEASE)
        return row["holder"] is not None and before is not None and row["until"] > before["until"]

    async def wait_is_recorded() -> bool:
        return bool(await fetch_all(settings, "SELECT FROM polling_lease WHERE not_before > now() + interval '1 min'"))

    poller.start()
    await eventually(wait_is_recorded, 60, poller.tail)
    told = asked(simulator)
    assert told.count(429) == 1
    for _ in range(3):
        poller.kill()
        await pass_time(url, LEASE_SECONDS)
        (ended,) = await fetch_all(settings, LEASE)
        poller.start()
        # Taken over, and then renewed: by then it would have asked, if it did not know of the wait.
        await eventually(lambda: holds_the_lease_and_renews_it(ended), 60, poller.tail)  # noqa: B023
        (taken,) = await fetch_all(settings, LEASE)
        await eventually(lambda: holds_the_lease_and_renews_it(taken), 60, poller.tail)  # noqa: B023
        assert asked(simulator) == told
    poller.kill()
    await pass_time(url, RETRY_AFTER)
    poller.start()

    async def are_stored() -> bool:
        return len(await fetch_all(settings, "SELECT FROM posts WHERE lower(subreddit) = 'python'")) >= 20

    await eventually(are_stored, 60, poller.tail)
    assert asked(simulator).count(429) == 1
    assert (await verified(settings, poller)).posts.found >= 20


async def polls_funny_alone(simulator: RunningSimulator) -> bool:
    listings = [each.path for each in simulator.simulator.entries if "/new" in each.path]
    return bool(listings) and "funny" in listings[-1] and "python" not in listings[-1]


def second_pages(simulator: RunningSimulator) -> int:
    """How often a listing was read beyond its first page."""
    return sum("after=" in each.path for each in simulator.simulator.entries)


async def outcomes(settings: Settings) -> set[str | None]:
    """How the gaps of python were closed; None for one that is open."""
    rows = await fetch_all(
        settings, "SELECT outcome FROM listing_gaps WHERE kind = 'posts' AND 'python' = ANY (subreddits)"
    )
    return {row["outcome"] for row in rows}


@pytest.mark.parametrize(("why", "empty"), [("paused", 10), ("removed", 0), ("banned", 0)])
async def test_what_a_subreddit_had_while_it_was_not_polled_is_read_back(
    settings: Settings, pool: Pool, simulator: RunningSimulator, poller: WorkerProcess, why: str, empty: int
) -> None:
    """More than a page. The second page is empty so many times before it has the rest.

    What Reddit banned is asked again after a minute.
    """
    names, by = ["python"], {"by": "test", "now": utcnow()}

    async def all_stored(ids: list[str]) -> bool:
        return len(await fetch_all(settings, "SELECT FROM posts WHERE id = ANY ($1)", ids)) == len(ids)

    async def is_banned() -> bool:
        return bool(
            await fetch_all(settings, "SELECT FROM subreddit_config WHERE name = 'python' AND state = 'banned'")
        )

    poller.start()
    await poller.ready()
    before = (await control(simulator, add="python", k=5))["added"]
    await eventually(lambda: all_stored(before), 60, poller.tail)
    if why == "banned":
        await control(simulator, bad_member="error")
        await control(simulator, access={"python": "banned"})
        await eventually(is_banned, 60, poller.tail)
    elif why == "paused":
        await change_subreddits(pool, names, Change(paused=True), **by)
    else:
        await remove_subreddits(pool, names, **by)
    await eventually(lambda: polls_funny_alone(simulator), 60, poller.tail)
    missed = (await control(simulator, add="python", k=130))["added"]
    if empty:
        await control(simulator, path="/r/", contains="after=", body=EMPTY_LISTING, count=-1)
    known = second_pages(simulator)
    if why == "banned":
        await control(simulator, access={"python": "public"})
    elif why == "paused":
        await change_subreddits(pool, names, Change(paused=False), **by)
    else:
        await add_subreddits(pool, names, Change(), **by)
    if empty:
        await eventually(lambda: second_pages(simulator) >= known + empty, 60, poller.tail)
        assert None in await outcomes(settings)
        assert not await all_stored(missed)
        await control(simulator, clear=True)
    await eventually(lambda: all_stored(missed), 120, poller.tail)
    report = await verified(settings, poller)
    assert report.posts.found >= 135
    assert await outcomes(settings) == {"proven"}
