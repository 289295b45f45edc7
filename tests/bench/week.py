"""A week of polling in virtual time, with everything switched on and with faults: what the requests are spent on."""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from signalflow.domain.comment_planner import StoredComment
from signalflow.domain.coverage import length
from signalflow.domain.known import StoredPost
from signalflow.domain.lease import LeaseRow, handover_of
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.sweep import StoredText
from signalflow.events import CommentEnvelope, Envelope
from signalflow.metrics import REDDIT_REQUESTS
from signalflow.reddit.observations import text_state
from signalflow.reddit.sources import budget_of
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.posts import Post
from signalflow.simulator.simulator import Simulator
from tests.contract.coverage_scene import MARGIN, Ledger, flood, shown_posts, true_gaps, within
from tests.contract.poller_run import CommentWorld, poller_of
from tests.contract.virtual_time import EPOCH, VirtualLoop, client_of, now, patched_clocks, simulator_of, utc

HOUR = 3600.0
DAY = 24 * HOUR
FLOODED = "funny"
# Known posts are read from the database for two days, and longer ago they are swept.
KNOWN_FOR = 2 * DAY
COMMENTS_OF = frozenset({"python", "rust", "askscience"})
RANKS_OF = frozenset({"funny", "news", "gaming", "science", "worldnews"})
LISTINGS = ("new", "hot", "rising", "top:week")
SETTINGS = Settings(reddit_base_url="http://simulator", reddit_client_id="", config_refresh_seconds=30)

EMPTY_PAGE = '{"kind": "Listing", "data": {"after": null, "children": []}}'

Progress = Callable[[str], None]


@dataclass
class WeekOfComments(CommentWorld):
    """Keeps the ids of all comments, and only the newest comments themselves, as far as a successor asks for them."""

    seen: set[str] = field(default_factory=set)

    async def publish(self, envelopes: Sequence[CommentEnvelope]) -> list[bool]:
        for each in envelopes:
            self.seen.add(each.payload.id)
            name, created = each.metadata.subreddit.lower(), each.payload.created_utc.timestamp()
            self.stored.append(StoredComment(each.payload.id, name, created))
        del self.stored[:-20_000]
        return [True] * len(envelopes)


@dataclass
class WeekOfPosts(Ledger):
    """Keeps of each post when it was found and how the database has it now, instead of all observations; and gaps."""

    comments: WeekOfComments = field(default_factory=WeekOfComments)
    found: dict[str, float] = field(default_factory=dict)
    newest: dict[str, StoredPost] = field(default_factory=dict)

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        for each in envelopes:
            post, at = each.payload, each.metadata.observed_at.timestamp()
            self.found.setdefault(post.id, at)
            state = text_state(post.removed_by, post.edited_at, post.author)
            created = post.created_utc.timestamp()
            self.newest[post.id] = StoredPost(
                post.id, post.subreddit, created, at, post.score, post.num_comments, False, 0.0, state
            )
        return [True] * len(envelopes)

    def take_over(self) -> None:
        """Give the next poller what the tables say now."""
        at = now()
        self.known = [row for row in self.newest.values() if row.created > at - KNOWN_FOR]
        old = sorted((row for row in self.newest.values() if row.created <= at - KNOWN_FOR), key=lambda row: row.id)
        self.texts = [StoredText(row.id, row.state) for row in old]
        self.configured = [
            replace(
                each,
                polled_at=_seconds(self.polled.get(each.name)),
                polled_since=self.polled_since.get(each.name),
                comments_polled_at=_seconds(self.comments.polled.get(each.name)),
            )
            for each in self.configured
        ]


def _seconds(at: Any) -> float | None:
    return None if at is None else at.timestamp()


class Week:
    """The default subreddits, polled by one worker after another."""

    def __init__(self, activity: float) -> None:
        self.world = WeekOfPosts(
            configured=[
                Subreddit(
                    row.name.lower(),
                    row.interval_seconds,
                    row.priority,
                    comments=row.name.lower() in COMMENTS_OF,
                    post_sorts=LISTINGS if row.name.lower() in RANKS_OF else ("new",),
                )
                for row in read_subreddits()
            ]
        )
        parameters = Parameters(seed=7, epoch=EPOCH, activity=activity, life=0.02, history=DAY)
        self.simulator: Simulator = simulator_of(Config(parameters))
        self.starts: list[float] = []
        self._budget = budget_of(SETTINGS)
        self._task: asyncio.Task[None] | None = None
        self._log = self.simulator.log_request
        self.simulator.log_request = self._log_request  # type: ignore[method-assign]

    def _log_request(self, *arguments: Any) -> None:
        # The simulator's own log forgets.
        self.starts.append(now())
        self._log(*arguments)

    def start(self) -> None:
        """A worker begins to poll."""
        client = client_of(self.simulator, SETTINGS.reddit_timeout)
        poller = poller_of(SETTINGS, client, self.world, clock=utc, limit=self._budget)
        self._task = asyncio.create_task(poller.run())

    async def kill(self) -> None:
        """The worker is killed."""
        assert self._task is not None
        assert not self._task.done()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def hand_over(self) -> None:
        """Another worker goes on with what the lease and the tables say."""
        lease = LeaseRow("a killed worker", 0.0, self._budget.hand_over(now()))
        self._budget = budget_of(SETTINGS)
        self._budget.take_over(handover_of(lease), now())
        self.world.take_over()
        self.start()

    async def day_of_faults(self, begin: float) -> None:
        """Reddit does not answer for ten minutes, says 429, and shows empty pages; a worker is killed.

        In these ten minutes one subreddit gets twice as many posts as a listing shows.
        """
        faults = self.simulator.faults
        await _until(begin + 3 * HOUR)
        faults.add({"path": "/", "status": 503, "count": -1})
        await flood(self.simulator, FLOODED, 2_000, 600.0)
        faults.clear()
        await _until(begin + 9 * HOUR)
        faults.add({"path": "/", "status": 429, "count": 1, "headers": {"Retry-After": "300"}})
        await _until(begin + 15 * HOUR)
        await self.kill()
        await asyncio.sleep(60)
        await self.hand_over()
        await _until(begin + 21 * HOUR)
        faults.add({"path": "/r/", "body": EMPTY_PAGE, "count": 20})
        await _until(begin + DAY)


async def _until(at: float) -> None:
    await asyncio.sleep(max(at - now(), 0.0))


def week(days: float, activity: float, progress: Progress) -> dict[str, Any]:
    """Poll for so many days; `activity` is the simulator's: 1 makes as many posts as the subreddits really have."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        run = Week(activity)
        before = _requests()
        runner.run(_polled(run, days, progress))
        used = {kind: count for kind, count in (_requests() - before).items() if count}
        return _figures(run, days, used)


async def _polled(run: Week, days: float, progress: Progress) -> None:
    end = EPOCH + days * DAY
    run.start()
    faults = None
    while now() < end:
        if faults is None or faults.done():
            faults = asyncio.create_task(run.day_of_faults(now()))
        await _until(min(now() + HOUR, end))
        progress(f"{(now() - EPOCH) / HOUR:.0f} of {days * 24:.0f} hours, {len(run.starts)} requests")
    if faults is not None:
        faults.cancel()
    await run.kill()


def _coverage(world: WeekOfPosts, shown: Sequence[Post], end: float) -> dict[str, Any]:
    """What coverage reports, and what is true of the posts that were shown from their first second and still are."""
    reported = {name: [stretch.span for stretch in world.timeline(name, end).stretches] for name in world.polled}
    missed = [post for post in shown if post.id not in world.found]
    return {
        "missed_posts": len(missed),
        "missed_outside_of_reported_gaps": sum(
            not within(int(post.created), reported[post.subreddit.key]) for post in missed
        ),
        "reported_gaps_s": round(sum(length(spans) for spans in reported.values())),
        "true_gaps_s": round(sum(length(spans) for spans in true_gaps(shown, world.found).values())),
    }


def _requests() -> Counter[str]:
    found: Counter[str] = Counter()
    for metric in REDDIT_REQUESTS.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total"):
                found[sample.labels["kind"]] += int(sample.value)
    return found


def _figures(run: Week, days: float, used: dict[str, int]) -> dict[str, Any]:
    world, end = run.world, EPOCH + days * DAY
    shown = list(shown_posts(run.simulator, world.polled.keys(), end - MARGIN))
    delays = [world.found[post.id] - post.created for post in shown if post.id in world.found]
    minutes = days * 24 * 60
    starts = sorted(run.starts)
    delays.sort()
    return {
        "days": days,
        "posts": len(delays),
        "coverage": _coverage(world, [post for post in shown if post.visible_at(end)], end),
        "delay_s": {"median": round(median(delays), 1), "p99": round(delays[len(delays) * 99 // 100], 1)},
        "comments": len(world.comments.seen),
        "gaps": dict(Counter(world.outcomes.values())),
        "gaps_of_comments": dict(Counter(world.comments.outcomes.values())),
        "requests_per_minute": {kind: round(count / minutes, 3) for kind, count in sorted(used.items())},
        "requests_per_minute_in_all": round(len(starts) / minutes, 2),
        "most_in_a_minute": max(bisect_left(starts, at + 60.0) - index for index, at in enumerate(starts)),
        "budget_per_minute": SETTINGS.request_budget,
    }
