"""The poller with the real client against the simulator: whatever goes wrong between them, polling goes on."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from msgspec import UNSET

from signalflow.clock import utcnow
from signalflow.domain import budget
from signalflow.domain.backoff import Backoff
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import UNSETTLED, Gap
from signalflow.domain.watchlist import Subreddit
from signalflow.errors import Retryable
from signalflow.events import Envelope
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.poller import Poller
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from tests.waiting import until

pytestmark = pytest.mark.slow
NAMES = ("funny", "python", "askscience")
# Fast enough for tests: 60 requests and five listings a second, a breaker of 0.15 s, one second between two published
# observations of a post.
SPACING = 1 / 60
BREAKER_SECONDS = 0.15
LISTINGS_PER_MINUTE = 300.0
REFRESH_IDS_PER_MINUTE = 20_000.0
PUBLISH_SPACING = 1.0


@dataclass
class World:
    """Fakes of all that the poller is given, and what they were told."""

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

    async def advance_gap(self, record: int, after: str | None, pages: int) -> None:
        self._needs_database()

    async def close_gap(self, record: int, outcome: str) -> None:
        self._needs_database()
        self.outcomes[record] = outcome

    async def open_gaps(self) -> Sequence[GapRecord]:
        self._needs_database()
        return self.left_open

    async def subreddits(self) -> Sequence[Subreddit]:
        self._needs_database()
        return self.configured

    async def report(self, polled: Mapping[str, datetime], states: Mapping[str, str]) -> None:
        self._needs_database()
        self.reports += 1
        self.states |= states
        self.polled |= polled

    async def known_posts(self, since: datetime) -> Sequence[StoredPost]:
        self._needs_database()
        return self.known

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


Starter = Callable[..., Awaitable[Run]]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules at a pace for tests."""
    monkeypatch.setattr(budget, "MAX_PER_MINUTE", 6000.0)
    monkeypatch.setattr(budget, "BREAKER_SECONDS", BREAKER_SECONDS)
    monkeypatch.setattr(budget, "UNNAMED_WAITS", Backoff(first=0.15, most=budget.PUBLISHED_WINDOW))
    monkeypatch.setattr(budget, "SHORTEST_WAIT", 0.1)
    monkeypatch.setattr("signalflow.domain.known.PUBLISH_SPACING", PUBLISH_SPACING)
    monkeypatch.setattr("signalflow.domain.watchlist.SHORTEST_INTERVAL", 0.2)
    monkeypatch.setattr("signalflow.domain.watchlist.LONGEST_RETRY", 0.2)
    monkeypatch.setattr("signalflow.domain.gaps.PAGE_RETRY", 0.2)
    monkeypatch.setattr("signalflow.domain.refresh.SHORTEST_REPEAT", 0.1)
    monkeypatch.setattr("signalflow.domain.refresh.EMPTY_WAIT", 0.1)
    monkeypatch.setattr("signalflow.reddit.poller.DATABASE_RETRY", 0.1)
    monkeypatch.setattr("signalflow.reddit.poller.LEDGER_PATIENCE", 0.5)
    monkeypatch.setattr("signalflow.reddit.gap_writer.RETRY_SECONDS", 0.1)


@asynccontextmanager
async def running(
    world: World, *, clock: Callable[[], datetime] = utcnow, activity: float = 0.05, timeout: float = 16.0
) -> AsyncIterator[Run]:
    """A simulator and a poller that polls it, both stopped at the end. The poller must still run then."""
    simulator = await start(
        Config(
            Parameters(seed=5, activity=activity, stories_per_hour=0, burst_probability=0, life=0, fuzz=0), limit=10**6
        )
    )
    settings = Settings(
        reddit_base_url=simulator.url, requests_per_minute=95, config_refresh_seconds=0.2, reddit_timeout=timeout
    ).model_copy(
        # More than Reddit would allow, which validation would refuse.
        update={
            "listing_requests_per_minute": LISTINGS_PER_MINUTE,
            "refresh_ids_per_minute": REFRESH_IDS_PER_MINUTE,
        }
    )
    client = AsyncprawClient.of(settings, clock)
    poller = Poller(settings, client=client, publisher=world, ledger=world, config=world, known=world, clock=clock)
    poller.budget = budget.Budget(60 / SPACING)
    task = asyncio.create_task(poller.run())
    try:
        async with httpx.AsyncClient() as http:
            yield Run(world, simulator, poller, http)
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait({task})
        await client.close()
        await simulator.close()


@pytest.fixture
def world() -> World:
    return World()


async def begin(run: Run) -> None:
    """Until a first listing is published."""
    await until(lambda: bool(run.world.ids("new")), "a first post")


async def finds(run: Run, subreddit: str = "python") -> None:
    """A post that comes now is found."""
    (added,) = await run.add(subreddit)
    await until(lambda: added in run.world.ids("new"), f"the post {added} of {subreddit}")


@pytest.mark.usefixtures("quick")
async def test_new_posts_are_published_once_with_their_body_and_refreshes_without(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        added = await run.add("python", 5)
        await until(lambda: set(world.ids("new")).issuperset(added), "the new posts")
        await until(lambda: set(world.ids("refresh")).issuperset(added), "a second observation of each")
    assert max(Counter(world.ids("new")).values()) == 1
    for envelope in world.published:
        assert (envelope.payload.body is UNSET) is (envelope.mode == "refresh")
        assert envelope.payload.created_utc <= envelope.metadata.observed_at + timedelta(seconds=2)
    times: dict[str, list[datetime]] = {}
    for envelope in world.published:
        times.setdefault(envelope.payload.id, []).append(envelope.metadata.observed_at)
    for observed in times.values():
        assert all((after - before).total_seconds() > PUBLISH_SPACING - 0.5 for before, after in pairwise(observed))


@pytest.mark.usefixtures("quick")
async def test_an_edit_travels_with_the_new_body(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        (added,) = await run.add("python")
        await until(lambda: added in world.ids("new"), "the post")
        await run.control(edit=f"t3_{added}")
        await until(
            lambda: any(
                e.payload.id == added and e.mode == "refresh" and e.payload.body is not UNSET for e in world.published
            ),
            "the edited text",
        )


@pytest.mark.usefixtures("quick")
async def test_requests_keep_their_distance_one_at_a_time_and_name_groups_and_batches(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await until(lambda: len(run.requests("/r/")) >= 8 and bool(run.requests("/api/info")), "some polls")
        starts = [entry.real for entry in run.requests() if not entry.path.startswith(("/api/v1", "/__"))]
    # The log has arrivals, not starts: a slow request before a quick one comes a little nearer.
    assert min(after - before for before, after in pairwise(starts)) >= SPACING * 0.3
    assert len(starts) / (starts[-1] - starts[0]) <= 1.2 / SPACING
    for entry in run.requests("/r/"):
        assert entry.path.lower().startswith("/r/askscience+funny+python/new?")
        assert "limit=100" in entry.path
        assert "count=" not in entry.path
    assert not run.requests("/comments")


FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503, "count": 3},
    "504": {"status": 504},
    "520": {"status": 520},
    "522": {"status": 522},
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "1"}},
    "429 with a Retry-After that is no number": {"status": 429, "headers": {"Retry-After": "soon"}},
    "429 as JSON without Retry-After": {"status": 429, "ct": "application/json"},
    "429 with a reset that is no number": {
        "status": 429,
        "ct": "application/json",
        "headers": {"x-ratelimit-reset": "x", "x-ratelimit-remaining": "many", "x-ratelimit-used": "-1"},
    },
    "401 as HTML": {"status": 401},
    "HTML with 200": {"html": True},
    "truncated JSON": {"truncate": True},
    "a body that is no listing": {"body": "{}", "ct": "application/json"},
    "a list instead of a listing": {"body": "[]", "ct": "application/json"},
    "a connection reset": {"drop": True},
    "no rate-limit headers": {"rl": False},
    "rate-limit headers that are no numbers": {
        "headers": {"x-ratelimit-remaining": "nan", "x-ratelimit-reset": "-5", "x-ratelimit-used": ""}
    },
}


@pytest.mark.parametrize("fault", list(FAULTS))
@pytest.mark.usefixtures("quick")
async def test_polling_goes_on_after(world: World, fault: str) -> None:
    async with running(world) as run:
        await begin(run)
        for path in ("/r/", "/api/info"):
            await run.control(path=path, **FAULTS[fault])
            await until(lambda: not run.simulator.simulator.faults, f"{fault} to be met")
            await finds(run)
        met = len(run.requests("/api/info"))
        await until(lambda: len(run.requests("/api/info")) > met, "another batch of refreshes")
    assert max(Counter(world.ids("new")).values()) == 1


@pytest.mark.usefixtures("quick")
async def test_a_stalled_request_times_out_and_polling_goes_on(world: World) -> None:
    async with running(world, timeout=0.5) as run:
        await begin(run)
        await run.control(path="/r/", delay=20)
        await until(lambda: not run.simulator.simulator.faults, "the stall to be met")
        await finds(run)


@pytest.mark.parametrize("status", [401, 429, 500])
@pytest.mark.usefixtures("quick")
async def test_a_token_endpoint_that_fails_does_not_end_polling(world: World, status: int) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/api/v1/access_token", status=status, count=2)
        await run.control(expire_tokens=True)
        await until(lambda: not run.simulator.simulator.faults, "the refused tokens")
        await finds(run)


@pytest.mark.usefixtures("quick")
async def test_a_lost_token_costs_one_token_request(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        before = len(run.requests("/api/v1"))
        await run.control(expire_tokens=True)
        await finds(run)
        assert len(run.requests("/api/v1")) == before + 1


@pytest.mark.usefixtures("quick")
async def test_a_429_stops_every_kind_of_request_until_the_time_it_names(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/", contains="/r/", status=429, headers={"Retry-After": "1"})
        await until(lambda: any(entry.status == 429 for entry in run.requests()), "the 429")
        refused = next(entry.real for entry in run.requests() if entry.status == 429)
        await finds(run)
        after = [entry.real for entry in run.requests() if entry.real > refused and not entry.path.startswith("/__")]
    assert after[0] - refused >= 1.0


@pytest.mark.usefixtures("quick")
async def test_a_5xx_opens_the_breaker_and_what_came_meanwhile_is_found(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the 503")
        failed = next(entry.real for entry in run.requests() if entry.status == 503)
        added = await run.add("funny", 40)
        await until(lambda: set(world.ids("new")).issuperset(added), "what came while the breaker was open")
        after = [entry.real for entry in run.requests() if entry.real > failed and not entry.path.startswith("/__")]
    assert after[0] - failed >= BREAKER_SECONDS
    assert not world.opened


@pytest.mark.parametrize("access", ["private", "banned", "quarantined", "gated"])
@pytest.mark.usefixtures("quick")
async def test_one_bad_subreddit_is_set_aside_and_the_rest_goes_on(world: World, access: str) -> None:
    async with running(world) as run:
        await begin(run)
        await run.add("funny", 1)
        await until(lambda: world.states.get("funny") == "ok", "a post that shows it is readable")
        await run.control(bad_member="error")
        await run.control(access={"funny": access})
        await until(lambda: run.poller.planner.watchlist.excluded == {"funny"}, "the culprit to be found")
        await finds(run, "python")
        await finds(run, "askscience")
        await until(lambda: world.states.get("funny") == access, "the report")


@pytest.mark.usefixtures("quick")
async def test_an_unknown_subreddit_alone_is_set_aside(world: World) -> None:
    world.configured.append(Subreddit("no_such_place", 60, "slow"))
    async with running(world) as run:
        await until(lambda: run.poller.planner.watchlist.excluded == {"no_such_place"}, "the culprit to be found")
        await finds(run)


@pytest.mark.usefixtures("quick")
async def test_a_flood_is_recorded_as_a_gap_before_its_second_page_and_completed(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        added = await run.add("funny", 350)
        await until(lambda: set(world.ids("new")).issuperset(added), "all of the flood")
        await until(lambda: world.outcomes.get(1) == "proven", "the gap to be closed")
        paged = [entry.real for entry in run.requests("/r/") if "after=" in entry.path]
    assert len(paged) >= 2
    assert world.opened_at[0] <= paged[0]
    assert max(Counter(world.ids("new")).values()) == 1


@pytest.mark.usefixtures("quick")
async def test_while_the_database_is_away_polling_goes_on_and_gaps_wait_for_their_record(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.is_database_away = True
        await finds(run)
        added = []
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        added = await run.add("funny", 250)
        await until(lambda: added[-1] in world.ids("new"), "the top of the flood")
        await finds(run)
        assert not [entry for entry in run.requests("/r/") if "after=" in entry.path]
        world.is_database_away = False
        await until(lambda: set(world.ids("new")).issuperset(added), "the rest, once the gap is recorded")


@pytest.mark.usefixtures("quick")
async def test_a_successor_waits_for_the_database_before_it_asks_reddit(world: World) -> None:
    world.is_database_away = True
    async with running(world) as run:
        asked = world.database_refusals
        await until(lambda: world.database_refusals > asked + 3, "some tries")
        assert run.requests() == []
        world.is_database_away = False
        await begin(run)


@pytest.mark.usefixtures("quick")
async def test_what_kafka_did_not_confirm_is_sent_again(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.is_kafka_away = True
        added = await run.add("funny", 150)
        polls = len(run.requests("/r/"))
        await until(lambda: len(run.requests("/r/")) > polls + 2, "polls while Kafka is away")
        assert not set(added).intersection(world.ids("new"))
        world.is_kafka_away = False
        await until(lambda: set(world.ids("new")).issuperset(added), "all posts, after Kafka is back")


async def assert_nothing_new_is_reported(world: World) -> None:
    """After the report that may be under way, further reports have no newer poll."""
    reports = world.reports
    await until(lambda: world.reports > reports + 1, "what was polled before to be reported")
    looked_at, reports = dict(world.polled), world.reports
    await until(lambda: world.reports > reports + 1, "two more reports")
    assert world.polled == looked_at


@pytest.mark.usefixtures("quick")
async def test_a_page_counts_as_a_look_only_when_a_successor_may_rely_on_it(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        await until(lambda: set(world.polled) == set(NAMES), "the first report")
        world.is_kafka_away = True
        added = await run.add("funny", 5)
        unsent = len(run.requests("/r/"))
        await until(lambda: len(run.requests("/r/")) > unsent + 1, "a page that is not confirmed")
        await assert_nothing_new_is_reported(world)
        world.is_kafka_away = False
        await until(lambda: set(world.ids("new")).issuperset(added), "what was not confirmed")
        world.is_ledger_away = True
        await run.control(path="/r/", status=503)
        await until(lambda: any(entry.status == 503 for entry in run.requests()), "the breaker")
        flood = await run.add("funny", 250)
        await until(lambda: flood[-1] in world.ids("new"), "the top of the flood")
        await assert_nothing_new_is_reported(world)
        looked_at = dict(world.polled)
        world.is_ledger_away = False
        await until(lambda: world.polled != looked_at, "the look, once the gap is recorded")
        assert world.opened


@pytest.mark.usefixtures("quick")
async def test_a_changed_configuration_takes_effect_and_an_unreadable_one_changes_nothing(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        world.configured = [*world.configured, Subreddit("movies", 60, "fast")]
        await finds(run, "movies")
        world.configured = [subreddit for subreddit in world.configured if subreddit.name != "funny"]
        await until(lambda: "funny" not in run.poller.planner.watchlist, "the removal")
        reports, world.is_database_away = world.reports, True
        await finds(run, "movies")
        assert world.reports == reports
        world.is_database_away = False
        await until(lambda: world.reports > reports, "the table to be readable again")


@pytest.mark.usefixtures("quick")
async def test_a_warm_start_publishes_no_known_post_as_new(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        first = set(world.ids("new"))
        (added,) = await run.add("python")
        await until(lambda: added in world.ids("new"), "the newest")
        successor = World()
        for envelope in world.published:
            post, at = envelope.payload, envelope.metadata.observed_at.timestamp()
            successor.known.append(
                StoredPost(
                    post.id, post.subreddit, post.created_utc.timestamp(), at, post.score, post.num_comments, False
                )
            )
        poller = Poller(
            run.poller._settings,
            client=run.poller._client,
            publisher=successor,
            ledger=successor,
            config=successor,
            known=successor,
        )
        poller.budget = budget.Budget(60 / SPACING)
        task = asyncio.create_task(poller.run())
        await until(lambda: bool(successor.ids("refresh")), "the successor's first observations")
        missing = await run.add("python", 3)
        await until(lambda: set(successor.ids("new")).issuperset(missing), "what came after the takeover")
        task.cancel()
        await asyncio.wait({task})
    assert not (first | {added}).intersection(successor.ids("new"))
    assert not successor.opened


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.usefixtures("quick")
async def test_a_wrong_local_clock_does_not_date_observations(world: World, hours: int) -> None:
    async with running(world, clock=lambda: utcnow() + timedelta(hours=hours)) as run:
        await begin(run)
        await finds(run)
    for envelope in world.published:
        assert abs((envelope.metadata.observed_at - datetime.now(UTC)).total_seconds()) < 120


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.usefixtures("quick")
async def test_a_successor_with_a_wrong_clock_takes_nothing_for_proven_that_is_not(world: World, hours: int) -> None:
    now = time.time()
    world.configured = [Subreddit(name, 60, "fast", now - 300) for name in NAMES]
    # Too few to be proof by themselves: the page must reach back in time.
    world.known = [StoredPost(id_, "funny", now - 600, now - 500, 1, 0, False) for id_ in ("old1", "old2")]
    world.is_database_away = True
    async with running(world, clock=lambda: utcnow() + timedelta(hours=hours)) as run:
        flood = await run.add("funny", 150)
        # Posts are visible some seconds after they were made.
        await run.control(jump=30)
        world.is_database_away = False
        await until(lambda: set(world.ids("new")).issuperset(flood), "all of the flood")
        await until(lambda: world.outcomes.get(1) == "proven", "the gap to be closed")
    assert abs(world.opened_since[0] - (now - 300 - UNSETTLED)) < 5, "the ledger is of Reddit's time"


@pytest.mark.usefixtures("quick")
async def test_a_post_from_the_future_is_not_published(world: World) -> None:
    async with running(world) as run:
        await begin(run)
        wrong = {
            "id": "zzzz", "name": "t3_zzzz", "subreddit": "funny", "author": "a", "title": "t", "score": 1, "ups": 1,
            "num_comments": 0, "created_utc": math.floor(time.time()) + 3600.0, "edited": False, "over_18": False,
            "is_self": True, "selftext": "", "url": "https://example.org/", "permalink": "/r/funny/comments/zzzz/t/",
            "upvote_ratio": 1.0, "link_flair_text": None, "removed_by_category": None, "downs": 0,
        }  # fmt: skip
        listing = {
            "kind": "Listing",
            "data": {"after": None, "before": None, "dist": 1, "children": [{"kind": "t3", "data": wrong}]},
        }
        await run.control(path="/r/", body=httpx.Response(200, json=listing).text, ct="application/json")
        await until(lambda: not run.simulator.simulator.faults, "the wrong answer")
        await finds(run)
    assert "zzzz" not in world.ids("new")
