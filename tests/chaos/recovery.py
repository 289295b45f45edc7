"""When records flow again after a fault: probes through every partition, and the moments at which they were seen in the tables."""

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

# More than a state's ring holds would be in a backlog if one post were the only probe of its partition.
POSTS_A_PARTITION = 24
LOOK_SECONDS = 0.1
FLOWING_SECONDS = 3.0

_NEWEST = "SELECT id, last_polled_at FROM posts WHERE id = ANY($1)"
# Changes with everything that the poller finds; its times are of a clock that a fault may have set wrong.
_FROM_REDDIT = (
    "SELECT count(*), sum(extract(epoch FROM last_polled_at)), sum(current_score) FROM posts WHERE id ~ '^[0-9]'"
)
# What was published before a fault is in the tables by then.
ON_THE_WAY_SECONDS = 1.0


@dataclass
class Seen:
    """Up to which moment everything sent was in the tables, each time it was looked at; epoch seconds, ascending."""

    at: list[float] = field(default_factory=list)
    until: list[float] = field(default_factory=list)

    def add(self, at: float, until: float) -> None:
        """A look at `at` found all that was sent until `until`."""
        if not self.until or until > self.until[-1]:
            self.at.append(at)
            self.until.append(until)

    def recovered_at(self, moment: float) -> float | None:
        """When something that was sent after this moment was seen; None: not yet."""
        index = bisect_left(self.until, moment)
        return self.at[index] if index < len(self.at) else None

    def behind(self, now: float) -> float:
        """How old the newest sight is."""
        return now - self.until[-1] if self.until else float("inf")


class Probes:
    """One post after another through every partition, and whether they arrive.

    `load`: probes of the harness, all partitions must be through. `reddit`: posts that came through the poller.
    """

    def __init__(self, partitions: int) -> None:
        self.load, self.reddit = Seen(), Seen()
        self._ids = _probe_ids(partitions)
        self._partition_of = {post_id: partition for partition, ids in self._ids.items() for post_id in ids}
        self._turn = count()
        self._created = datetime.now(UTC)
        self._from_reddit: object = None

    def take(self, now: datetime) -> list[Envelope]:
        """The next probe of every partition."""
        turn = next(self._turn)
        return [
            observation(ids[turn % POSTS_A_PARTITION], now, created_at=self._created, score=turn, comments=turn)
            for ids in self._ids.values()
        ]

    async def watch(self, url: str) -> None:
        """Look at the tables for ever; a database that is away is asked again."""
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
        rows = await connection.fetch(_NEWEST, list(self._partition_of))
        newest = dict.fromkeys(self._ids, 0.0)
        for row in rows:
            partition = self._partition_of[row["id"]]
            newest[partition] = max(newest[partition], row["last_polled_at"].timestamp())
        from_reddit = await connection.fetchrow(_FROM_REDDIT)
        now = time.time()
        self.load.add(now, min(newest.values()))
        if from_reddit != self._from_reddit:
            self._from_reddit = from_reddit
            self.reddit.add(now, now - ON_THE_WAY_SECONDS)

    def flowing(self) -> bool:
        """Whether records arrive now in every partition."""
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
