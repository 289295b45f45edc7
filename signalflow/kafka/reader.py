"""Reads a topic without joining a consumer group and without committing."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.clients import admin_client, consumer_without_group
from signalflow.kafka.group_errors import raising_group_errors
from signalflow.kafka.records import EmptyOffset, UnreadableRecord
from signalflow.kafka.records import KafkaRecord as KafkaRecord
from signalflow.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE_SECONDS = 10.0
_POLL_MS = 1_000
# A topic whose brokers give nothing for so many polls in a row cannot be read now.
_SILENT_POLLS = 30

Offsets = dict[int, int]
"""By partition of one topic."""


class OffsetGone(Retryable):
    """The topic no longer has the offset that was to be read next."""


class TimedOffset(NamedTuple):
    """The offset of a record, and when the brokers got the record."""

    offset: int
    at: datetime


class TopicReader:
    """Reads one topic. When the brokers do not answer, the block of `open_reader` ends with Retryable."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self.topic = topic
        self._consumer = consumer
        self._partitions: list[int] = []

    async def partitions(self) -> list[int]:
        """The partitions of the topic. Raises Fatal when there is no such topic."""
        if not self._partitions:
            metadata = await self._consumer._client.fetch_all_metadata()
            self._partitions = sorted(metadata.partitions_for_topic(self.topic) or ())
        if not self._partitions:
            raise Fatal(
                f"there is no topic {self.topic}: is SIGNALFLOW_TOPIC_PREFIX right, and was the pipeline ever started?"
            )
        return self._partitions

    async def begins(self) -> Offsets:
        """The first offset that each partition still has. Raises like `partitions`."""
        found = await self._consumer.beginning_offsets(self._named(await self.partitions()))
        return {tp.partition: offset for tp, offset in found.items()}

    async def ends(self) -> Offsets:
        """The offset that the next record of each partition gets. Raises like `partitions`."""
        found = await self._consumer.end_offsets(self._named(await self.partitions()))
        return {tp.partition: offset for tp, offset in found.items()}

    async def first_since(self, moment: datetime) -> dict[int, TimedOffset]:
        """By partition, the first record that the brokers got at this moment or later, where there is one."""
        milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
        asked = dict.fromkeys(self._named(await self.partitions()), milliseconds)
        found = await self._consumer.offsets_for_times(asked)
        return {
            tp.partition: TimedOffset(record.offset, _EPOCH + timedelta(milliseconds=record.timestamp))
            for tp, record in found.items()
            if record is not None
        }

    def seek(self, offsets: Offsets) -> None:
        """Read these partitions, from these offsets on."""
        self._consumer.assign(self._named(offsets))
        for partition, offset in offsets.items():
            self._consumer.seek(TopicPartition(self.topic, partition), offset)

    async def offsets(self) -> Offsets:
        """The offset that will be read next in each partition that is read."""
        return {tp.partition: await self._consumer.position(tp) for tp in self._consumer.assignment()}

    async def read(self, most: int, wait_ms: int) -> list[KafkaRecord]:
        """The next records, in offset order within a partition; none when nothing came in `wait_ms`. Raises OffsetGone.

        Every offset is there; what is no record has no value, or one that nobody can decode.
        While the brokers are away nothing comes, and no error is raised.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=wait_ms, max_records=most)
        except OffsetOutOfRangeError as error:
            raise OffsetGone(f"{self.topic} no longer has an offset that was to be read") from error
        return [record for records in fetched.values() for record in records]

    async def stretch(self, begins: Offsets, ends: Offsets, *, at_once: int) -> AsyncIterator[list[KafkaRecord]]:
        """The records from `begins` to below `ends`, at most `at_once` at a time, each partition's in offset order.

        Raises OffsetGone, and Retryable when the brokers give nothing for half a minute.
        """
        open_ends = {partition: end for partition, end in ends.items() if end > begins[partition]}
        if not open_ends:
            return
        self.seek({partition: begins[partition] for partition in open_ends})
        silent_polls = 0
        while open_ends:
            records = await self.read(at_once, _POLL_MS)
            wanted = [
                record
                for record in records
                if record.offset < ends[record.partition] and not isinstance(record, EmptyOffset)
            ]
            if wanted:
                yield wanted
            for partition, offset in (await self.offsets()).items():
                # The last record is no proof of the end: compaction may have removed the records just before it.
                if partition in open_ends and offset >= open_ends[partition]:
                    self._consumer.pause(TopicPartition(self.topic, partition))
                    del open_ends[partition]
            silent_polls = 0 if records else silent_polls + 1
            if silent_polls > _SILENT_POLLS:
                raise Retryable(f"{self.topic} gives no records below its end; are all of its partitions available?")

    def _named(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self.topic, partition) for partition in partitions]


@asynccontextmanager
async def open_reader(settings: Settings, topic: str, **options: Any) -> AsyncIterator[TopicReader]:
    """A reader of a topic. `options` are options of AIOKafkaConsumer.

    Raises Retryable when Kafka is away, or goes away inside the block, Fatal when it refuses the connection settings.
    """
    async with consumer_without_group(settings, **options) as consumer:
        yield TopicReader(consumer, topic)


async def read_range(settings: Settings, topic: str, partition: int, first: int, last: int) -> list[KafkaRecord]:
    """The records of one partition from offset `first` to `last`, both included; compaction may have removed some.

    Records that cannot be decoded are left out.
    Raises Retryable when the brokers are away, refuse, or do not deliver in time.
    """
    records: list[KafkaRecord] = []
    try:
        async with (
            asyncio.timeout(_RANGE_SECONDS),
            open_reader(settings, topic, auto_offset_reset="earliest") as reader,
        ):
            async for some in reader.stretch({partition: first}, {partition: last + 1}, at_once=last - first + 1):
                records += [record for record in some if not isinstance(record, UnreadableRecord)]
    except (Fatal, Retryable, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise Retryable(f"reading {topic}[{partition}] {first}..{last} failed: {reason}") from error
    return records


async def group_offsets(settings: Settings, group: str) -> dict[tuple[str, int], int]:
    """The committed offsets of a consumer group, by topic and partition. Raises like `open_reader`."""
    async with admin_client(settings) as admin:
        admin._send_request = raising_group_errors(admin._send_request)
        found = await admin.list_consumer_group_offsets(group)
    return {(tp.topic, tp.partition): meta.offset for tp, meta in found.items() if meta.offset >= 0}
