"""A poller of the default subreddits and a simulator of their feeds, in virtual time; and what its polling gave."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from unittest.mock import patch

from signalflow.domain.known import StoredPost
from signalflow.domain.lease import LeaseRow, handover_of
from signalflow.domain.subreddits import Subreddit
from signalflow.events import Envelope
from signalflow.metrics import REDDIT_UNANSWERED_SINCE
from signalflow.reddit.feeds.content import content_of
from signalflow.reddit.sources import budget_of
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.subreddits import base36
from tests.contract.coverage_scene import Judged, Ledger, judge
from tests.contract.poller_run import kill, poller_of
from tests.contract.virtual_time import EPOCH, FeedsWithoutNetwork, VirtualLoop, now, patched_clocks, simulator_of, utc

HOUR = 3600.0
DAY = 24 * HOUR
# The first and the last posts of a day are not judged: the last may be found after it.
MARGIN = 180.0


@dataclass
class Day:
    """What polling gave until `end`: delays of the posts in seconds, posts that were missed, and all requests."""

    run: "FeedsRun"
    end: float
    delays: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def p99(self) -> float:
        return sorted(self.delays)[len(self.delays) * 99 // 100]

    def coverage(self) -> Judged:
        """What coverage says at the end, and what is true."""
        return judge(self.run.world, self.run.simulator, self.end)


class FeedsRun:
    """Everything but Reddit is faked. The requests take no real time."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.world = Ledger(
            configured=[Subreddit(row.name.lower(), row.interval_seconds, row.priority) for row in read_subreddits()]
        )
        parameters = Parameters(seed=7, epoch=EPOCH, life=0.0, history=2 * HOUR)
        self.simulator = simulator_of(Config(parameters))
        self._budget = budget_of(settings)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """A worker begins to poll."""
        client = FeedsWithoutNetwork(self.simulator, self.settings.personal_feed)
        poller = poller_of(self.settings, client, self.world, clock=utc, limit=self._budget)
        self._task = asyncio.create_task(poller.run())

    async def stop(self) -> None:
        """The worker is killed. It must have polled until now."""
        await kill(self._task)

    async def restart(self) -> None:
        """The worker is killed, and another one takes over with what the lease and the tables say."""
        await self.stop()
        lease = LeaseRow("a killed worker", 0.0, self._budget.hand_over(now()))
        self._budget = budget_of(self.settings)
        self._budget.take_over(handover_of(lease), now())
        self.world.known = [stored(envelope) for envelope in self.world.published]
        self.world.configured = [
            replace(
                one,
                polled_at=self.world.polled[one.name].timestamp(),
                polled_since=self.world.polled_since[one.name],
            )
            for one in self.world.configured
        ]
        self.start()

    def block(self, how: str) -> None:
        """Reddit blocks the address from now on."""
        self.simulator.faults.add({"contains": ".rss", "count": -1, "block": how})

    def unblock(self) -> None:
        self.simulator.faults.clear()

    def starts(self) -> list[float]:
        """When the requests so far were made."""
        return [entry.sim for entry in self.simulator.entries]

    def told(self) -> dict[str, float]:
        """Since when Reddit answers nothing, as the metric says, by the reason."""
        return {
            sample.labels["reason"]: sample.value
            for metric in REDDIT_UNANSWERED_SINCE.collect()
            for sample in metric.samples
        }

    def judged(self) -> Day:
        """What was found until now of that which Reddit shows."""
        found = {e.payload.id: e.metadata.observed_at.timestamp() for e in reversed(self.world.published)}
        day = Day(self, now())
        for post in self.simulator.world.new_posts_between(EPOCH + MARGIN, now() - MARGIN):
            id_ = base36(post.number)
            if id_ in found:
                day.delays.append(found[id_] - post.created)
            elif post.visible_at(now()):
                day.missed.append(id_)
        day.starts = self.starts()
        day.statuses = [entry.status for entry in self.simulator.entries]
        return day


def stored(envelope: Envelope) -> StoredPost:
    """What the database has of a post that a feed showed."""
    found = envelope.payload
    at = envelope.metadata.observed_at.timestamp()
    return StoredPost(found.id, found.subreddit, found.created_utc.timestamp(), at, None, None, True, 0.0, (None, None))


def virtually(settings: Settings, what: Callable[[FeedsRun], Awaitable[None]]) -> Day:
    """Do it in virtual time, while a poller polls at the beginning; returns what polling gave."""

    async def run() -> Day:
        run = FeedsRun(settings)
        run.start()
        await what(run)
        await run.stop()
        return run.judged()

    # A page shows most of the posts of the one before: a fifth of the time would go into reading their HTML again.
    cached = patch("signalflow.reddit.feeds.posts.content_of", lru_cache(maxsize=4_096)(content_of))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks(), cached:
        return runner.run(run())
