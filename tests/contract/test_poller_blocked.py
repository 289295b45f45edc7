"""Reddit blocks the address: this is told, tried again after long pauses, and known to the next poller."""

import asyncio
from itertools import pairwise

import pytest

from signalflow.settings import Settings
from tests.contract.feeds_day import HOUR, FeedsRun, virtually
from tests.contract.virtual_time import now

pytestmark = pytest.mark.slow

FEEDS = Settings(reddit_source="feeds", reddit_contact="you@example.org")
# A page with status 200 is proof. A 403 may be for one of the names, so the next request is for a listing
# that everybody reads. Another program may be the reason of a few 429s, so these are a block from the fifth on.
PAUSES = {
    "forbidden": [60, 120, 240, 480, 960, 1920, 3600, 3600],
    "page": [120, 240, 480, 960, 1920, 3600, 3600],
    "limit": [60, 60, 60, 60, 120, 240, 480, 960, 1920, 3600, 3600],
}


@pytest.mark.parametrize("how", list(PAUSES))
def test_a_block_is_told_at_once_and_tried_after_pauses_that_grow_to_an_hour(how: str) -> None:
    pauses = PAUSES[how]

    async def block(run: FeedsRun) -> None:
        await asyncio.sleep(600)
        assert run.told() == {}
        answers, published = len(run.starts()), len(run.world.published)
        begun = now()
        run.block(how)
        await asyncio.sleep(sum(pauses) + 120)
        assert run.told() == {f"blocked_{how}": pytest.approx(begun, abs=61)}
        starts = run.starts()[answers:]
        assert [round(after - before) for before, after in pairwise(starts)] == pauses
        assert set(run.world.states.values()) == {"ok"}, "no subreddit is the reason"
        assert len(run.world.published) == published
        run.unblock()
        await asyncio.sleep(3600)
        assert run.told() == {}
        assert len(run.world.published) > published

    virtually(FEEDS, block)


@pytest.mark.parametrize("how", list(PAUSES))
def test_the_next_poller_keeps_the_pause_tells_the_block_and_goes_on_doubling(how: str) -> None:
    pauses = PAUSES[how]

    async def block(run: FeedsRun) -> None:
        await asyncio.sleep(600)
        begun, answers = now(), len(run.starts())
        run.block(how)
        await asyncio.sleep(sum(pauses[:-3]) + 60)
        for _ in range(3):
            await run.restart()
            await asyncio.sleep(1)
            assert run.told() == {f"blocked_{how}": pytest.approx(begun, abs=310)}
        await asyncio.sleep(4 * HOUR)
        starts = run.starts()[answers:]
        assert [round(after - before) for before, after in pairwise(starts)][: len(pauses)] == pauses

    virtually(FEEDS, block)


def test_a_poller_that_ends_during_a_block_tells_it_no_longer() -> None:
    async def block(run: FeedsRun) -> None:
        run.block("page")
        await asyncio.sleep(600)
        assert run.told()
        await run.stop()
        assert run.told() == {}
        run.start()

    virtually(FEEDS, block)


def test_a_subreddit_that_is_refused_with_a_page_is_found_and_is_no_block() -> None:
    async def refuse(run: FeedsRun) -> None:
        await asyncio.sleep(600)
        run.simulator.faults.add({"contains": ".rss", "member": "python", "count": -1, "block": "forbidden"})
        await asyncio.sleep(HOUR)
        assert run.world.states.pop("python") == "forbidden"
        assert set(run.world.states.values()) == {"ok"}
        assert run.told() == {}
        published = len(run.world.published)
        await asyncio.sleep(300)
        assert len(run.world.published) > published
        run.unblock()
        await asyncio.sleep(2 * HOUR)
        assert run.world.states["python"] == "ok"

    assert virtually(FEEDS, refuse).missed == []
