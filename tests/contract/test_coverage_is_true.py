"""Coverage against the simulator's truth, in virtual time: reported gaps have every missed post, and little more."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.contract.coverage_scene import HOUR, MINUTE, Scene, virtually

pytestmark = pytest.mark.slow

FLOODED = "funny"
# The time before and after what happens.
QUIET = 30 * MINUTE


def test_without_faults_nothing_is_missed_and_nothing_reported() -> None:
    judged = virtually(lambda scene: asyncio.sleep(HOUR))
    assert (judged.missed_posts, judged.reported_seconds, judged.unknown_between) == (0, 0, [])


def test_two_thousand_posts_of_one_subreddit_within_ten_minutes_are_all_found() -> None:
    async def overflow(scene: Scene) -> None:
        await asyncio.sleep(QUIET)
        await scene.flood(FLOODED, 2_000, 10 * MINUTE)
        await asyncio.sleep(QUIET)

    judged = virtually(overflow)
    assert (judged.missed_posts, judged.reported_seconds, judged.unknown_between) == (0, 0, [])


def test_errors_lose_nothing_and_report_nothing() -> None:
    async def errors(scene: Scene) -> None:
        await asyncio.sleep(QUIET)
        for fault in ({"status": 503}, {"truncate": True}, {"drop": True}, {"delay": 30.0}, {"body": ""}):
            scene.simulator.faults.add({"path": "/", "count": 5, **fault})
            await asyncio.sleep(5 * MINUTE)
        await asyncio.sleep(QUIET)

    judged = virtually(errors)
    assert (judged.missed_posts, judged.reported_seconds, judged.unknown_between) == (0, 0, [])


async def reddit_is_away(scene: Scene) -> None:
    """So short that combined listings still show posts of others from before, below the newest 1,000 of one."""
    scene.simulator.faults.add({"path": "/", "status": 503, "count": -1})
    await asyncio.sleep(10 * MINUTE)
    scene.simulator.faults.clear()


async def nobody_polls(scene: Scene) -> None:
    await scene.stop()
    await asyncio.sleep(20 * MINUTE)
    scene.start()


@pytest.mark.parametrize("outage", [reddit_is_away, nobody_polls])
def test_an_outage_with_an_overflow_in_it_loses_posts_and_the_reported_gaps_have_them_all_and_little_more(
    outage: Callable[[Scene], Awaitable[None]],
) -> None:
    async def trouble(scene: Scene) -> None:
        await asyncio.sleep(QUIET)
        async with asyncio.TaskGroup() as group:
            group.create_task(outage(scene))
            group.create_task(scene.flood(FLOODED, 2_000, 10 * MINUTE))
        await asyncio.sleep(QUIET)

    judged = virtually(trouble)
    print(f"\n{judged}")
    assert judged.missed_posts > 900
    assert judged.outside == []
    assert judged.reported_names == {FLOODED}
    assert judged.true_seconds > 4 * MINUTE
    assert judged.reported_seconds <= 1.1 * judged.true_seconds
    assert judged.unknown_between == []
    assert 0.5 < judged.estimated_posts / judged.missed_posts < 2
