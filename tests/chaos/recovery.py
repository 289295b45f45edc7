"""When records flow again after a fault: probes go through every partition, and are looked for in the tables."""

import asyncio
import contextlib
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import asyncpg

from signalflow.events import Envelope
from signalflow.kafka.producer import partition_for
from signalflow.storage.pool import DATABASE_ERRORS
from tests.integration.workers import observation

# With one probe post per partition, a backlog would hold more of its observations than the ring of a state keeps.
POSTS_A_PARTITION = 24
LOOK_SECONDS = 0.1
FLOWING_SECONDS = 3.0

_NEWEST = "SELECT id, last_polled_at FROM posts WHERE id = ANY($1)"
# This result changes with every new observation of the poller. Its times cannot be used: a fault may set its clock
# wrong.
_FROM_REDDIT = (
    "SELECT count(*), sum(extract(epoch FROM last_polled_at)), sum(current_score) FROM posts WHERE id ~ '^[0-9]'"
)
# Records published before a fault are in the tables after this time.
ON_THE_WAY_SECONDS = 1.0


@dataclass
class Seen:
    """At each time `at`, all records sent until `until` were in the tables. Epoch seconds, both ascending."""

    at: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)

    def add(self, at: float, until: float) -> None:
        """At the time `at`, all records sent until `until` are in the tables."""
        if not self.until or until > self.until[-1]:
            self.at.append(at)
            self.until.append(until)

    def recovered_at(self, moment: float) -> float | None:
        """When a record sent after this moment was in the tables; None: not yet."""
        index = bisect_left(self.until, moment)
        return self.at[index] if index < len(self.at) else None

    def behind(self, now: float) -> float:
        """How many seconds the tables are behind; infinity before the first probe arrived."""
        return now - self.until[-1] if self.until else float("inf")


class Probes:
    """Probe posts for every partition, and whether they arrive in the tables.

    `load`: the harness's probes, which must arrive in all partitions. `reddit`: posts that the poller found.
    """

    def __init__(self, partitions: int) -> None:
        self.load, self.reddit = Seen(), Seen()
        self.spread(partitions)
        self._turn = count()
        self._created = datetime.now(UTC)
        self._from_reddit: object = None

    def spread(self, partitions: int) -> None:
        """From now on the raw topic has so many partitions."""
        self._ids = _probe_ids(partitions)
        self._partition_of = {post_id: partition for partition, ids in self._ids.items() for post_id in ids}

    def take(self, now: datetime) -> list[Envelope]:
        """The next probe of every partition."""
        turn = next(self._turn)
        return [
            observation(ids[turn % POSTS_A_PARTITION], now, created_at=self._created, score=turn, comments=turn)
            for ids in self._ids.values()
        ]

    async def watch(self, url: str) -> None:
        """Query the tables until cancelled, also while the database comes and goes."""
        while True:
            with contextlib.suppress(*DATABASE_ERRORS):
                connection = await asyncpg.connect(url, timeout=5, command_timeout=5)
                try:
                    while True:
                        await self._look(connection)
                        await asyncio.sleep(LOOK_SECONDS)
                finally:
                    connection.terminate()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        partition_of = self._partition_of
        rows = await connection.fetch(_NEWEST, list(partition_of))
        newest = dict.fromkeys(partition_of.values(), 0.0)
        for row in rows:
            partition = partition_of[row["id"]]
            newest[partition] = max(newest[partition], row["last_polled_at"].timestamp())
        from_reddit = await connection.fetchrow(_FROM_REDDIT)
        now = time.time()
        self.load.add(now, min(newest.values()))
        if from_reddit != self._from_reddit:
            self._from_reddit = from_reddit
            self.reddit.add(now, now - ON_THE_WAY_SECONDS)

    def flowing(self) -> bool:
        """Whether records of every partition arrive now."""
        return self.load.behind(time.time()) < FLOWING_SECONDS


def _probe_ids(partitions: int) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
    for number in count():
        if all(len(ids) == POSTS_A_PARTITION for ids in found.values()):
            return found
        post_id = f"probe{number}"
        ids = found[partition_for(post_id.encode(), partitions)]
        if len(ids) < POSTS_A_PARTITION:
            ids.append(post_id)
    raise AssertionError("unreachable")
