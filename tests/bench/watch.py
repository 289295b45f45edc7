"""A worker under a steady load, and its memory, open files and lag meanwhile."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import psutil

from signalflow.clock import utcnow
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.bench.load import Load, by_partition
from tests.integration.workers import WorkerProcess

SEND_EVERY_SECONDS = 0.1
MIB = 1 << 20


class Sample(NamedTuple):
    """One measurement of a worker: `seconds` since the watch began, `lag` in records over all source topics."""

    seconds: float
    rss_mib: float
    open_files: int
    lag: float


class Steady:
    """Sends `per_second` observations of `posts` posts, round by round; `sent` counts the ones that Kafka confirmed."""

    def __init__(self, settings: Settings, posts: int, per_second: int) -> None:
        self._settings, self._per_second = settings, per_second
        self._load, self._numbers = Load(posts, utcnow()), count()
        self.sent = 0

    async def run(self, seconds: float) -> None:
        """Send for `seconds`. On a machine that is too slow it takes longer, instead of sending less."""
        producer = ConfirmedProducer(self._settings, "bench")
        topic = TopicNames.of(self._settings).posts_raw
        began, sent = time.monotonic(), 0
        total = int(seconds * self._per_second)
        try:
            while sent < total:
                due = min(int((time.monotonic() - began) * self._per_second) + 1, total)
                if due > sent:
                    await producer.send(topic, self._batch(due - sent))
                    self.sent, sent = self.sent + due - sent, due
                await asyncio.sleep(SEND_EVERY_SECONDS)
        finally:
            await producer.close()

    def _batch(self, records: int) -> dict[int, list[Outgoing]]:
        rounds = (divmod(next(self._numbers), len(self._load.posts)) for _ in range(records))
        envelopes = (self._load.envelope(index, round_, utcnow()) for round_, index in rounds)
        return by_partition(envelopes, self._settings.topic_partitions)


class Watch:
    """Takes a sample of a worker at an interval, from the beginning of the `async with` block to its end."""

    def __init__(self, worker: WorkerProcess, every_seconds: float, progress: Callable[[str], None]) -> None:
        self._worker, self._every, self._progress = worker, every_seconds, progress
        self._process = psutil.Process(worker.pid)
        self._began = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self.samples: list[Sample] = []

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def look(self) -> Sample:
        """Take a sample now."""
        assert self._worker.poll() is None, f"the worker ended:\n{self._worker.tail()}"
        lag = await self._worker.metric("signalflow_consumer_lag")
        rss = self._process.memory_info().rss / MIB
        seconds = time.monotonic() - self._began
        sample = Sample(round(seconds, 1), round(rss, 1), self._process.num_fds(), lag)
        self.samples.append(sample)
        return sample

    async def _run(self) -> None:
        while True:
            sample = await self.look()
            self._progress(f"{sample.seconds:.0f} s: {sample.rss_mib:.0f} MiB, lag {sample.lag:,.0f}")
            await asyncio.sleep(self._every)

    def since(self, seconds: float) -> list[Sample]:
        """The samples taken `seconds` after the watch began, or later."""
        return [sample for sample in self.samples if sample.seconds >= seconds]

    def now(self) -> float:
        """Seconds since the watch began."""
        return time.monotonic() - self._began


def thinned(samples: list[Sample], most: int = 60) -> list[dict[str, Any]]:
    """About `most` evenly chosen samples, for the report."""
    return [sample._asdict() for sample in samples[:: max(len(samples) // most, 1)]]
