"""Two workers, a database and a simulator: one worker polls, whatever becomes of leadership, lease and connections."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg
import httpx
import pytest

from agents.ingest import polling_of
from signalflow.clock import steady
from signalflow.domain.lease import LEASE_SECONDS
from signalflow.domain.run_history import RunBook
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.events import Envelope
from signalflow.reddit.polling import Polling
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import list_subreddits, load_defaults
from signalflow.storage.workers import heartbeat
from tests.integration.door import Door, door_to_database
from tests.integration.polling_lease import pass_time
from tests.waiting import until

REQUESTS_PER_MINUTE = 60.0


@dataclass
class Resources:
    """What a worker shares with its poller; the fake publisher keeps what it is given."""

    pool: Pool
    published: list[Envelope] = field(default_factory=list)

    @property
    def publisher(self) -> "Resources":
        return self

    @property
    def comment_publisher(self) -> "Resources":
        return self

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        self.published += envelopes
        return [True] * len(envelopes)


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    running = await start(Config(Parameters(seed=3, activity=0.2, stories_per_hour=0)))
    yield running
    await running.close()


@pytest.fixture
def settings_of_ingest(database_url: str, simulator: RunningSimulator) -> Settings:
    return Settings.model_validate(
        {
            "database_url": database_url,
            "reddit_base_url": simulator.url,
            "config_refresh_seconds": 0.5,
            "requests_per_minute": REQUESTS_PER_MINUTE,
        }
    )


@pytest.fixture
async def make_ingest(settings_of_ingest: Settings, database_pool: Pool) -> AsyncIterator[Callable[..., Polling]]:
    """Makes the ingest agents of workers: `make_ingest(settings, leads_until)`. Surely leading is none of them."""
    await load_defaults(database_pool, [WatchedSubreddit("python", 60, "fast"), WatchedSubreddit("funny", 60, "fast")])
    made: list[Polling] = []

    def make(
        settings: Settings = settings_of_ingest,
        leads_until: Callable[[], float] = lambda: -math.inf,
        resources: Resources | None = None,
        name: str = "worker",
    ) -> Polling:
        shared = resources or Resources(database_pool)
        made.append(polling_of(settings, lambda: shared, RunBook(), name=name, leads_until=leads_until))
        return made[-1]

    yield make
    for ingest in made:
        await ingest.close()


@pytest.fixture
def workers(make_ingest: Callable[..., Polling], database_pool: Pool) -> tuple[Polling, Polling, Resources, Resources]:
    shared = Resources(database_pool), Resources(database_pool)
    first = make_ingest(resources=shared[0], name="first")
    second = make_ingest(resources=shared[1], name="second")
    return first, second, *shared


@pytest.fixture
async def first_polls(
    workers: tuple[Polling, Polling, Resources, Resources],
) -> tuple[Polling, Polling, Resources, Resources]:
    """The workers, when the first one has published."""
    first, _, of_first, _ = workers
    await tick(first)
    await until(lambda: bool(of_first.published))
    return workers


@pytest.fixture
async def settings_behind(settings_of_ingest: Settings) -> AsyncIterator[tuple[Door, Settings]]:
    async with door_to_database(settings_of_ingest) as pair:
        yield pair


async def recorded_wait(database_url: str) -> bool:
    connection = await asyncpg.connect(database_url)
    waits = await connection.fetchval("SELECT not_before > now() + interval '1 min' FROM polling_lease")
    await connection.close()
    return bool(waits)


async def kill(ingest: Polling) -> None:
    """As SIGKILL: the poller ends, and nobody releases the lease."""
    assert ingest._task is not None
    ingest._is_closed = True
    ingest._held.until = -math.inf
    ingest._task.cancel()
    await asyncio.wait({ingest._task})


async def tick(ingest: Polling, *, is_leader: bool = True) -> None:
    await ingest.tick(is_leader=is_leader, is_rebalancing=False)


async def test_of_two_that_believe_to_lead_one_polls_and_the_other_takes_over(
    workers: tuple[Polling, Polling, Resources, Resources], database_pool: Pool
) -> None:
    first, second, of_first, of_second = workers
    await tick(first)
    await tick(second)
    await until(lambda: bool(of_first.published))
    await tick(second)
    assert (first.is_polling(), second.is_polling()) == (True, False)
    assert not of_second.published
    await tick(first, is_leader=False)
    polled = len(of_first.published)
    await tick(second)
    await until(lambda: bool(of_second.published))
    assert len(of_first.published) == polled
    rows = {row.name: row.last_polled_at for row in await list_subreddits(database_pool)}
    assert set(rows) == {"python", "funny"}


async def test_a_connection_of_the_lease_that_breaks_stops_nobody(
    first_polls: tuple[Polling, Polling, Resources, Resources], database_url: str
) -> None:
    first, second, _, of_second = first_polls
    poller = first._task
    connection = await asyncpg.connect(database_url)
    killed = await connection.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'signalflow polling lease' AND datname = current_database()"
    )
    await connection.close()
    assert killed == 1
    await tick(second)
    await tick(first)
    await tick(first)
    assert first._task is poller
    assert not of_second.published


async def test_a_worker_whose_lease_another_one_has_taken_stops_at_once(
    first_polls: tuple[Polling, Polling, Resources, Resources], database_url: str
) -> None:
    first, second, _, of_second = first_polls
    await pass_time(database_url, LEASE_SECONDS)
    await tick(second)
    await tick(first)
    assert not first.is_polling()
    assert first.until() == -math.inf
    await until(lambda: bool(of_second.published))


async def test_a_worker_that_gets_its_lease_back_after_another_one_had_it_begins_anew(
    first_polls: tuple[Polling, Polling, Resources, Resources], database_url: str
) -> None:
    first, second, _, _ = first_polls
    poller = first._task
    await pass_time(database_url, LEASE_SECONDS)
    await tick(second)
    await pass_time(database_url, LEASE_SECONDS)
    await tick(first)
    assert first.is_polling()
    assert first._task is not poller, "the second may have found posts that the first does not know"


@pytest.mark.parametrize("retry_after", [600, 7200])
async def test_a_wait_that_reddit_names_outlives_killed_leaders(
    make_ingest: Callable[[], Polling], simulator: RunningSimulator, database_url: str, retry_after: int
) -> None:
    leader = make_ingest()
    async with httpx.AsyncClient() as http:
        fault = {"path": "/", "contains": "/r/", "status": 429, "headers": {"Retry-After": str(retry_after)}}
        (await http.post(f"{simulator.url}/__ctl", json=fault)).raise_for_status()
    await tick(leader)
    await until(lambda: any(entry.status == 429 for entry in simulator.simulator.entries), "the 429")
    await until(lambda: leader._budget.in_flight == 0, "the 429 to be recorded")
    await until(lambda: recorded_wait(database_url), "the wait to be recorded")
    asked = len(simulator.simulator.entries)
    for kills in range(1, 4):
        await kill(leader)
        await pass_time(database_url, LEASE_SECONDS)
        leader = make_ingest()
        await tick(leader)
        assert leader.is_polling()
        left = leader._budget.wait(steady())
        assert left == pytest.approx(retry_after - kills * LEASE_SECONDS, abs=5)
    assert len(simulator.simulator.entries) == asked


async def test_successors_of_killed_leaders_stay_within_one_budget(
    make_ingest: Callable[[], Polling], simulator: RunningSimulator, database_url: str
) -> None:
    for kills in range(3):
        leader = make_ingest()
        await tick(leader)
        if kills:
            assert leader._budget.wait(steady()) > 0.9 * 60 / REQUESTS_PER_MINUTE
        asked = len(simulator.simulator.entries)
        await until(lambda: len(simulator.simulator.entries) > asked + 2, "some requests")  # noqa: B023
        await kill(leader)
        await pass_time(database_url, LEASE_SECONDS)
    starts = [entry.real for entry in simulator.simulator.entries if not entry.path.startswith(("/api/v1", "/__"))]
    assert min(after - before for before, after in pairwise(starts)) > 0.8 * 60 / REQUESTS_PER_MINUTE


async def test_while_the_database_is_away_a_leader_polls_as_long_as_it_surely_leads(
    make_ingest: Callable[..., Polling], settings_behind: tuple[Door, Settings]
) -> None:
    door, through = settings_behind
    leads_until = [-math.inf]
    ingest = make_ingest(through, lambda: leads_until[0])
    await tick(ingest)
    assert ingest.is_polling()
    await door.shut()
    await tick(ingest)
    assert ingest.is_polling(), "its lease has not ended"
    # The lease has ended, and Kafka's group still has this leader.
    ingest._held.until = steady() - 1
    leads_until[0] = steady() + 60
    await tick(ingest)
    assert ingest.is_polling()
    leads_until[0] = steady() - 1
    await tick(ingest)
    assert not ingest.is_polling()
    await door.open()
    await tick(ingest)
    assert ingest.is_polling()


async def test_a_leader_that_kafka_has_replaced_hands_over(
    make_ingest: Callable[..., Polling], first_polls: tuple[Polling, Polling, Resources, Resources], database_pool: Pool
) -> None:
    """It is cut off from Kafka: it still believes that it leads, keeps the lease, and could publish nothing."""
    first, second, _, of_second = first_polls
    await tick(first)
    assert first.is_polling(), "Kafka is away for all: nobody else leads"
    await report(database_pool, "second", is_leader=True, can_poll=True)
    await tick(first)
    assert not first.is_polling()
    await tick(second)
    await until(lambda: bool(of_second.published))


async def test_a_worker_that_stops_releases_the_lease_at_once(
    workers: tuple[Polling, Polling, Resources, Resources],
) -> None:
    first, second, _, of_second = workers
    await tick(first)
    await first.close()
    await tick(first)
    assert first._task is None, "a worker that stops does not begin again"
    await tick(second)
    await until(lambda: bool(of_second.published))


async def test_while_the_leader_cannot_poll_one_of_the_others_does_until_a_leader_can(
    workers: tuple[Polling, Polling, Resources, Resources], database_pool: Pool
) -> None:
    """Once nobody polled, because the leader was a worker without the settings of Reddit."""
    first, second, of_first, of_second = workers
    await report(database_pool, "unable", is_leader=True, can_poll=False)
    await tick(first, is_leader=False)
    await tick(second, is_leader=False)
    await until(lambda: bool(of_first.published))
    assert (first.is_polling(), second.is_polling()) == (True, False)
    # Another worker leads now, and can poll.
    await report(database_pool, "unable", is_leader=False, can_poll=False)
    await report(database_pool, "second", is_leader=True, can_poll=True)
    await tick(first, is_leader=False)
    assert not first.is_polling()
    await tick(second)
    await until(lambda: bool(of_second.published))


async def report(pool: Pool, name: str, *, is_leader: bool, can_poll: bool) -> None:
    await heartbeat(
        pool,
        name=name,
        pid=1,
        web_url="http://127.0.0.1:1",
        state="running",
        is_poller=False,
        is_leader=is_leader,
        can_poll=can_poll,
    )
