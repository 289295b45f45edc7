"""The gauges of what the database has: which time is covered, and how far the hourly rollup is behind."""

from datetime import datetime, timedelta

import pytest

from agents import freshness
from signalflow.domain.gaps import Outcome
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.metrics import REGISTRY
from signalflow.storage.gaps import close_gap, open_gap
from signalflow.storage.jobs import refresh_touched
from signalflow.storage.partitions import database_time
from signalflow.storage.pool import Pool
from signalflow.storage.subreddit_changes import Change, change_subreddits
from signalflow.storage.subreddits import load_defaults, mark_polled
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import NOON, observation

HOUR = timedelta(hours=1)


def shares() -> dict[str, float | None]:
    return {
        time: REGISTRY.get_sample_value("signalflow_coverage_share", {"time": time})
        for time in ("covered", "missing", "unknown")
    }


async def gap(pool: Pool, name: str, since: datetime, until: datetime, outcome: Outcome) -> None:
    number = await open_gap(
        pool, subreddits=[name], anchor_ids=[], since=since, after=None, opened_at=since, until=until
    )
    await close_gap(pool, number, outcome, until)


async def test_the_coverage_of_the_last_day_is_that_of_all_polled_subreddits(pool: Pool) -> None:
    await freshness.measure(pool, leads=True)
    assert shares() == {"covered": None, "missing": None, "unknown": None}, "nothing is known without a subreddit"

    now = await database_time(pool)
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast") for name in ("python", "rust", "paused")])
    for at in (now - 30 * HOUR, now):
        await mark_polled(pool, {"python": at})
    # Half of the day of one of two subreddits is known, a quarter of that is missing, and a proven gap lacks nothing.
    for at in (now - 12 * HOUR, now):
        await mark_polled(pool, {"rust": at})
    await gap(pool, "rust", now - 6 * HOUR, now - 3 * HOUR, "given_up")
    await gap(pool, "rust", now - 9 * HOUR, now - 8 * HOUR, "proven")
    # Of the day before, which nobody asks for; and of a subreddit that nobody polls.
    await gap(pool, "python", now - 29 * HOUR, now - 27 * HOUR, "given_up")
    await change_subreddits(pool, ["paused"], Change(paused=True), by="ann", now=now)
    await freshness.measure(pool, leads=True)
    # The newest five minutes are not judged: 0.3 % of the day.
    assert shares() == pytest.approx({"covered": 33 / 48, "missing": 3 / 48, "unknown": 12 / 48}, abs=0.005)

    await change_subreddits(pool, ["rust"], Change(paused=True), by="ann", now=now)
    await freshness.measure(pool, leads=True)
    assert shares() == pytest.approx({"covered": 1, "missing": 0, "unknown": 0}, abs=0.005)

    await freshness.measure(pool, leads=False)
    assert shares() == {"covered": None, "missing": None, "unknown": None}, "another worker leads now"


async def test_an_hour_waits_for_the_rollup_from_its_end_until_it_is_recomputed(pool: Pool) -> None:
    async def waiting(leads: bool = False) -> float:
        await freshness.measure(pool, leads=leads)
        found = REGISTRY.get_sample_value("signalflow_rollup_waiting_seconds")
        assert found is not None
        return found

    assert await waiting() == 0
    # The newer hour alone must not hide the older one.
    await write_batch(pool, [observation("a", 60), observation("a", 3600 * 3)])
    now = await database_time(pool)
    for leads in (True, False):
        assert await waiting(leads) == pytest.approx((now - NOON - HOUR).total_seconds(), abs=30)
    await refresh_touched(pool)
    assert await waiting() == 0
    # An hour that still runs is no older than now.
    await write_batch(pool, [observation("b", (now - NOON).total_seconds())])
    assert await waiting() == 0
