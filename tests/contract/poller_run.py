"""A poller with the real client and a simulator, at a pace for tests. What else the poller needs is faked."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from signalflow.clock import utcnow
from signalflow.domain import budget
from signalflow.domain.comment_planner import StoredComment
from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.erasure import Erased, ErasedComment, ErasedPost
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import StoredPost
from signalflow.domain.once import OnceResult, OnceRun
from signalflow.domain.overlap import Gap
from signalflow.domain.post_run import PostResult, PostRun
from signalflow.domain.run_history import RunBook
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.sweep import StoredText
from signalflow.errors import Retryable
from signalflow.events import CommentEnvelope, Envelope
from signalflow.local.parts import WITHOUT_CERTIFICATES
from signalflow.reddit.poller import Poller
from signalflow.reddit.ports import CommentPorts
from signalflow.reddit.protocol import RedditClient
from signalflow.reddit.sources import client_of
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from tests.waiting import until

NAMES = ("funny", "python", "askscience")
# Fast enough for tests: 60 requests and five listings a second, a breaker of 0.15 s, one second between two published
# observations of a post.
SPACING = 1 / 60
BREAKER_SECONDS = 0.15
LISTINGS_PER_MINUTE = 300.0
REFRESH_IDS_PER_MINUTE = 20_000.0
PUBLISH_SPACING = 1.0


async def kill(poller: asyncio.Task[None] | None) -> None:
    """End a poller that runs, as SIGKILL ends its worker. It must have run until now."""
    assert poller is not None
    assert not poller.done()
    poller.cancel()
    with suppress(asyncio.CancelledError):
        await poller


@dataclass
class CommentWorld:
    """What the poller is given for comments, and what it was told of them."""

    published: list[CommentEnvelope] = field(default_factory=list)
    is_kafka_away: bool = False
    runs: list[PostRun] = field(default_factory=list)
    run_results: dict[int, dict[str, PostResult]] = field(default_factory=dict)
    stored: list[StoredComment] = field(default_factory=list)
    polled: dict[str, datetime] = field(default_factory=dict)
    left_open: list[GapRecord] = field(default_factory=list)
    opened: list[Gap] = field(default_factory=list)
    opened_at: list[float] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)
    # Old comments with text, in the order of their ids, and how far each mark says that they were checked.
    texts: list[StoredText] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)

    async def publish(self, envelopes: Sequence[CommentEnvelope]) -> list[bool]:
        if self.is_kafka_away:
            return [False] * len(envelopes)
        self.published += envelopes
        return [True] * len(envelopes)

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        self.opened.append(gap)
        self.opened_at.append(time.time())
        return len(self.opened)

    async def advance_gap(self, record: int, after: str | None, pages: int, until: datetime | None) -> None:
        pass

    async def close_gap(self, record: int, outcome: str, until: datetime | None) -> None:
        self.outcomes[record] = outcome

    async def open_gaps(self) -> Sequence[GapRecord]:
        return self.left_open

    async def known_comments(self, until: Mapping[str, datetime | None], each: int) -> Sequence[StoredComment]:
        return [comment for comment in self.stored if comment.subreddit in until]

    async def comment_runs_waiting(self) -> Sequence[PostRun]:
        return [run for run in self.runs if not run.is_done]

    async def report_comment_run(self, run: PostRun) -> None:
        self.run_results[run.id] = dict(run.results)

    async def texts_after(self, id_: str, created_before: datetime, most: int) -> Sequence[StoredText]:
        return [text for text in self.texts if text.id > id_][:most]

    async def sweep_reached(self) -> str:
        return self.swept[-1] if self.swept else ""

    async def mark_swept(self, reached: str) -> None:
        self.swept.append(reached)

    @property
    def ids(self) -> list[str]:
        return [envelope.payload.id for envelope in self.published]


@dataclass
class FirstLookLedger:
    """Records first looks back."""

    left_open: list[GapRecord] = field(default_factory=list)
    opened: list[Gap] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        self.opened.append(gap)
        return len(self.opened)

    async def advance_gap(self, record: int, after: str | None, pages: int, until: datetime | None) -> None:
        pass

    async def close_gap(self, record: int, outcome: str, until: datetime | None) -> None:
        self.outcomes[record] = outcome

    async def open_gaps(self) -> Sequence[GapRecord]:
        return self.left_open


@dataclass
class World:
    """Fakes of all that the poller is given, and what they were told."""

    comments: CommentWorld = field(default_factory=CommentWorld)
    first_looks: FirstLookLedger = field(default_factory=FirstLookLedger)
    published: list[Envelope] = field(default_factory=list)
    is_kafka_away: bool = False
    is_database_away: bool = False
    is_ledger_away: bool = False
    configured: list[Subreddit] = field(default_factory=lambda: [Subreddit(name, 60, "fast") for name in NAMES])
    known: list[StoredPost] = field(default_factory=list)
    left_open: list[GapRecord] = field(default_factory=list)
    opened: list[Gap] = field(default_factory=list)
    opened_at: list[float] = field(default_factory=list)
    opened_since: list[float] = field(default_factory=list)
    outcomes: dict[int, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    polled: dict[str, datetime] = field(default_factory=dict)
    reports: int = 0
    database_refusals: int = 0
    # The permit to poll: when it ends, by the steady clock, and how often the budget was recorded.
    permitted_until: float = math.inf
    budgets_recorded: int = 0
    not_shown: dict[str, datetime] = field(default_factory=dict)
    rising: list[RisingPost] = field(default_factory=list)
    popular: list[PopularSubreddit] = field(default_factory=list)
    runs: list[OnceRun] = field(default_factory=list)
    run_book: RunBook = field(default_factory=RunBook)
    run_results: dict[int, dict[str, OnceResult]] = field(default_factory=dict)
    run_comment_results: dict[int, dict[str, OnceResult]] = field(default_factory=dict)
    # Old posts with text, in the order of their ids, and how far each mark says that they were checked.
    texts: list[StoredText] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    erased: Erased = field(default_factory=Erased)
    erased_posts: list[ErasedPost] = field(default_factory=list)

    def _needs_database(self) -> None:
        if self.is_database_away:
            self.database_refusals += 1
            raise Retryable("the database is away")

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        if self.is_kafka_away:
            return [False] * len(envelopes)
        self.published += envelopes
        return [True] * len(envelopes)

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        self._needs_database()
        if self.is_ledger_away:
            raise Retryable("the ledger is away")
        self.opened.append(gap)
        self.opened_at.append(time.time())
        self.opened_since.append(newest.timestamp())
        return len(self.opened)

    async def advance_gap(self, record: int, after: str | None, pages: int, until: datetime | None) -> None:
        self._needs_database()

    async def close_gap(self, record: int, outcome: str, until: datetime | None) -> None:
        self._needs_database()
        self.outcomes[record] = outcome

    async def open_gaps(self) -> Sequence[GapRecord]:
        self._needs_database()
        return self.left_open

    async def subreddits(self) -> Sequence[Subreddit]:
        self._needs_database()
        return self.configured

    async def report(
        self, polled: Mapping[str, datetime], states: Mapping[str, str], comments_polled: Mapping[str, datetime]
    ) -> None:
        self._needs_database()
        self.reports += 1
        self.states |= states
        self.polled |= polled
        self.comments.polled |= comments_polled

    async def known_posts(self, since: datetime, names: Iterable[str] | None = None) -> Sequence[StoredPost]:
        self._needs_database()
        return [
            post
            for post in self.known
            if post.created >= since.timestamp() and (names is None or post.subreddit.lower() in names)
        ]

    async def mark_not_shown(self, since: Mapping[str, datetime]) -> None:
        self._needs_database()
        self.not_shown |= since

    async def runs_waiting(self) -> Sequence[OnceRun]:
        self._needs_database()
        return [run for run in self.runs if not self.is_reported_done(run)]

    async def report_run(self, run: OnceRun) -> None:
        self._needs_database()
        self.run_results[run.id] = dict(run.results)
        self.run_comment_results[run.id] = dict(run.comment_results)

    def is_reported_done(self, run: OnceRun) -> bool:
        results = self.run_results.get(run.id, {}), self.run_comment_results.get(run.id, {})
        return sum(map(len, results)) == len(run.subreddits) * (2 if run.comments else 1)

    async def note_rising(self, posts: Sequence[RisingPost]) -> None:
        self._needs_database()
        self.rising += posts

    async def note_popular(self, subreddits: Sequence[PopularSubreddit], seen_at: datetime) -> None:
        self._needs_database()
        self.popular = list(subreddits)

    async def texts_after(self, id_: str, created_before: datetime, most: int) -> Sequence[StoredText]:
        self._needs_database()
        return [text for text in self.texts if text.id > id_][:most]

    async def sweep_reached(self) -> str:
        self._needs_database()
        return self.swept[-1] if self.swept else ""

    async def mark_swept(self, reached: str) -> None:
        self._needs_database()
        self.swept.append(reached)

    async def erased_on_request(self) -> Erased:
        self._needs_database()
        return self.erased

    async def erased_rows(
        self, posts: Sequence[str], comments: Sequence[str]
    ) -> tuple[Sequence[ErasedPost], Sequence[ErasedComment]]:
        self._needs_database()
        return [row for row in self.erased_posts if row.id in posts], []

    def until(self) -> float:
        return self.permitted_until

    async def record(self) -> None:
        self.budgets_recorded += 1

    def ids(self, mode: str) -> list[str]:
        return [envelope.payload.id for envelope in self.published if envelope.mode == mode]


@dataclass
class Run:
    world: World
    simulator: RunningSimulator
    poller: Poller
    http: httpx.AsyncClient

    async def control(self, **command: Any) -> dict[str, Any]:
        response = await self.http.post(f"{self.simulator.url}/__ctl", json=command)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    async def add(self, subreddit: str, k: int = 1) -> list[str]:
        added: list[str] = (await self.control(add=subreddit, k=k))["added"]
        return added

    def requests(self, prefix: str = "/") -> list[Any]:
        return [entry for entry in self.simulator.simulator.entries if entry.path.startswith(prefix)]


def poller_of(
    settings: Settings,
    client: RedditClient,
    world: World,
    clock: Callable[[], datetime] = utcnow,
    pace: float = SPACING,
    limit: budget.Budget | None = None,
) -> Poller:
    """A poller to which this world is everything but Reddit.

    Its requests start at least `pace` seconds apart, or as this budget allows.
    """
    return Poller(
        settings,
        client=client,
        publisher=world,
        ledger=world,
        first_looks=world.first_looks,
        config=world,
        known=world,
        discovery=world,
        runs=world,
        comments=CommentPorts(world.comments, world.comments, world.comments, world.comments, world.comments),
        texts=world,
        erasures=world,
        budget=limit or budget.Budget(60 / pace),
        permit=world,
        run_book=world.run_book,
        clock=clock,
    )


@asynccontextmanager
async def running(
    world: World,
    *,
    clock: Callable[[], datetime] = utcnow,
    activity: float = 0.05,
    timeout: float = 16.0,
    source: str = "simulator",
    discover_minutes: float = 0.0,
    comments_per_post: int = 0,
) -> AsyncIterator[Run]:
    """A simulator and a poller that polls it, both stopped at the end. The poller must still run then."""
    simulator = await start(
        Config(
            Parameters(seed=5, activity=activity, stories_per_hour=0, burst_probability=0, life=0, fuzz=0),
            limit=10**6,
            feed_limit=10**6,
        )
    )
    settings = Settings(
        reddit_source=source,  # type: ignore[arg-type]
        reddit_contact="operator@example.org",
        reddit_base_url=simulator.url,
        requests_per_minute=95,
        config_refresh_seconds=0.2,
        discover_minutes=discover_minutes,
        comments_per_post=comments_per_post,
        first_look_hours=0,
        reddit_timeout=timeout,
    ).model_copy(
        # More than Reddit would allow, which validation would refuse.
        update={
            "listing_requests_per_minute": LISTINGS_PER_MINUTE,
            "refresh_ids_per_minute": REFRESH_IDS_PER_MINUTE,
        }
    )
    client = client_of(settings, clock)
    poller = poller_of(settings, client, world, clock)
    task = asyncio.create_task(poller.run())
    try:
        async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as http:
            yield Run(world, simulator, poller, http)
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await client.close()
        await simulator.close()


async def begin(run: Run) -> None:
    """Until a first listing is published."""
    await until(lambda: bool(run.world.ids("new")), "a first post")


async def finds(run: Run, subreddit: str = "python") -> None:
    """A post that comes now is found."""
    (added,) = await run.add(subreddit)
    await until(lambda: added in run.world.ids("new"), f"the post {added} of {subreddit}")
