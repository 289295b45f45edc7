"""How long an observation takes from its producer until a query of the database sees it."""

import asyncio
import time
from typing import Any

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


class Latency:
    """Sends one observation every 10 ms and looks for the ones not yet stored. Times are time.perf_counter."""

    def __init__(self, load: Load, topic: str) -> None:
        self._load, self._topic = load, topic
        self._due: dict[tuple[str, Any], float] = {}
        self.seconds: list[float] = []
        self._sending = True

    async def send(self, producer: AIOKafkaProducer, count: int) -> None:
        """Send `count` observations, half of them of posts that were sent before.

        Latency counts from the time when an observation is due, even if it is sent late.
        """
        began = time.perf_counter()
        futures = []
        for number in range(count):
            due = began + number / PER_SECOND
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            round_, index = divmod(number, count - count // 2)
            envelope = self._load.envelope(index, round_, utcnow())
            post = envelope.payload
            self._due[post.id, envelope.metadata.observed_at] = due
            futures.append(
                await producer.send(self._topic, encode(envelope), key=post.id.encode(), headers=envelope.headers())
            )
        await asyncio.gather(*futures)
        self._sending = False

    async def look(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Record when each observation becomes visible; returns when all are."""
        end = time.perf_counter() + LATEST_SECONDS
        while self._sending or self._due:
            if self._due:
                rows = await connection.fetch(_VISIBLE, *map(list, zip(*self._due, strict=True)))
                now = time.perf_counter()
                self.seconds += [now - self._due.pop((row["post_id"], row["observed_at"])) for row in rows]
                if rows:
                    end = now + LATEST_SECONDS
            assert time.perf_counter() < end, f"{len(self._due)} observations did not become visible"
            await asyncio.sleep(LOOK_SECONDS)


async def latency(stack: Stack, seconds: int) -> dict[str, Any]:
    """One worker with a batch time of 100 ms, at 100 events/s, for this many seconds after a warm-up."""
    settings = await stack.installation("latency")
    count = (WARM_UP_SECONDS + seconds) * PER_SECOND
    measured = Latency(Load(count, utcnow()), TopicNames.of(settings).posts_raw)
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
    # They are in the order in which they became visible, which is nearly the order in which they were sent.
    milliseconds = [value * 1000 for value in measured.seconds[WARM_UP_SECONDS * PER_SECOND :]]
    return {
        "events_per_s": PER_SECOND,
        "seconds": seconds,
        "sink_max_seconds": SINK_SECONDS,
        "resolution_ms": LOOK_SECONDS * 1000,
    } | quantiles(milliseconds, "ms")
