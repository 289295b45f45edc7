"""Observations that the harness itself publishes: some are out of order, repeated, late, or two in one batch."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from signalflow.errors import Retryable
from signalflow.events import Envelope, encode
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, partition_for
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.chaos.recovery import Probes
from tests.integration.workers import observation

POSTS = 1500
TICK_SECONDS = 0.25
TITLES = (
    "Great news: the festival is back and everyone loves it",
    "Terrible storm kills dozens, officials say",
    "What is the best way to learn Rust?",
    "I HATE this update!!! It broke everything :(",
    "A quiet day at the library",
)
# A rule of alerts looks for this title (alerts.py).
TOLD_TITLE, TOLD_EVERY = "A brontosaurus has landed", 10
# The ways in which the harness breaks the order of observations; all are equally frequent.
DISORDER = ("redelivered", "reordered", "an hour late", "two in one batch")
Identity = tuple[str, datetime]


@dataclass
class Load:
    """Makes observations: each post's in order of time, but for a share that breaks the order on purpose.

    `disordered`: the observations that break the order, by kind. `confirmed`: all observations that brokers confirmed.
    """

    settings: Settings
    rnd: random.Random
    probes: Probes
    per_second: float
    disorder_share: float
    confirmed: set[Identity] = field(default_factory=set)
    disordered: dict[str, list[Identity]] = field(default_factory=lambda: {kind: [] for kind in DISORDER})
    extra: deque[tuple[bytes, Outgoing]] = field(default_factory=deque)
    """Records of others (poison) that are sent with the next tick, each with the key that chooses its partition."""
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while records are under way, so that its owner knows that all records are either confirmed or not sent."""

    def __post_init__(self) -> None:
        self.partitions = self.settings.topic_partitions
        self._start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
        self._moments: dict[str, int] = {}
        self._scores: dict[str, int] = {}
        self._recent: deque[Envelope] = deque(maxlen=2000)
        self._producer = ConfirmedProducer(self.settings, "chaos-load")
        self._topic = TopicNames.of(self.settings).posts_raw

    async def run(self) -> None:
        """Publish `per_second` observations until cancelled."""
        while True:
            began = time.monotonic()
            batch = self._batch(max(int(self.per_second * TICK_SECONDS), 1))
            batch += self.probes.take(datetime.now(UTC))
            async with self.sending:
                await self._publish(batch)
            await asyncio.sleep(max(0.0, TICK_SECONDS - (time.monotonic() - began)))

    async def _publish(self, envelopes: Sequence[Envelope]) -> None:
        records = [(e.payload.id.encode(), Outgoing(e.payload.id.encode(), encode(e), e.headers())) for e in envelopes]
        while self.extra:
            records.append(self.extra.popleft())
        batches: dict[int, list[Outgoing]] = {}
        for routing_key, record in records:
            batches.setdefault(partition_for(routing_key, self.partitions), []).append(record)
        while True:
            try:
                await self._producer.send(self._topic, batches)
            except Retryable:
                # Brokers are killed too. Sending all of it again may put some records into the topic twice.
                await asyncio.sleep(0.2)
            else:
                break
        self.confirmed.update((e.payload.id, e.metadata.observed_at) for e in envelopes)

    def _batch(self, wanted: int) -> list[Envelope]:
        batch: list[Envelope] = []
        while len(batch) < wanted:
            if self.rnd.random() < self.disorder_share:
                batch += self._disordered(self.rnd.choice(DISORDER))
            else:
                batch.append(self._next(self._any_post()))
        self._recent.extend(batch)
        return batch

    def _disordered(self, kind: str) -> list[Envelope]:
        if kind == "redelivered" and self._recent:
            made = [self.rnd.choice(self._recent)]
        elif kind == "an hour late":
            made = [self._next(self._any_post(), late=timedelta(hours=1, seconds=self.rnd.randrange(1, 50)))]
        else:
            post_id = self._any_post()
            made = [self._next(post_id), self._next(post_id)]
            if kind == "reordered":
                made.reverse()
        self.disordered[kind] += [(made[-1].payload.id, made[-1].metadata.observed_at)]
        return made

    def _any_post(self) -> str:
        return f"k{self.rnd.randrange(POSTS)}"

    def _next(self, post_id: str, late: timedelta = timedelta()) -> Envelope:
        """The post's next observation, a minute after the one before. No other has the time of one "an hour late"."""
        moment = self._moments[post_id] = self._moments.get(post_id, -1) + 1
        score = self._scores[post_id] = self._scores.get(post_id, 0) + self.rnd.randrange(100)
        number = int(post_id[1:])
        return observation(
            post_id,
            self._start + timedelta(seconds=60 * moment) - late,
            created_at=self._start - timedelta(hours=2),
            score=score,
            comments=moment,
            title=TITLES[number % len(TITLES)] if number % TOLD_EVERY else TOLD_TITLE,
            mode="refresh" if moment else "new",
        )

    async def close(self) -> None:
        """Close the producer."""
        await self._producer.close()
