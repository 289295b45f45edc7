"""The topics as an observer reads them: no consumer group joined, nothing committed.

How far the tables must be, while everything runs: the group's committed offset of the enriched topic says what the sink has stored,
and the `source` of the enriched records below it says which raw records those were. Every worker writes its outputs in the order of
the raw topic from a committed offset on, so the greatest source seen there covers all raw records before it. Where the sink has
committed all that was enriched, the committed offset of the raw topic says so directly.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.connection import connection_options
from signalflow.kafka.stopping import stop_consumer
from signalflow.settings import Settings

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
RECORDS_AT_ONCE = 5_000
# The last sources are enough: an older one only makes the answer more cautious.
_LAST_RECORDS = 1_000
_TIMEOUT_MS = 10_000
# A topic whose brokers give nothing for so long cannot be read now.
_SILENT_POLLS = 30

Offsets = dict[int, int]


@dataclass(frozen=True)
class Committed:
    """By partition: the raw offsets below which every record is decided, and below which its effect is in the tables; and the
    offsets of the dead-letter topic below which `dlq_events` has everything (None: nobody reads it)."""

    enriched: Offsets
    stored: Offsets
    letters: Offsets | None


@dataclass(frozen=True)
class Extent:
    """Offsets to read, by partition: from `begins` to below `ends`; those below `counted` are asked about (None: all).

    `start`: the moment before which records exist or existed that are not read; None when the topic is read from its very beginning.
    """

    begins: Offsets
    ends: Offsets
    counted: Offsets | None
    start: datetime | None


class Log:
    """One Kafka, read from outside. Every method raises Retryable when it does not answer."""

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings, self._group = settings, group

    async def committed(self, raw: str, enriched: str, dlq: str) -> Committed:
        """How far the group has come. Ask before looking at the database, which holds at least this from then on."""
        decided = await self._group_offsets()
        async with self._consumer() as consumer:
            found = await consumer.end_offsets(await self._partitions(enriched))
        ends = {tp.partition: end for tp, end in found.items()}
        # After the ends: what is committed by now may cover all that was enriched when the raw offsets were committed.
        written = await self._group_offsets()
        up_to = {partition: written.get((enriched, partition), 0) for partition in ends}
        behind = {partition: offset for partition, offset in up_to.items() if offset < ends[partition]}
        stored = await self._after_sources(enriched, behind)
        stored |= {partition: decided.get((raw, partition), 0) for partition in ends.keys() - behind.keys()}
        letters = {partition: offset for (topic, partition), offset in written.items() if topic == dlq}
        return Committed({p: decided.get((raw, p), 0) for p in stored}, stored, letters or None)

    async def _after_sources(self, enriched: str, up_to: Offsets) -> Offsets:
        """The raw offset after the greatest source among the last enriched records below `up_to`; 0 where there are none."""
        after = dict.fromkeys(up_to, 0)
        if not up_to:
            return after
        async with self._consumer() as consumer:
            found = await consumer.beginning_offsets([TopicPartition(enriched, p) for p in up_to])
        begins = {tp.partition: max(begin, up_to[tp.partition] - _LAST_RECORDS) for tp, begin in found.items()}
        async for records in self.records(enriched, Extent(begins, up_to, None, None)):
            for record in records:
                with suppress(ValueError, KeyError, TypeError):
                    source = int(json.loads(record.value)["source"]["offset"])
                    after[record.partition] = max(after[record.partition], source + 1)
        return after

    async def extent(self, topic: str, since: datetime | None = None, until: datetime | None = None) -> Extent:
        """What to read of a topic: all of it, or from the first record at `since` on; always to its end as it is now."""
        async with self._consumer() as consumer:
            partitions = await self._partitions(topic)
            begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            start, counted = since, None
            if since is not None:
                found = await _at(consumer, partitions, since)
                begins = {tp: found.get(tp, (ends[tp], 0))[0] for tp in partitions}
            elif any(begins.values()):
                first = await _at(consumer, partitions, _BEGIN)
                times = [first[tp][1] for tp in partitions if begins[tp] and tp in first]
                start = _BEGIN + timedelta(milliseconds=max(times, default=0))
            if until is not None:
                found = await _at(consumer, partitions, until)
                counted = {tp.partition: found.get(tp, (ends[tp], 0))[0] for tp in partitions}
        return Extent(
            {tp.partition: offset for tp, offset in begins.items()},
            {tp.partition: offset for tp, offset in ends.items()},
            counted,
            start,
        )

    async def records(self, topic: str, extent: Extent) -> AsyncIterator[list[Any]]:
        """The records of an extent in portions, each partition's in offset order."""
        ends = {TopicPartition(topic, p): end for p, end in extent.ends.items() if end > extent.begins[p]}
        if not ends:
            return
        async with self._consumer() as consumer:
            consumer.assign(list(ends))
            for tp in ends:
                consumer.seek(tp, extent.begins[tp.partition])
            silent = 0
            while ends:
                fetched = await consumer.getmany(*ends, timeout_ms=1000, max_records=RECORDS_AT_ONCE)
                for tp, records in fetched.items():
                    yield [record for record in records if record.offset < ends[tp]]
                    # Offsets have no holes: the topics are neither compacted nor written in transactions.
                    if records[-1].offset >= ends[tp] - 1:
                        consumer.pause(tp)
                        del ends[tp]
                silent = 0 if fetched else silent + 1
                if silent > _SILENT_POLLS:
                    raise Retryable(f"{topic} gives no records below its end; are all of its partitions available?")

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            **connection_options(self._settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            request_timeout_ms=_TIMEOUT_MS,
        )
        with self._errors():
            try:
                await consumer.start()
                yield consumer
            finally:
                await stop_consumer(consumer)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(**connection_options(self._settings), request_timeout_ms=_TIMEOUT_MS)
        with self._errors():
            try:
                await admin.start()
                yield admin
            finally:
                await admin.close()

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic. Raises Fatal when there is no such topic."""
        async with self._admin() as admin:
            (described,) = await admin.describe_topics([topic])
        if described["error_code"]:
            raise Fatal(
                f"there is no topic {topic}: is SIGNALFLOW_TOPIC_PREFIX right, and was the pipeline ever started?"
            )
        return [TopicPartition(topic, partition) for partition in range(len(described["partitions"]))]

    async def _group_offsets(self) -> dict[tuple[str, int], int]:
        async with self._admin() as admin:
            found = await admin.list_consumer_group_offsets(self._group)
        return {(tp.topic, tp.partition): meta.offset for tp, meta in found.items() if meta.offset >= 0}

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (KafkaError, OSError) as error:
            raise Retryable(f"Kafka at {self._settings.kafka}: {type(error).__name__}: {error}") from error


async def _at(
    consumer: Any, partitions: list[TopicPartition], moment: datetime
) -> dict[TopicPartition, tuple[int, int]]:
    """Offset and time (ms) of the first record at or after a moment, where there is one."""
    milliseconds = (moment - _BEGIN) // timedelta(milliseconds=1)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
    return {tp: (place.offset, place.timestamp) for tp, place in found.items() if place is not None}
