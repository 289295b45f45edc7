"""A day of virtual time with Reddit's feeds: nothing is missed at one request a minute, whatever comes between."""

import asyncio
from itertools import pairwise
from statistics import median

import pytest
from pydantic import SecretStr

from signalflow.settings import Settings
from tests.contract.coverage_scene import MINUTE, flood
from tests.contract.feeds_day import DAY, HOUR, Day, FeedsRun, virtually
from tests.contract.virtual_time import EPOCH

pytestmark = pytest.mark.slow

FEEDS = Settings(reddit_source="feeds", reddit_contact="you@example.org")
PERSONAL = Settings(
    reddit_source="feeds",
    reddit_contact="you@example.org",
    reddit_feed=SecretStr("feed=simulatorsfeed&user=simulator"),
)
BLOCK = 10 * MINUTE
# After the four answers that say so come pauses of 1, 2, 4 and 8 minutes. Then one request tells that it has ended, and
# the next one lists posts again. Those of these 16 minutes fill at most six pages more, and such a page is every second
# request.
CAUGHT_UP = (1 + 2 + 4 + 8 + 1 + 2 * 6) * MINUTE
# The last listing before the block is at most so old: another request may have had its turn.
BEFORE = 2 * MINUTE


def shortest_pause(day: Day) -> float:
    return min(after - before for before, after in pairwise(day.starts))


def assert_all_is_covered(day: Day) -> None:
    judged = day.coverage()
    assert (judged.missed_posts, judged.reported_seconds, judged.unknown_between) == (0, 0, [])


def test_a_day_at_one_request_a_minute_misses_nothing() -> None:
    day = virtually(FEEDS, lambda run: asyncio.sleep(DAY))
    assert day.missed == []
    assert len(day.delays) > 10_000
    assert median(day.delays) <= 35
    assert day.p99 <= 150
    assert set(day.statuses) == {200}
    assert shortest_pause(day) >= 59.9
    assert_all_is_covered(day)


def test_a_quarter_of_a_day_with_a_personal_feed_misses_nothing_at_ten_requests_a_minute() -> None:
    day = virtually(PERSONAL, lambda run: asyncio.sleep(6 * HOUR))
    assert day.missed == []
    assert len(day.delays) > 4_000
    # Four listings a minute: a post waits for 7.5 s on average, and for 15 s at most.
    assert median(day.delays) <= 9
    assert day.p99 <= 20
    assert set(day.statuses) == {200}
    assert shortest_pause(day) >= 5.9
    assert_all_is_covered(day)


def test_a_day_with_a_block_and_a_restart_in_it_misses_nothing_and_asks_four_times_meanwhile() -> None:
    blocked_at = 9 * HOUR

    async def trouble(run: FeedsRun) -> None:
        await asyncio.sleep(blocked_at)
        run.block("forbidden")
        await asyncio.sleep(BLOCK / 2)
        await run.restart()
        await asyncio.sleep(BLOCK / 2)
        run.unblock()
        await asyncio.sleep(DAY - blocked_at - BLOCK)

    day = virtually(FEEDS, trouble)
    assert day.missed == []
    assert median(day.delays) <= 35
    assert day.p99 <= 150, "also with the posts of the block, which are fewer than one in a hundred"
    assert max(day.delays) <= BEFORE + CAUGHT_UP
    assert shortest_pause(day) >= 59.9
    assert_all_is_covered(day)
    # A listing, then one that everybody reads; after 2, 4 and 8 minutes. The restart makes no request of its own.
    within = [at - EPOCH - blocked_at for at in day.starts if blocked_at <= at - EPOCH < blocked_at + 20 * 60]
    assert day.statuses.count(403) == 4
    assert [round(after - before) for before, after in pairwise(within)][:4] == [60, 120, 240, 480]


def test_a_block_with_an_overflow_in_it_loses_posts_and_the_reported_gaps_have_them_all_and_little_more() -> None:
    async def trouble(run: FeedsRun) -> None:
        await asyncio.sleep(HOUR / 4)
        run.block("page")
        await flood(run.simulator, "funny", 2_000, BLOCK)
        run.unblock()
        await asyncio.sleep(HOUR * 3 / 4)

    judged = virtually(PERSONAL, trouble).coverage()
    print(f"\n{judged}")
    assert judged.missed_posts > 900
    assert judged.outside == []
    assert judged.reported_names == {"funny"}
    assert judged.reported_seconds <= 1.1 * judged.true_seconds
    assert judged.unknown_between == []
