"""The stack for faults: three brokers, PostgreSQL, a simulated Reddit, workers, and a proxy on every link."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from pydantic import SecretStr

from signalflow.kafka.admin import create_topics
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.storage import migrate
from signalflow.storage.pool import create_pool
from signalflow.storage.subreddits import load_defaults
from tests.chaos.proxy import Proxy
from tests.chaos.servers import Database, Reddit, copy_directory
from tests.chaos.waiting import happens
from tests.integration.workers import WorkerProcess, eventually

WORKERS = ("w1", "w2", "w3")
FOURTH = "w4"
PARTITIONS = 6
# The poller reads the comments of these. They get some comments a second, which a quarter of the budget can read.
FOLLOWED = ("programming", "politics", "anime", "Showerthoughts", "technology", "science")
READY_SECONDS = 90.0
BROKER_SECONDS = 90.0
RESTART_SECONDS = 0.5
# A stop that hangs ends by itself after 20 s.
STOP_SECONDS = 25.0

# Short limits, so that a fault and its end take seconds. The limit of dead letters is off: poison must not stop a
# worker.
WORKER_ENVIRONMENT = {
    "SIGNALFLOW_TOPIC_REPLICATION": "3",
    "SIGNALFLOW_BROKER_SESSION_TIMEOUT": "6",
    "SIGNALFLOW_BROKER_HEARTBEAT_INTERVAL": "1.0",
    "SIGNALFLOW_DATABASE_TIMEOUT": "4",
    "SIGNALFLOW_POSITION_CHECK_SECONDS": "3",
    "SIGNALFLOW_TOPIC_CHECK_SECONDS": "3",
    "SIGNALFLOW_SINK_MAX_SECONDS": "0.3",
    "SIGNALFLOW_SIGNALS_GATHER_SECONDS": "0.3",
    "SIGNALFLOW_POLL_ENABLED": "true",
    "SIGNALFLOW_REDDIT_TIMEOUT": "4",
    "SIGNALFLOW_REQUESTS_PER_MINUTE": "95",
    "SIGNALFLOW_LISTING_REQUESTS_PER_MINUTE": "40",
    "SIGNALFLOW_DLQ_LIMIT_IN_ROW": "0",
    "SIGNALFLOW_DLQ_LIMIT_SHARE": "0",
    "SIGNALFLOW_ALERT_NETWORKS": "127.0.0.0/8",
}


@dataclass
class Cluster:
    """The running parts. `settings` are for the harness itself and bypass the proxies."""

    directory: Path
    rnd: random.Random
    settings: Settings
    kafka: EmbeddedKafka
    database: Database
    reddit: Reddit
    broker_links: list[Proxy]
    database_links: dict[str, Proxy]
    reddit_link: Proxy
    workers: dict[str, WorkerProcess]
    going_back: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a log or the database goes back or begins anew: what both lose at once is in no promise."""
    busy: dict[str, asyncio.Lock] = field(default_factory=dict)
    """One lock per worker. A fault holds it, so that two faults never hit one worker at once."""
    down: set[str] = field(default_factory=set)
    """Workers that a fault has stopped on purpose."""

    ended: list[str] = field(default_factory=list)
    """Workers that ended by themselves, with the end of their log."""

    @asynccontextmanager
    async def victim(self, name: str | None = None) -> AsyncIterator[WorkerProcess]:
        """Lock one of the workers for this block: the named one, or a random one of three that no fault has hit."""
        if name is None:
            free = [each for each in WORKERS if not self.busy[each].locked()] or list(WORKERS)
            name = self.rnd.choice(free)
        async with self.busy[name]:
            await self._revive(name)
            yield self.workers[name]

    def kill(self, worker: WorkerProcess) -> None:
        """Send SIGKILL to a worker."""
        self.down.add(worker.name)
        worker.kill()

    async def stop(self, worker: WorkerProcess) -> None:
        """Send SIGTERM to a worker. Raises AssertionError when it does not stop properly and in time.

        A worker that cannot stop properly, for example without brokers, may end itself with status 1 when its time is
        over. Records that it has not committed are then delivered again.
        """
        self.down.add(worker.name)
        worker.signal(signal.SIGTERM)
        ended = await happens(lambda: worker.poll() is not None, STOP_SECONDS)
        assert ended, f"{worker.name} does not end within {STOP_SECONDS:.0f} s of SIGTERM"
        by_its_limit = worker.poll() == 1 and "stop_hangs" in worker.tail()
        # On a busy machine another fault may have started it a moment ago: it has said nothing, and does nothing yet.
        in_its_imports = worker.poll() == -signal.SIGTERM and f"[{worker.pid}]" not in worker.log.read_text(
            errors="replace"
        )
        assert worker.poll() == 0 or by_its_limit or in_its_imports, (
            f"{worker.name} ended with {worker.poll()} after SIGTERM:\n{worker.tail()}"
        )

    async def start(self, worker: WorkerProcess, **environment: str) -> None:
        """Start a worker again, and wait until it has its partitions. If it ends meanwhile, start it once more.

        Returns without an error when it is not ready in time: the effect on records is measured elsewhere.
        """
        worker.start(**environment)
        self.down.discard(worker.name)
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(AssertionError):
                await worker.ready(end - time.monotonic())
                return
            if worker.poll() is not None:
                self._note_end(worker)
                await asyncio.sleep(RESTART_SECONDS)
                worker.start(**environment)

    def _note_end(self, worker: WorkerProcess) -> None:
        self.ended.append(f"{worker.name} ended by itself with {worker.poll()}:\n{worker.tail(40)}")

    async def kill_broker(self, node: int) -> None:
        """Send SIGKILL to a broker."""

        await asyncio.to_thread(self.kafka.kill_broker, node)

    async def copy_brokers(self, to: Path) -> None:
        """What all brokers have written until one moment, in a directory per node; they go on afterwards."""
        running = [psutil.Process(process.pid) for process in self.kafka._processes.values()]
        to.mkdir()
        try:
            for process in running:
                process.suspend()
            for node in self.kafka.nodes:
                await asyncio.to_thread(copy_directory, self.kafka.storage(node), to / str(node))
        finally:
            for process in running:
                process.resume()

    async def restart_brokers(self, *nodes: int) -> None:
        """Start killed brokers again, and wait until the cluster has all three."""
        for node in nodes:
            self.kafka.start_broker(node)
        await eventually(self.kafka.ready, BROKER_SECONDS, lambda: f"brokers {nodes} do not come back")

    async def watch(self) -> None:
        """Restart workers that ended by themselves, as a supervisor would, and record that they ended."""
        while True:
            for name in WORKERS:
                if not self.busy[name].locked() and name not in self.down:
                    await self._revive(name)
            await asyncio.sleep(0.5)

    async def _revive(self, name: str) -> None:
        worker = self.workers[name]
        if name not in self.down and worker.poll() is not None:
            self._note_end(worker)
            worker.start()


@asynccontextmanager
async def running_cluster(
    directory: Path, rnd: random.Random, activity: float, app: str = "signalflow"
) -> AsyncIterator[Cluster]:
    """Start the stack and wait until it is ready; stop everything at the end of the block."""
    cluster = _planned(directory, rnd, activity, app)
    proxies = [*cluster.broker_links, *cluster.database_links.values(), cluster.reddit_link]
    try:
        for proxy in proxies:
            await proxy.start()
        await _start_servers(cluster)
        for name in WORKERS:
            cluster.workers[name].start()
        await asyncio.gather(*(cluster.workers[name].ready(READY_SECONDS) for name in WORKERS))
        yield cluster
    finally:
        for worker in cluster.workers.values():
            worker.ensure_stopped()
        await cluster.reddit.stop()
        for proxy in proxies:
            await proxy.close()
        await asyncio.to_thread(cluster.kafka.stop)
        await cluster.database.stop()


async def _start_servers(cluster: Cluster) -> None:
    settings = cluster.settings
    await asyncio.to_thread(cluster.kafka.prepare)
    await asyncio.gather(
        cluster.restart_brokers(*cluster.kafka.nodes), cluster.database.start(), cluster.reddit.start()
    )
    await asyncio.to_thread(lambda: asyncio.run(migrate.upgrade(settings.database_url.get_secret_value())))
    await create_topics(settings)
    pool = await create_pool(settings, application_name="chaos")
    await load_defaults(pool, [replace(each, comments=each.name in FOLLOWED) for each in read_subreddits()])
    await pool.close()


def _planned(directory: Path, rnd: random.Random, activity: float, app: str) -> Cluster:
    ports = iter(free_ports(32))

    def some(count: int) -> list[int]:
        return [next(ports) for _ in range(count)]

    relays = list(zip(some(3), some(3), strict=True))
    kafka = EmbeddedKafka(directory / "kafka", some(3), some(3), relays)
    database = Database(directory / "postgres", next(ports))
    reddit = Reddit(directory, next(ports), rnd.randrange(10**6), activity)
    settings = Settings(
        kafka=kafka.bootstrap,
        database_url=SecretStr(database.server.url()),
        state_dir=directory / "state",
        app_id="chaos",
        topic_partitions=PARTITIONS,
        topic_replication=3,
    )
    broker_links = [Proxy(outer, inner) for inner, outer in relays]
    database_links = {name: Proxy(next(ports), database.server.port) for name in (*WORKERS, FOURTH)}
    reddit_link = Proxy(next(ports), reddit.port)
    bootstrap = ",".join(f"{LOOPBACK}:{proxy.port}" for proxy in broker_links)
    workers = {
        name: WorkerProcess(
            settings,
            name,
            directory,
            app=app,
            **WORKER_ENVIRONMENT
            | {
                "SIGNALFLOW_KAFKA": bootstrap,
                "SIGNALFLOW_DATABASE_URL": database.server.url().replace(
                    f":{database.server.port}/", f":{database_links[name].port}/"
                ),
                "SIGNALFLOW_REDDIT_BASE_URL": f"http://{LOOPBACK}:{reddit_link.port}",
            },
        )
        for name in (*WORKERS, FOURTH)
    }
    return Cluster(
        directory=directory,
        rnd=rnd,
        settings=settings,
        kafka=kafka,
        database=database,
        reddit=reddit,
        broker_links=broker_links,
        database_links=database_links,
        reddit_link=reddit_link,
        workers=workers,
        busy={name: asyncio.Lock() for name in (*WORKERS, FOURTH)},
    )
