"""Fakes of the Faust objects that the batch loop uses."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from faust.types import TP
from mode.utils.queues import FlowControlEvent


class Record(NamedTuple):
    """A Kafka record as aiokafka delivers it."""

    offset: int
    topic: str = "raw"
    partition: int = 0
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    timestamp: int = 0
    timestamp_type: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(eq=False)
class FakeMessage:
    """A run of records as one message."""

    value: list[Record]
    generation_id: int = 1
    acked: bool = False

    @property
    def tp(self) -> TP:
        return TP(self.value[0].topic, self.value[0].partition)

    @property
    def topic(self) -> str:
        return self.value[0].topic

    @property
    def partition(self) -> int:
        return self.value[0].partition

    @property
    def offset(self) -> int:
        return self.value[-1].offset


@dataclass
class FakeEvent:
    message: FakeMessage


@dataclass
class FakeConsumer:
    start_offsets: dict[TP, int] = field(default_factory=dict)
    unacked: set[FakeMessage] = field(default_factory=set)
    topic_ids: dict[str, UUID] = field(default_factory=dict)
    stale: set[FakeMessage] = field(default_factory=set)
    rewound: list[tuple[dict[TP, int], str]] = field(default_factory=list)
    contiguity_guard: bool = True

    def give_back(self, message: FakeMessage) -> None:
        self.unacked.discard(message)

    def topic_id(self, topic: str) -> UUID | None:
        return self.topic_ids.get(topic)

    def is_stale(self, message: FakeMessage) -> bool:
        return message in self.stale

    async def rewind(self, offsets: dict[TP, int], reason: str) -> None:
        self.rewound.append((offsets, reason))


class FakeApp:
    """The parts of an app that the batch loop uses: generation, flow control and unacknowledged messages."""

    def __init__(self) -> None:
        self.consumer_generation_id = 1
        self.should_stop = False
        self.consumer = FakeConsumer()
        self.flow_control = FlowControlEvent(initially_suspended=False)


class FakeStream:
    """A stream whose events come from `push`. It remembers the acknowledged offsets in order."""

    def __init__(self, app: FakeApp) -> None:
        self._app = app
        self._queue: asyncio.Queue[FakeEvent] = asyncio.Queue()
        self.acked: list[int] = []

    def push(self, first: int, last: int, generation: int = 1, partition: int = 0) -> FakeEvent:
        message = FakeMessage([Record(offset, partition=partition) for offset in range(first, last + 1)], generation)
        self._app.consumer.unacked.add(message)
        event = FakeEvent(message)
        self._queue.put_nowait(event)
        return event

    def is_drained(self) -> bool:
        """Whether every event has been taken."""
        return self._queue.empty()

    def noack(self) -> "FakeStream":
        return self

    async def events(self) -> AsyncIterator[FakeEvent]:
        while True:
            yield await self._queue.get()

    async def ack(self, event: Any) -> None:
        event.message.acked = True
        self._app.consumer.unacked.discard(event.message)
        self.acked.extend(record.offset for record in event.message.value)
