"""Real worker processes for tests, and what the tests ask of them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from signalflow.events import Envelope, Metadata, Post, encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.records import EmptyOffset
from signalflow.kafka.topics import TopicNames
from signalflow.local.parts import WITHOUT_CERTIFICATES
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from signalflow.verify.report import Report
from signalflow.verify.run import verify
from signalflow.verify.signals import RULE, Follow
from tests.waiting import until

STOP_SECONDS = 20.0


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment of a process that belongs to this installation."""
    return os.environ | {
        "SIGNALFLOW_KAFKA": settings.kafka,
        "SIGNALFLOW_DATABASE_URL": settings.database_url.get_secret_value(),
        "SIGNALFLOW_APP_ID": settings.app_id,
        "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
        "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions),
    }


class WorkerProcess:
    """`faust -A signalflow worker` with plain environment variables. `app`: the module, if it is another one."""

    def __init__(self, settings: Settings, name: str, log_dir: Path, *, app: str = "signalflow", **extra: str) -> None:
        self.name, self._app = name, app
        self.log = log_dir / f"{name}.log"
        self._environment = environment_of(settings) | {
            "SIGNALFLOW_STATE_DIR": str(settings.state_dir),
            "SIGNALFLOW_WORKER_NAME": name,
            "SIGNALFLOW_POLL_ENABLED": "false",
            **extra,
        }
        self._port: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def polling(cls, settings: Settings, log_dir: Path, reddit_url: str, **extra: str) -> "WorkerProcess":
        """The worker `w1`, which polls this Reddit and flushes often."""
        environment = {
            "SIGNALFLOW_POLL_ENABLED": "true",
            "SIGNALFLOW_REDDIT_BASE_URL": reddit_url,
            "SIGNALFLOW_REQUESTS_PER_MINUTE": "95",
            "SIGNALFLOW_SINK_MAX_SECONDS": "0.3",
        }
        return cls(settings, "w1", log_dir, **environment | extra)

    @property
    def url(self) -> str:
        """Where the web views of the process are. Each start has another port."""
        assert self._port is not None, f"{self.name} has not started"
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, **for_this_start: str) -> None:
        """Start the process; `for_this_start` are environment variables that the next start does not have."""
        # Drawn now: a port that was free minutes ago may be taken.
        self._port = free_ports(1)[0]
        port = {"SIGNALFLOW_WORKER_WEB_PORT": str(self._port)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    Path(sys.executable).with_name("faust"),
                    "--loop",
                    "uvloop",
                    "-A",
                    self._app,
                    "worker",
                    "-l",
                    "warn",
                ],
                env=self._environment | port | for_this_start,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL, and wait until the process has ended."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """Send SIGTERM and return the exit status. Raises subprocess.TimeoutExpired when the process does not end."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
        return self._process.wait(STOP_SECONDS)

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return None if self._process is None else self._process.poll()

    def ensure_stopped(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def ready(self, seconds: float = 45.0) -> None:
        """Wait until /ready answers 200. Fails with the end of the log."""

        async def is_ready() -> bool:
            assert self.poll() is None, f"{self.name} ended:\n{self.tail()}"
            async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as client:
                try:
                    return (await client.get(f"{self.url}/ready", timeout=3)).status_code == 200
                except httpx.HTTPError:
                    return False

        await eventually(is_ready, seconds, lambda: f"{self.name} is not ready:\n{self.tail()}")

    async def is_live(self) -> bool:
        """Whether the worker's web views answer."""
        async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as client:
            try:
                return (await client.get(f"{self.url}/live", timeout=3)).status_code == 200
            except httpx.HTTPError:
                return False

    async def metric(self, name: str, labels: str = "") -> float:
        """The sum of a metric's series whose labels contain `labels`."""
        async with httpx.AsyncClient(verify=WITHOUT_CERTIFICATES) as client:
            text = (await client.get(f"{self.url}/metrics", timeout=5)).text
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith(name) and labels in line and not line.startswith("#")
        )

    async def refuses_to_start(self, seconds: float = 45.0) -> str:
        """Start the process, which must end by itself with status 1; returns the line of its log that says why."""
        self.start()
        try:
            await eventually(lambda: self.poll() is not None, seconds, self.tail)
        finally:
            self.ensure_stopped()
        log = self.log.read_text()
        assert self.poll() == 1
        assert "Traceback" not in log
        (line,) = [line for line in log.splitlines() if "cannot_start" in line]
        return line

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


async def eventually(
    condition: Callable[[], Any], seconds: float, describe: Callable[[], str] = lambda: "condition not met"
) -> None:
    """Wait for a condition (plain or awaitable) of other processes with a deadline."""
    await until(condition, describe, seconds, pause=0.1)


def observation(
    post_id: str,
    observed_at: datetime,
    *,
    created_at: datetime,
    score: int = 1,
    comments: int = 0,
    title: str = "A post about something",
    mode: str = "new",
    rank: int | None = None,
    subreddit: str = "python",
) -> Envelope:
    """An envelope of one observation; with a rank it is one in the listing hot."""
    return Envelope(
        entity_type="reddit_submission",
        source="test",
        mode=mode,  # type: ignore[arg-type]
        emitted_at=observed_at,
        payload=Post(
            id=post_id,
            subreddit=subreddit,
            author="someone",
            title=title,
            created_utc=created_at,
            score=score,
            num_comments=comments,
        ),
        metadata=Metadata(subreddit=subreddit, observed_at=observed_at)
        if rank is None
        else Metadata(subreddit=subreddit, observed_at=observed_at, post_sort="hot", listing=subreddit, rank=rank),
    )


async def produce(settings: Settings, envelopes: Iterable[Envelope]) -> None:
    """Publish envelopes and wait until the brokers have them."""
    topic = TopicNames.of(settings).posts_raw
    async with AIOKafkaProducer(**connection_options(settings), acks="all", linger_ms=5) as producer:
        futures = [
            await producer.send(topic, encode(envelope), key=envelope.payload.id.encode(), headers=envelope.headers())
            for envelope in envelopes
        ]
        await asyncio.gather(*futures)


async def read_topic(settings: Settings, topic: str) -> list[Any]:
    """All records of a topic at this moment, in offset order by partition; none of an aborted transaction."""
    async with AIOKafkaConsumer(
        **connection_options(settings), auto_offset_reset="earliest", isolation_level="read_committed"
    ) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in range(settings.topic_partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        records: list[Any] = []
        for tp, end in ends.items():
            while await consumer.position(tp) < end:
                records += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
        return [record for record in records if not isinstance(record, EmptyOffset)]


async def committed(settings: Settings, topic: str) -> dict[int, int]:
    """The group's committed offsets in one topic, by partition."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.app_id)
    finally:
        await admin.close()
    return {tp.partition: found.offset for tp, found in offsets.items() if tp.topic == topic and found.offset >= 0}


async def fetch_all(settings: Settings, statement: str, *arguments: Any) -> list[asyncpg.Record]:
    """Rows of one statement."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()


async def count(settings: Settings, table: str) -> int:
    """Rows in a table."""
    return int((await fetch_all(settings, f"SELECT count(*) FROM {table}"))[0][0])


async def clusters_are_found(settings: Settings) -> bool:
    """Whether the leader has looked for the topic cluster of each post, and at each cluster that a post has left."""
    waits = (
        "SELECT EXISTS (SELECT FROM post_nlp_features WHERE NOT is_clustered) OR EXISTS (SELECT FROM topic_departures)"
    )
    return not (await fetch_all(settings, waits))[0][0]


async def no_differences(settings: Settings, since: datetime | None = None, follow: Follow = RULE) -> Report:
    """The report of `signalflow verify`, which must find no difference. `follow`: the rule of the workers' signals."""
    report = await verify(settings, TopicNames.of(settings), since=since, follow=follow)
    different = {name: table.examples for name, table in report.tables.items() if table.differences}
    assert not different, different
    return report


async def verified(settings: Settings, worker: WorkerProcess) -> Report:
    """Wait until all records are due in the tables; `signalflow verify` finds no difference then and at no time before.

    Returns the last report. It compares the tables with what the topics hold, so a test should say what that is.
    """

    async def all_is_due() -> Report | None:
        report = await no_differences(settings)
        return report if 0 < report.records == report.records_due else None

    report: Report = await until(all_is_due, worker.tail, 60, pause=0.1)
    return report
