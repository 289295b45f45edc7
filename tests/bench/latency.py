"""How long an observation takes from its producer until a query of the database sees it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaProducer

from signalflow.clock import utcnow
from signalflow.events import encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from tests.bench.load import Load
from tests.bench.stack import Stack
from tests.bench.statistics import quantiles
from tests.integration.workers import WorkerProcess

PER_SECOND = 100
WARM_UP_SECONDS = 5
SINK_SECONDS = 0.1
# Time between two queries. The figures are upper bounds: on average too high by half of this time and one query.
LOOK_SECONDS = 0.004
LATEST_SECONDS = 30.0

_VISIBLE = """
SELECT post_id, observed_at FROM post_metrics_history
WHERE (post_id, observed_at) IN (SELECT * FROM unnest($1::text[], $2::timestamptz[]))
"""


class Record(NamedTuple):
    """A record to send. `identity` is the row that it must become, as the query of visible rows returns it."""

    identity: tuple[Any, ...]
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Latency:
    """Sends records at an even pace and looks for the ones not yet stored. Times are time.perf_counter.

    `visible` is the query of those rows, of identities given by column, that are there.
    """

    def __init__(self, topic: str, record: Callable[[int], Record], visible: str, per_second: int = PER_SECOND) -> None:
        self._topic, self._record, self._visible, self._per_second = topic, record, visible, per_second
        self._due: dict[tuple[Any, ...], float] = {}
        self.seconds: list[float] = []
        self._sending = True

    @property
    def milliseconds(self) -> list[float]:
        """The latencies after the warm-up, in the order in which the rows became visible.

        This is nearly the order in which they were sent.
        """
        return [value * 1000 for value in self.seconds[WARM_UP_SECONDS * self._per_second :]]

    async def send(self, producer: AIOKafkaProducer, count: int) -> None:
        """Send `count` records. Latency counts from the time when a record is due, even if it is sent late."""
        began = time.perf_counter()
        futures = []
        for number in range(count):
            due = began + number / self._per_second
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            record = self._record(number)
            self._due[record.identity] = due
            futures.append(await producer.send(self._topic, record.value, key=record.key, headers=record.headers))
        await asyncio.gather(*futures)
        self._sending = False

    async def look(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Note when each record becomes visible; returns when all are."""
        end = time.perf_counter() + LATEST_SECONDS
        while self._sending or self._due:
            if self._due:
                rows = await connection.fetch(self._visible, *map(list, zip(*self._due, strict=True)))
                now = time.perf_counter()
                self.seconds += [now - self._due.pop(tuple(row)) for row in rows]
                if rows:
                    end = now + LATEST_SECONDS
            assert time.perf_counter() < end, f"{len(self._due)} records did not become visible"
            await asyncio.sleep(LOOK_SECONDS)


def observations(topic: str, count: int) -> Latency:
    """`count` observations, half of them of posts that were sent before."""
    load = Load(count, utcnow())

    def record(number: int) -> Record:
        round_, index = divmod(number, count - count // 2)
        envelope = load.envelope(index, round_, utcnow())
        identity = envelope.payload.id, envelope.metadata.observed_at
        return Record(identity, envelope.key, encode(envelope), envelope.headers())

    return Latency(topic, record, _VISIBLE)


async def latency(stack: Stack, seconds: int) -> dict[str, Any]:
    """One worker with a batch time of 100 ms, at 100 events/s, for this many seconds after a warm-up."""
    settings = await stack.installation("latency")
    count = (WARM_UP_SECONDS + seconds) * PER_SECOND
    measured = observations(TopicNames.of(settings).posts_raw, count)
    worker = WorkerProcess(settings, "bench", stack.directory, SIGNALFLOW_SINK_MAX_SECONDS=str(SINK_SECONDS))
    worker.start()
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        await worker.ready()
        async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
            await asyncio.gather(measured.send(producer, count), measured.look(connection))
    finally:
        await connection.close()
        worker.stop()
    return {
        "events_per_s": PER_SECOND,
        "seconds": seconds,
        "sink_max_seconds": SINK_SECONDS,
        "resolution_ms": LOOK_SECONDS * 1000,
    } | quantiles(measured.milliseconds, "ms")
