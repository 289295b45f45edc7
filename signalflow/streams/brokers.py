"""What the consumer asks the brokers beside Faust's client: the ids of topics, and the timestamp of one record."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from aiokafka.errors import KafkaError
from faust.types import TP

from signalflow.errors import Retryable
from signalflow.kafka.offsets import end_offsets
from signalflow.kafka.reader import open_reader, read_range
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.topic_ids import topic_ids
from signalflow.settings import Settings

# How long the timestamp of a record is waited for, and a single answer.
TIMESTAMP_SECONDS = 10.0
WAIT_MS = 1_000
# What a request to the brokers may fail with. It is sent again later.
AWAY = (KafkaError, TimeoutError, Retryable)


class Brokers(Protocol):
    """The brokers. All methods raise Retryable while they are away."""

    async def topic_ids(self, names: Iterable[str]) -> Mapping[str, UUID]:
        """The ids of the topics that exist, by name."""
        ...

    async def timestamp_at(self, tp: TP, offset: int) -> int | None:
        """The timestamp of the record at an offset, in milliseconds; None when there is none."""
        ...

    async def records_below(self, tp: TP, offset: int, most: int) -> Sequence[KafkaRecord]:
        """The last records below an offset, `most` at most, in offset order."""
        ...

    async def log_start(self, tp: TP) -> int:
        """The first offset that the log still has."""
        ...

    async def log_ends(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """The offsets after the last records, also of transactions that are still open."""
        ...

    async def first_record(self, tp: TP, offset: int, below: int) -> int | None:
        """The offset of the first record that the log has from `offset` to below `below`; None without one."""
        ...


class KafkaBrokers:
    """The brokers of these settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def topic_ids(self, names: Iterable[str]) -> Mapping[str, UUID]:
        """See Brokers."""
        return await topic_ids(self._settings, names)

    async def timestamp_at(self, tp: TP, offset: int) -> int | None:
        """See Brokers."""
        async with asyncio.timeout(TIMESTAMP_SECONDS), open_reader(self._settings, tp.topic) as reader:
            reader.seek({tp.partition: offset})
            while True:
                for found in await reader.read(1, WAIT_MS):
                    return found.timestamp if found.offset == offset else None

    async def records_below(self, tp: TP, offset: int, most: int) -> Sequence[KafkaRecord]:
        """See Brokers."""
        begin = max(await self.log_start(tp), offset - most)
        return await read_range(self._settings, tp.topic, tp.partition, begin, offset - 1) if begin < offset else []

    async def first_record(self, tp: TP, offset: int, below: int) -> int | None:
        """See Brokers."""
        begin = max(await self.log_start(tp), offset)
        if begin >= below:
            return None
        async with open_reader(self._settings, tp.topic, auto_offset_reset="earliest") as reader:
            async for records in reader.stretch({tp.partition: begin}, {tp.partition: below}, at_once=1):
                return int(records[0].offset)
        return None

    async def log_ends(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        """See Brokers."""
        ends = await end_offsets(self._settings, partitions)
        return {tp: ends[tp] for tp in partitions}

    async def log_start(self, tp: TP) -> int:
        """See Brokers."""
        async with open_reader(self._settings, tp.topic) as reader:
            return (await reader.begins())[tp.partition]
