"""A poller of the default subreddits and a simulator in virtual time, with the tables that coverage is computed of."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from signalflow.domain.coverage import Followed, Span, Stretch, Timeline, UnprovenGap, length, united
from signalflow.domain.gaps import Outcome
from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import Gap
from signalflow.domain.subreddits import Subreddit
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.changes import PostAdded
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.posts import Post
from signalflow.simulator.simulator import Simulator
from tests.contract.poller_run import World, kill, poller_of
from tests.contract.virtual_time import EPOCH, VirtualLoop, client_of, now, patched_clocks, simulator_of, utc

MINUTE = 60.0
HOUR = 3600.0
# The last posts may be found later, and polls are reported now and then.
MARGIN = 300.0


@dataclass
class Ledger(World):
    """The tables of which coverage is computed, as the database would keep them."""

    rows: dict[int, UnprovenGap] = field(default_factory=dict)
    polled_since: dict[str, float] = field(default_factory=dict)

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        record = await super().open_gap(gap, newest, opened_at)
        until = gap.until if gap.until < float("inf") else None
        self.rows[record] = UnprovenGap(
            record, gap.subreddits, newest.timestamp(), until, opened_at.timestamp(), None, None
        )
        return record

    async def advance_gap(self, record: int, after: str | None, pages: int, until: datetime | None) -> None:
        await super().advance_gap(record, after, pages, until)
        self.rows[record] = replace(self.rows[record], until=until.timestamp() if until else None, pages=pages)

    async def close_gap(self, record: int, outcome: str, until: datetime | None) -> None:
        await super().close_gap(record, outcome, until)
        closed: Outcome = outcome  # type: ignore[assignment]
        self.rows[record] = replace(
            self.rows[record], outcome=closed, closed_at=now(), until=until.timestamp() if until else None
        )

    async def report(self, polled: Any, states: Any, comments_polled: Any) -> None:
        await super().report(polled, states, comments_polled)
        for name, at in polled.items():
            self.polled_since.setdefault(name, at.timestamp())

    def timeline(self, name: str, at: float) -> Timeline:
        """What `signalflow coverage` would say of a subreddit at this time."""
        unproven = [row for row in self.rows.values() if row.outcome in (None, "given_up", "unreachable")]
        followed = Followed(name, self.polled_since[name], self.polled[name].timestamp())
        return Timeline.of(followed, unproven, at)


class Scene:
    """A poller of the default subreddits that is killed and started again as a test wants."""

    def __init__(
        self,
        *,
        history: float = HOUR,
        first_look_hours: float = 24.0,
        activity: float = 1.0,
        life: float = 0.0,
        opening: bool = False,
    ) -> None:
        self.ledger = Ledger(
            configured=[Subreddit(row.name.lower(), row.interval_seconds, row.priority) for row in read_subreddits()]
        )
        parameters = Parameters(seed=21, epoch=EPOCH, life=life, history=history, activity=activity, opening=opening)
        self.simulator: Simulator = simulator_of(Config(parameters, limit=10**6))
        self._settings = Settings(
            reddit_base_url="http://simulator", reddit_client_id="", first_look_hours=first_look_hours
        )
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        client = client_of(self.simulator, self._settings.reddit_timeout)
        self._task = asyncio.create_task(poller_of(self._settings, client, self.ledger, clock=utc, pace=1.0).run())

    async def stop(self) -> None:
        """The worker is killed. The next one begins with what the tables say."""
        await kill(self._task)
        self.ledger.known = [
            StoredPost(post.id, post.subreddit, post.created_utc.timestamp(), now(), post.score, 0, True)
            for post in {envelope.payload.id: envelope.payload for envelope in self.ledger.published}.values()
        ]
        self.ledger.configured = [
            replace(
                one,
                polled_at=at.timestamp() if (at := self.ledger.polled.get(one.name)) else None,
                polled_since=self.ledger.polled_since.get(one.name),
            )
            for one in self.ledger.configured
        ]
        self.ledger.left_open = []

    async def flood(self, name: str, count: int, seconds: float) -> None:
        """So many posts of a subreddit, evenly within so many seconds."""
        await flood(self.simulator, name, count, seconds)


async def flood(simulator: Simulator, name: str, count: int, seconds: float) -> None:
    """So many posts of a subreddit, evenly within so many seconds."""
    world = simulator.world
    for _ in range(count):
        number, at = world.free_number(now())
        world.apply(
            PostAdded(
                number=number,
                subreddit=world.subreddit(name).name,
                created=at,
                rise=20.0,
                tau=HOUR,
                talk=5.0,
                text_seed=number,
            )
        )
        await asyncio.sleep(seconds / count)


def shown_posts(simulator: Simulator, names: Collection[str], until: float) -> Iterator[Post]:
    """The posts of these subreddits that listings showed from their first second, oldest first."""
    for post in simulator.world.new_posts_between(EPOCH + MARGIN, until):
        if post.subreddit.key in names and (spans := post.visible_spans()) and spans[0][0] <= post.created + 1:
            yield post


def true_gaps(posts: Iterable[Post], found: Collection[str]) -> dict[str, list[Span]]:
    """By subreddit, the true gaps: between the posts that were found before and after posts that were not."""
    spans: dict[str, list[Span]] = {}
    before: dict[str, float] = {}
    open_since: dict[str, float] = {}
    for post in posts:
        key = post.subreddit.key
        if post.id not in found:
            open_since.setdefault(key, before.get(key, EPOCH + MARGIN))
        elif key in open_since:
            spans.setdefault(key, []).append((open_since.pop(key), post.created))
        before[key] = post.created
    assert not open_since, "the last post of each subreddit is found"
    return spans


@dataclass
class Judged:
    """What is reported and what is true, at the end."""

    missed_posts: int
    outside: list[tuple[str, float]]
    reported_seconds: float
    true_seconds: float
    unknown_between: list[str]
    reported_names: set[str]
    estimated_posts: float


def within(at: float, spans: Iterable[Span]) -> bool:
    return any(begin <= at < end for begin, end in spans)


def judge(ledger: Ledger, simulator: Simulator, at: float) -> Judged:
    """What `signalflow coverage` would say at this time, judged by what the simulator did until then."""
    end = at - MARGIN
    names = sorted(ledger.polled)
    timelines = {name: ledger.timeline(name, at) for name in names}
    reported = {name: [stretch.span for stretch in line.stretches] for name, line in timelines.items()}
    found = {envelope.payload.id for envelope in ledger.published}
    shown = list(shown_posts(simulator, names, end))
    posts = [(post.subreddit.key, post.created) for post in shown if post.id not in found]
    true = true_gaps(shown, found)
    known = {name: united((*line.covered, *reported[name])) for name, line in timelines.items()}
    created: dict[str, list[float]] = {name: [] for name in names}
    for envelope in ledger.published:
        if envelope.mode == "new" and envelope.payload.subreddit.lower() in created:
            created[envelope.payload.subreddit.lower()].append(envelope.payload.created_utc.timestamp())
    return Judged(
        missed_posts=len(posts),
        outside=[(name, at) for name, at in posts if not within(int(at), reported[name])],
        reported_seconds=sum(length(spans) for spans in reported.values()),
        true_seconds=sum(length(spans) for spans in true.values()),
        unknown_between=[name for name, spans in known.items() if not within_all(spans, EPOCH + MARGIN, end)],
        reported_names={name for name, spans in reported.items() if spans},
        estimated_posts=sum(
            stretch.missing(count(created[name], [stretch.span]), sides_of(created[name], stretch)) or 0.0
            for name, line in timelines.items()
            for stretch in line.stretches
        ),
    )


def within_all(spans: Sequence[Span], begin: float, end: float) -> bool:
    return any(span[0] <= begin and end <= span[1] for span in spans)


def count(times: Collection[float], spans: Iterable[Span]) -> int:
    pieces = list(spans)
    return sum(within(at, pieces) for at in times)


def sides_of(times: Collection[float], stretch: Stretch) -> tuple[int, int]:
    return count(times, stretch.sides[0]), count(times, stretch.sides[1])


def virtually(what: Callable[[Scene], Awaitable[None]]) -> Judged:
    """Do it in virtual time while a poller polls, and judge what coverage says at the end."""

    async def run() -> Judged:
        scene = Scene()
        scene.start()
        await what(scene)
        judged = judge(scene.ledger, scene.simulator, now())
        await scene.stop()
        return judged

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, patched_clocks():
        return runner.run(run())
