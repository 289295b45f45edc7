"""The parts of Faust that this project uses, as protocols: Faust declares what travels in them as Any."""

from collections.abc import AsyncIterator, Mapping
from typing import Protocol
from uuid import UUID

from faust.types import TP

from signalflow.kafka.records import KafkaRecord


class RunMessage(Protocol):
    """A run of records that travels through Faust as one message. `offset` is the offset of the last record."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def tp(self) -> TP: ...
    @property
    def offset(self) -> int: ...
    @property
    def generation_id(self) -> int: ...
    @property
    def value(self) -> list[KafkaRecord]: ...


class ChangelogMessage(Protocol):
    """A record of a changelog, as Faust's recovery delivers it. `timestamp` is in seconds since the epoch."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> float: ...
    @property
    def generation_id(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class ChangelogEvent(Protocol):
    """An event of a recovery."""

    @property
    def message(self) -> ChangelogMessage: ...


class RunEvent(Protocol):
    """An event of a stream whose topic is delivered in runs."""

    @property
    def message(self) -> RunMessage: ...


class RunStream(Protocol):
    """The stream of an agent."""

    def noack(self) -> "RunStream":
        """The same stream, without Faust's automatic acknowledgement of events."""
        ...

    def events(self) -> AsyncIterator[RunEvent]:
        """The events, one run of records each."""
        ...

    async def ack(self, event: RunEvent) -> object:
        """Acknowledge every record of a run."""
        ...


class FlowControl(Protocol):
    """Whether records flow to the agents."""

    def is_active(self) -> bool: ...


class RunConsumer(Protocol):
    """The consumer of a worker, as the batch loop uses it."""

    @property
    def contiguity_guard(self) -> bool:
        """Whether a skipped offset stops the worker."""
        ...

    @property
    def start_offsets(self) -> Mapping[TP, int]:
        """By source partition, the first offset that the current assignment reads."""
        ...

    def give_back(self, message: RunMessage) -> None:
        """Stop waiting for a message that will not be acknowledged."""
        ...

    def topic_id(self, topic: str) -> UUID | None:
        """The id of a source topic; None before the first assignment."""
        ...

    def is_stale(self, message: RunMessage) -> bool:
        """Whether the message's partition was rewound after the message was delivered."""
        ...

    async def rewind(self, offsets: Mapping[TP, int], reason: str) -> None:
        """Read partitions again from these offsets."""
        ...


class StreamApp(Protocol):
    """The application, as the batch loop uses it."""

    @property
    def consumer(self) -> RunConsumer: ...
    @property
    def flow_control(self) -> FlowControl: ...
    @property
    def should_stop(self) -> bool: ...
    @property
    def consumer_generation_id(self) -> int: ...
