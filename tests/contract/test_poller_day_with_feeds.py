"""A day of virtual time with Reddit's feeds: nothing is missed at one request a minute."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import pytest
from pydantic import SecretStr

from signalflow.domain.subreddits import Subreddit
from signalflow.reddit.poller import Poller
from signalflow.reddit.sources import budget_of
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.subreddits import base36
from tests.contract.poller_run import World
from tests.contract.virtual_time import (
    EPOCH,
    FeedsWithoutNetwork,
    VirtualLoop,
    patched_clocks,
    simulator_of,
    utc,
)

pytestmark = pytest.mark.slow

HOUR = 3600.0
DAY = 24 * HOUR
# The last posts of the day may be found after it.
MARGIN = 180.0


@dataclass
class Day:
    """What a day of polling gave: delays of the posts in seconds, the posts that were missed, and all requests."""

    delays: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    gaps: int = 0

    @property
    def p99(self) -> float:
        return sorted(self.delays)[len(self.delays) * 99 // 100]


def day_of(settings: Settings, *, seconds: float = DAY, seed: int = 7) -> Day:
    world = World(
        configured=[Subreddit(row.name.lower(), row.interval_seconds, row.priority) for row in read_subreddits()]
    )
    config = Config(Parameters(seed=seed, epoch=EPOCH, life=0.0, history=2 * HOUR))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        simulator = simulator_of(config)
        runner.run(polling(settings, simulator, world, seconds))
        return judged(simulator, world, seconds)


async def polling(settings: Settings, simulator: Simulator, world: World, seconds: float) -> None:
    client = FeedsWithoutNetwork(simulator, settings.personal_feed)
    poller = Poller(
        settings,
        client=client,
        publisher=world,
        ledger=world,
        config=world,
        known=world,
        budget=budget_of(settings),
        permit=world,
        clock=utc,
    )
    task = asyncio.create_task(poller.run())
    await asyncio.sleep(seconds)
    assert not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def judged(simulator: Simulator, world: World, seconds: float) -> Day:
    found = {e.payload.id: e.metadata.observed_at.timestamp() for e in reversed(world.published) if e.mode == "new"}
    day = Day(gaps=len(world.opened))
    for post in simulator.world.new_posts_between(EPOCH + MARGIN, EPOCH + seconds - MARGIN):
        id_ = base36(post.number)
        if id_ in found:
            day.delays.append(found[id_] - post.created)
        elif post.visible_at(EPOCH + seconds):
            day.missed.append(id_)
    day.starts = [entry.sim for entry in simulator.entries]
    day.statuses = [entry.status for entry in simulator.entries]
    return day


def test_a_day_at_one_request_a_minute_misses_nothing() -> None:
    day = day_of(Settings(reddit_source="feeds", reddit_contact="you@example.org"))
    assert day.missed == []
    assert len(day.delays) > 10_000
    assert median(day.delays) <= 35
    assert day.p99 <= 150
    assert set(day.statuses) == {200}
    assert min(after - before for before, after in pairwise(day.starts)) >= 59.9


def test_a_quarter_of_a_day_with_a_personal_feed_misses_nothing_at_ten_requests_a_minute() -> None:
    personal = SecretStr("feed=simulatorsfeed&user=simulator")
    settings = Settings(reddit_source="feeds", reddit_contact="you@example.org", reddit_feed=personal)
    day = day_of(settings, seconds=6 * HOUR)
    assert day.missed == []
    assert len(day.delays) > 4_000
    # Four listings a minute: a post waits for 7.5 s on average, and for 15 s at most.
    assert median(day.delays) <= 9
    assert day.p99 <= 20
    assert set(day.statuses) == {200}
    assert min(after - before for before, after in pairwise(day.starts)) >= 5.9
