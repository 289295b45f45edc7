"""The poller against the simulator, after floods, outages and takeovers: it misses nothing and repeats no new post."""

import asyncio
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from signalflow.clock import utcnow
from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import UNSETTLED
from signalflow.domain.subreddits import Subreddit
from tests.contract.poller_run import (
    NAMES,
    World,
    begin,
    finds,
    poller_of,
    running,
)
from tests.waiting import until

pytestmark = pytest.mark.slow

EMPTY_LISTING = '{"kind": "Listing", "data": {"after": null, "before": null, "dist": 0, "children": []}}'


@pytest.mark.usefixtures("quick")
async def test_a_flood_is_recorded_as_a_gap_before_its_second_page_and_completed(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        added = await run.add("funny", 350)
        await until(lambda: set(world.ids("new")).issuperset(added), "all of the flood")
        await until(lambda: world.outcomes.get(1) == "proven", "the gap to be closed")
        paged = [entry.real for entry in run.requests("/r/") if "after=" in entry.path]
    assert len(paged) >= 2
    assert world.opened_at[0] <= paged[0]
    assert max(Counter(world.ids("new")).values()) == 1


@pytest.mark.usefixtures("quick")
async def test_while_the_database_is_away_polling_goes_on_and_gaps_wait_for_their_record(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.is_database_away = True
        await finds(run)
        added = []
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        added = await run.add("funny", 250)
        await until(lambda: added[-1] in world.ids("new"), "the top of the flood")
        await finds(run)
        assert not [entry for entry in run.requests("/r/") if "after=" in entry.path]
        world.is_database_away = False
        await until(lambda: set(world.ids("new")).issuperset(added), "the rest, once the gap is recorded")


@pytest.mark.usefixtures("quick")
async def test_a_gap_stays_open_through_ten_empty_answers_and_closes_once_its_pages_are_full(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The waits between empty pages do not grow, or ten of them would take minutes.
    monkeypatch.setattr("signalflow.domain.gaps.LONGEST_PAGE_RETRY", 0.2)
    async with running(world) as run:
        await begin(run)
        # None of the gap's pages is fetched before all listings are empty.
        world.is_ledger_away = True
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        flood = await run.add("funny", 150)
        await until(lambda: flood[-1] in world.ids("new"), "the top of the flood")
        await run.control(path="/r/", body=EMPTY_LISTING, count=-1)
        world.is_ledger_away = False
        await until(lambda: world.opened and world.opened[0].empty_pages >= 10, "ten empty pages of the gap")
        assert run.poller.planner.gaps
        assert world.outcomes == {}
        assert not set(flood).issubset(world.ids("new"))
        run.simulator.simulator.faults.clear()
        await until(lambda: 1 in world.outcomes, "the gap to be closed")
        paged = [entry.path for entry in run.requests("/r/askscience+funny+python/") if "after=" in entry.path]
    # While all listings were empty their group was halved, so the listings after it may have opened a gap of their own.
    assert set(world.outcomes.values()) == {"proven"}
    # After an empty page the gap is read from the top. So the first page was empty, and the other one closed the gap.
    assert len(paged) == 2
    assert set(flood).issubset(world.ids("new"))
    assert max(Counter(world.ids("new")).values()) == 1


@pytest.mark.usefixtures("quick")
async def test_a_successor_waits_for_the_database_before_it_asks_reddit(world: World) -> None:
    world.is_database_away = True
    async with running(world) as run:
        asked = world.database_refusals
        await until(lambda: world.database_refusals > asked + 3, "some tries")
        assert run.requests() == []
        world.is_database_away = False
        await begin(run)


@pytest.mark.usefixtures("quick")
async def test_what_kafka_did_not_confirm_is_sent_again(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.is_kafka_away = True
        added = await run.add("funny", 150)
        polls = len(run.requests("/r/"))
        await until(lambda: len(run.requests("/r/")) > polls + 2, "polls while Kafka is away")
        assert not set(added).intersection(world.ids("new"))
        world.is_kafka_away = False
        await until(lambda: set(world.ids("new")).issuperset(added), "all posts, after Kafka is back")


async def assert_nothing_new_is_reported(world: World) -> None:
    """After the report that may be under way, further reports have no newer poll."""
    reports = world.reports
    await until(lambda: world.reports > reports + 1, "what was polled before to be reported")
    looked_at, reports = dict(world.polled), world.reports
    await until(lambda: world.reports > reports + 1, "two more reports")
    assert world.polled == looked_at


@pytest.mark.usefixtures("quick")
async def test_a_page_counts_as_a_look_only_when_a_successor_may_rely_on_it(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await until(lambda: set(world.polled) == set(NAMES), "the first report")
        world.is_kafka_away = True
        added = await run.add("funny", 5)
        unsent = len(run.requests("/r/"))
        await until(lambda: len(run.requests("/r/")) > unsent + 1, "a page that is not confirmed")
        await assert_nothing_new_is_reported(world)
        world.is_kafka_away = False
        await until(lambda: set(world.ids("new")).issuperset(added), "what was not confirmed")
        world.is_ledger_away = True
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        flood = await run.add("funny", 250)
        await until(lambda: flood[-1] in world.ids("new"), "the top of the flood")
        await assert_nothing_new_is_reported(world)
        looked_at = dict(world.polled)
        world.is_ledger_away = False
        await until(lambda: world.polled != looked_at, "the look, once the gap is recorded")
        assert world.opened


@pytest.mark.usefixtures("quick")
async def test_a_warm_start_publishes_no_known_post_as_new(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        first = set(world.ids("new"))
        (added,) = await run.add("python")
        await until(lambda: added in world.ids("new"), "the newest")
        successor = World()
        for envelope in world.published:
            post, at = envelope.payload, envelope.metadata.observed_at.timestamp()
            successor.known.append(
                StoredPost(
                    post.id, post.subreddit, post.created_utc.timestamp(), at, post.score, post.num_comments, False
                )
            )
        poller = poller_of(run.poller._settings, run.poller._client, successor)
        task = asyncio.create_task(poller.run())
        await until(lambda: bool(successor.ids("refresh")), "the successor's first observations")
        missing = await run.add("python", 3)
        await until(lambda: set(successor.ids("new")).issuperset(missing), "what came after the takeover")
        task.cancel()
        await asyncio.wait({task})
    assert not (first | {added}).intersection(successor.ids("new"))
    assert not successor.opened


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.usefixtures("quick")
async def test_a_successor_with_a_wrong_clock_never_takes_a_gap_for_proven(world: World, hours: int) -> None:
    now = time.time()
    world.configured = [Subreddit(name, 60, "fast", now - 300) for name in NAMES]
    # Two known posts are too few to prove an overlap: the page must also reach back in time.
    world.known = [StoredPost(id_, "funny", now - 600, now - 500, 1, 0, False) for id_ in ("old1", "old2")]
    world.is_database_away = True
    async with running(world, clock=lambda: utcnow() + timedelta(hours=hours)) as run:
        flood = await run.add("funny", 150)
        # Posts are visible some seconds after they were made.
        await run.control(jump=30)
        world.is_database_away = False
        await until(lambda: set(world.ids("new")).issuperset(flood), "all of the flood")
        await until(lambda: world.outcomes.get(1) == "proven", "the gap to be closed")
    assert abs(world.opened_since[0] - (now - 300 - UNSETTLED)) < 5, "the ledger is of Reddit's time"


@pytest.mark.usefixtures("quick")
async def test_what_a_resumed_subreddit_had_meanwhile_is_read_back(world: World) -> None:
    """A page of the whole group shows the newest 100 posts, and most of those of the pause lie below them."""
    async with running(world) as run:
        await begin(run)
        await finds(run)
        await until(lambda: "python" in world.polled, "a report of a poll")
        watched = world.configured
        world.configured = [subreddit for subreddit in watched if subreddit.name != "python"]
        await until(lambda: "python" not in run.poller.planner.watchlist, "the pause")
        meanwhile = await run.add("python", 60)
        await run.add("funny", 90)
        await finds(run, "funny")
        assert not set(meanwhile).intersection(world.ids("new"))
        paused_at = world.polled["python"].timestamp()
        world.configured = [replace(sub, polled_at=paused_at) if sub.name == "python" else sub for sub in watched]
        await until(lambda: set(world.ids("new")).issuperset(meanwhile), "all of the pause")
    assert max(Counter(world.ids("new")).values()) == 1
