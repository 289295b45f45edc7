"""Real workers: the one that polls loses Kafka and database, not Reddit. Two never share Reddit's budget."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr

from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.admin import create_topics
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.pool import create_pool
from signalflow.storage.subreddits import load_defaults
from tests.chaos.proxy import Proxy
from tests.integration.workers import WorkerProcess, eventually, verified

REQUESTS_PER_MINUTE = 60
# The requests of a worker are known by its user agent.
USER_AGENT = "linux:signalflow-{name}:0.1.0 (by /u/somebody)"


class Ways:
    """The only ways of the workers to Kafka and the database. They can be cut for one process alone."""

    def __init__(self, *proxies: Proxy) -> None:
        self._proxies = proxies

    def cut(self, pid: int) -> None:
        """Reset all connections of this process, and every new one."""
        for proxy in self._proxies:
            proxy.cut(lambda port: port in _ports_of(pid))

    def heal(self) -> None:
        for proxy in self._proxies:
            proxy.heal()


def _ports_of(pid: int) -> set[int]:
    if not psutil.pid_exists(pid):
        return set()
    return {connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp4")}


@pytest.fixture
async def reddit() -> AsyncIterator[RunningSimulator]:
    # Almost nothing to publish: a poller that waits for Kafka's confirmation would make no requests.
    quiet = Parameters(seed=4, activity=0.02, stories_per_hour=0, burst_probability=0, life=0, fuzz=0, growth=0.01)
    running = await start(Config(quiet))
    yield running
    await running.close()


@pytest.fixture
async def ways(settings: Settings, kafka_server: EmbeddedKafka) -> AsyncIterator[tuple[Ways, Settings]]:
    """The ways, and the settings of workers that take them; topics and subreddits exist."""
    ((behind, relayed),) = kafka_server.relayed
    through = free_ports(1)[0]
    url = settings.database_url.get_secret_value()
    server = urlsplit(url).port
    assert server is not None
    proxies = Proxy(relayed, behind), Proxy(through, server)
    for proxy in proxies:
        await proxy.start()
    await create_topics(settings)
    pool = await create_pool(settings, application_name="tests")
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast") for name in ("python", "funny", "askreddit")])
    await pool.close()
    url = url.replace(f":{server}/", f":{through}/")
    yield (
        Ways(*proxies),
        settings.model_copy(update={"kafka": f"127.0.0.1:{relayed}", "database_url": SecretStr(url)}),
    )
    for proxy in proxies:
        await proxy.close()


@pytest.fixture
async def workers(
    ways: tuple[Ways, Settings], reddit: RunningSimulator, tmp_path: Path
) -> AsyncIterator[list[WorkerProcess]]:
    _, settings = ways
    made = [
        WorkerProcess(
            settings,
            name,
            tmp_path,
            SIGNALFLOW_POLL_ENABLED="true",
            SIGNALFLOW_REDDIT_BASE_URL=reddit.url,
            SIGNALFLOW_REDDIT_USER_AGENT=USER_AGENT.format(name=name),
            SIGNALFLOW_REQUESTS_PER_MINUTE=str(REQUESTS_PER_MINUTE),
        )
        for name in ("w1", "w2")
    ]
    for worker in made:
        worker.start()
    yield made
    for worker in made:
        worker.ensure_stopped()


def requests_of(reddit: RunningSimulator, worker: WorkerProcess) -> list[float]:
    """When Reddit got each request of a worker, but for its tokens."""
    agent = USER_AGENT.format(name=worker.name)
    return [
        entry.real
        for entry in reddit.simulator.entries
        if entry.user_agent.startswith(agent) and not entry.path.startswith("/api/v1")
    ]


async def test_a_leader_that_loses_kafka_and_database_but_not_reddit_stops_before_another_one_begins(
    ways: tuple[Ways, Settings], workers: list[WorkerProcess], reddit: RunningSimulator, settings: Settings
) -> None:
    way, _ = ways
    for worker in workers:
        await worker.ready()
    await eventually(lambda: any(len(requests_of(reddit, w)) > 15 for w in workers), 60, workers[0].tail)
    # The rebalance of the second start may still move the poller.
    leader = max(workers, key=lambda worker: max(requests_of(reddit, worker), default=0.0))
    (successor,) = (worker for worker in workers if worker is not leader)
    handed_over = len(requests_of(reddit, successor))
    way.cut(leader.pid)
    before = len(requests_of(reddit, leader))
    await eventually(lambda: len(requests_of(reddit, leader)) > before + 1, 20, leader.tail)
    await eventually(lambda: len(requests_of(reddit, successor)) > handed_over + 20, 90, successor.tail)
    last, first = requests_of(reddit, leader)[-1], requests_of(reddit, successor)[handed_over]
    assert last < first, "both polled at once"
    assert leader.poll() is None, "it did not stop polling because it ended"
    starts = sorted(requests_of(reddit, leader) + requests_of(reddit, successor))
    spacing = 60 / REQUESTS_PER_MINUTE
    # Reddit's log has arrivals, not starts: a slow request before a quick one comes a little nearer.
    assert min(after - earlier for earlier, after in pairwise(starts)) > 0.5 * spacing
    for begin in starts:
        within = [at for at in starts if begin <= at < begin + 20 * spacing]
        assert len(within) <= 21
    # With Kafka and database back, one of them polls on.
    way.heal()
    polled = len(starts)
    await eventually(
        lambda: len(requests_of(reddit, leader)) + len(requests_of(reddit, successor)) > polled + 10, 60, leader.tail
    )
    starts = sorted(requests_of(reddit, leader) + requests_of(reddit, successor))
    assert min(after - earlier for earlier, after in pairwise(starts)) > 0.5 * spacing
    # Whatever the cut leader had not confirmed or stored, the tables have all that the topics have.
    assert (await verified(settings, leader)).posts.found > 0
