"""What a poller writes into the run history: minutes that have every request, and the jobs beside them."""

from collections import Counter

import pytest

from signalflow.clock import steady
from signalflow.domain import polling_runs
from signalflow.domain.once import OnceRun
from signalflow.domain.run_history import RunReport
from signalflow.domain.subreddits import Subreddit
from signalflow.metrics import REGISTRY
from tests.contract.poller_run import NAMES, World, begin, finds, running
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick")]

# What is read of Reddit to find subreddits that nobody watches.
LOOKS = {"rising of r/popular", "hot of r/popular", "popular subreddits"}


@pytest.fixture(autouse=True)
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling_runs, "CYCLE_SECONDS", 1.0)


def reports(world: World, *kinds: str) -> list[RunReport]:
    return [report for report in world.run_book.reports(steady()) if report.kind in kinds]


@pytest.mark.parametrize("source", ["simulator", "feeds"])
async def test_the_minutes_of_a_poller_have_all_requests_and_all_that_was_published(world: World, source: str) -> None:
    world.configured = [Subreddit(name, 60, "fast", comments=True) for name in NAMES]
    async with running(world, source=source) as run:
        await begin(run)
        await finds(run)
        await until(lambda: bool(world.comments.published), "a comment")
        await until(lambda: len(reports(world, "polling")) >= 3, "a third minute")
        asked = Counter(entry.status for entry in run.requests("/r/") + run.requests("/api/info"))
    minutes = reports(world, "polling")
    # The last request may have been under way, or one more was made, when the poller was stopped.
    assert 0 <= sum(minute.requests for minute in minutes) - asked.total() <= 2
    assert all(sum(minute.uses.values()) == minute.requests for minute in minutes)
    assert {"listing", "comments"} <= {kind for minute in minutes for kind in minute.uses}
    assert sum(minute.posts for minute in minutes) == len(world.published)
    assert sum(minute.comments for minute in minutes) == len(world.comments.published)
    new = len(world.ids("new")) + len(set(world.comments.ids))
    assert sum(minute.new for minute in minutes) == new
    # On a slow machine a short minute may pass without a request.
    assert {minute.outcome for minute in minutes if minute.requests} == {"ok"}
    first, second = minutes[:2]
    assert (first.ended_ago, second.started_ago) == pytest.approx((second.started_ago, first.ended_ago), abs=0.1)


async def test_a_run_somebody_asked_for_and_looks_at_popular_are_jobs_with_their_own_counts(world: World) -> None:
    asked = OnceRun(3, "top:day", ["worldnews", "No_such_place"], 4)
    async with running(world, discover_minutes=0.02) as run:
        await begin(run)
        world.runs.append(asked)
        await until(lambda: world.is_reported_done(asked), "the results of the run")
        await until(
            lambda: {each.subject for each in reports(world, "discovery") if each.outcome == "ok"} == LOOKS, "looks"
        )
    assert REGISTRY.get_sample_value("signalflow_reddit_requests_per_minute_allowed") == run.poller.budget.per_minute
    (once,) = reports(world, "once")
    assert (once.subject, once.outcome) == ("3: top:day of worldnews, No_such_place", "partly")
    result = world.run_results[3]["worldnews"]
    assert (once.requests, once.new, once.errors) == (2, result.published, 1)
    assert {each.subject for each in reports(world, "discovery")} == LOOKS
    uses = {(each.subject, *each.uses.items()) for each in reports(world, "discovery")}
    assert uses == {(look, ("popular_subreddits" if look == "popular subreddits" else "popular", 1)) for look in LOOKS}


async def test_a_minute_says_that_reddit_or_kafka_did_not_take_part(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.is_kafka_away = True
        await run.add("python")
        await until(lambda: any(minute.errors for minute in reports(world, "polling")), "an answer that was lost")
        world.is_kafka_away = False
        await run.control(path="/", status=503, count=10_000)
        await until(
            lambda: any(minute.outcome in ("failed", "idle") for minute in reports(world, "polling")), "a bad minute"
        )
        posts = sum(minute.posts for minute in reports(world, "polling"))
        assert posts == len(world.published)
