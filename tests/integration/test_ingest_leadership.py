"""Two workers, a database and a simulator: one worker polls, whatever becomes of leadership, lock and connections."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest

from agents.ingest import Ingest
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.events import Envelope
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.advisory_locks import LOCK_SPACE, POLLER_LOCK
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import list_subreddits, load_defaults
from signalflow.storage.workers import heartbeat
from tests.waiting import until


@dataclass
class Resources:
    """What a worker shares with its poller; the fake publisher keeps what it is given."""

    pool: Pool
    published: list[Envelope] = field(default_factory=list)

    @property
    def publisher(self) -> "Resources":
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
async def workers(
    database_url: str, database_pool: Pool, simulator: RunningSimulator
) -> AsyncIterator[tuple[Ingest, Ingest, Resources, Resources]]:
    await load_defaults(database_pool, [WatchedSubreddit("python", 60, "fast"), WatchedSubreddit("funny", 60, "fast")])
    settings = Settings.model_validate(
        {"database_url": database_url, "reddit_base_url": simulator.url, "config_refresh_seconds": 0.5}
    )
    shared = Resources(database_pool), Resources(database_pool)
    first, second = Ingest(settings, lambda: shared[0]), Ingest(settings, lambda: shared[1])
    yield first, second, *shared
    await first.close()
    await second.close()


async def tick(ingest: Ingest, *, is_leader: bool = True) -> None:
    await ingest.tick(is_leader=is_leader, is_rebalancing=False)


async def test_of_two_that_believe_to_lead_one_polls_and_the_other_takes_over(
    workers: tuple[Ingest, Ingest, Resources, Resources], database_pool: Pool
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


async def test_a_lock_lost_with_its_connection_is_taken_again_without_a_new_start(
    workers: tuple[Ingest, Ingest, Resources, Resources], database_url: str
) -> None:
    first, _, of_first, _ = workers
    await tick(first)
    await until(lambda: bool(of_first.published))
    poller = first._task
    connection = await asyncpg.connect(database_url)
    killed = await connection.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_locks "
        "WHERE locktype = 'advisory' AND classid = $1 AND objid = $2",
        LOCK_SPACE,
        POLLER_LOCK,
    )
    assert killed == 1
    await tick(first)
    assert first._task is poller
    held = await connection.fetchval(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = $2",
        LOCK_SPACE,
        POLLER_LOCK,
    )
    await connection.close()
    assert held == 1


async def test_a_worker_that_stops_gives_the_lock_up_at_once(
    workers: tuple[Ingest, Ingest, Resources, Resources],
) -> None:
    first, second, _, of_second = workers
    await tick(first)
    await first.close()
    await tick(first)
    assert first._task is None, "a worker that stops does not begin again"
    await tick(second)
    await until(lambda: bool(of_second.published))


async def test_while_the_leader_cannot_poll_one_of_the_others_does_until_a_leader_can(
    workers: tuple[Ingest, Ingest, Resources, Resources], database_pool: Pool
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
