"""A consumer and a database that tell each other, through what is tested, how far topics were read."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from faust.types import TP

from signalflow.domain.positions import Position
from signalflow.errors import Retryable
from signalflow.streams.breaks import LogBreak

TOPIC_ID, OTHER_ID = UUID(int=7), UUID(int=8)
TP0, TP1, OTHER = TP("raw", 0), TP("raw", 1), TP("enriched", 0)


def at(offset: int, timestamp: int | None = None) -> Position:
    return Position(offset, TOPIC_ID, timestamp)


class Brokers:
    """Brokers that have the topics of these ids."""

    def __init__(self) -> None:
        self.ids = {"raw": TOPIC_ID, "enriched": OTHER_ID}
        self.failure: Exception | None = None

    async def topic_ids(self, names: Iterable[str]) -> dict[str, UUID]:
        if self.failure:
            raise self.failure
        return {name: self.ids[name.rpartition(".")[2]] for name in names if name.rpartition(".")[2] in self.ids}


class Consumer:
    """A consumer that has read partitions up to these positions, and knows topics by these ids."""

    def __init__(self, read: Mapping[TP, Position], topic_ids: Mapping[str, UUID]) -> None:
        self.read, self.topic_ids = dict(read), dict(topic_ids)
        self.checked: list[Mapping[TP, Position]] = []
        self.breaks: list[LogBreak] = []
        self.recorded: list[LogBreak] = []
        self.rewinds: list[tuple[dict[TP, int], str]] = []
        self.brokers = Brokers()
        # What a comparison of the logs with the own positions finds, or fails with.
        self.cut: LogBreak | None = None
        self.failure: Exception | None = None
        # What happens while the logs are compared with kept positions.
        self.meanwhile: Any = lambda: None

    def topic_id(self, topic: str) -> UUID | None:
        return self.topic_ids.get(topic)

    def started(self) -> frozenset[TP]:
        return frozenset(self.read)

    def committed_upto(self, tp: TP) -> int:
        return self.read[tp].offset

    def position_at(self, tp: TP, offset: int) -> Position:
        assert offset == self.read[tp].offset
        return self.read[tp]

    async def check_positions(self) -> None:
        if self.failure:
            raise self.failure
        if self.cut:
            self.breaks.append(self.cut)

    async def check_kept_positions(self, kept: Mapping[TP, Position]) -> None:
        self.checked.append(dict(kept))
        self.meanwhile()

    def unrecorded_breaks(self) -> list[LogBreak]:
        return [found for found in self.breaks if found not in self.recorded]

    async def note_recorded(self, found: LogBreak) -> None:
        self.recorded.append(found)

    async def rewind(self, offsets: Mapping[TP, int], reason: str) -> None:
        self.rewinds.append((dict(offsets), reason))


class NotedPositions:
    """The positions of the raw topic that a table has, and what was written to it."""

    def __init__(self) -> None:
        self.positions: dict[int, Position] = {}
        self.writes: list[dict[int, Position]] = []

    async def unbroken(self, pool: Any, topic: str, topic_id: UUID) -> dict[int, Position]:
        assert (pool, topic, topic_id) == ("the pool", "raw", TOPIC_ID)
        return dict(self.positions)

    async def note(self, pool: Any, topic_id: UUID, positions: Mapping[int, Position]) -> None:
        assert (pool, topic_id) == ("the pool", TOPIC_ID)
        self.writes.append(dict(positions))
        self.positions.update(positions)


class Database:
    """What is noted of positions, and recorded of logs and topics."""

    def __init__(self) -> None:
        self.read, self.published = NotedPositions(), NotedPositions()
        self.breaks: list[dict[str, Any]] = []
        # So many breaks more can be recorded before the database is away.
        self.room = 10
        self.topics: dict[str, UUID] = {}

    async def note_break(self, pool: Any, **fields: Any) -> None:
        assert pool == "the pool"
        if not self.room:
            raise Retryable("away")
        self.room -= 1
        self.breaks.append(fields)

    async def note_topics(self, pool: Any, ids: Mapping[str, UUID]) -> Sequence[str]:
        assert pool == "the pool"
        return [name for name in ids if self.topics.setdefault(name, ids[name]) != ids[name]]
