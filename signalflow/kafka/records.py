"""What the rest of the project needs of a Kafka record, whichever client read it."""

from collections.abc import Sequence
from typing import Protocol


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
