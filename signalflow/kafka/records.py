"""What the rest of the project needs of a Kafka record, whichever client read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from signalflow.errors import Invalid


class KafkaRecord(Protocol):
    """One record of a topic.

    `timestamp` is in milliseconds since the epoch. `timestamp_type` says who set it: 0 the producer, 1 the broker. A
    `value` of None is a tombstone.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


@dataclass(frozen=True, slots=True)
class _Offset:
    """An offset, in the form of a record, with the attributes that Faust asks every record for."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int

    @property
    def checksum(self) -> None: ...
    @property
    def serialized_key_size(self) -> int:
        return -1

    @property
    def serialized_value_size(self) -> int:
        return -1


@dataclass(frozen=True, slots=True)
class EmptyOffset(_Offset):
    """An offset without a record for readers: the end of a transaction, or a record of an aborted one."""

    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class UnreadableRecord(_Offset):
    """A record that the client cannot decode. `value` is what bytes there are, as they stand in the log."""

    value: bytes
    reason: str
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Unreadable(Invalid):
    """A record cannot be decoded by the client: it is damaged, or packed by a codec that nobody knows."""


def check_readable(record: KafkaRecord) -> None:
    """Raises Unreadable for a record that the client could not decode."""
    if isinstance(record, UnreadableRecord):
        raise Unreadable(record.reason)
