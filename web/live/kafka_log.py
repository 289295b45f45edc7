"""The enriched topic as an API process reads it: all partitions, no group, no commits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.connection import connection_options
from signalflow.kafka.stopping import stop_consumer
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings

OPEN_SECONDS = 10.0
# Longest wait of one read; how often the reader looks whether the brokers are still there.
READ_MS = 500


class Cut(Retryable):
    """The log no longer has the offset that was to be read next."""


class Log:
    """An open log. `first` and `end`: per partition the first offset there is and the next to be written, when it was opened."""

    def __init__(self, topic: UUID, consumer: AIOKafkaConsumer, first: list[int], end: list[int]) -> None:
        self.topic = topic
        self.first = first
        self.end = end
        self._consumer = consumer
        self._partitions: list[TopicPartition] = sorted(consumer.assignment(), key=lambda tp: tp.partition)

    def has(self, positions: Sequence[int]) -> bool:
        """Whether reading can go on from there."""
        return all(
            first <= position <= end for first, position, end in zip(self.first, positions, self.end, strict=True)
        )

    def seek(self, positions: Sequence[int]) -> None:
        """Read from there."""
        for tp, position in zip(self._partitions, positions, strict=True):
            self._consumer.seek(tp, position)

    async def positions(self) -> list[int]:
        """The next offset that will be read of each partition."""
        return [await self._consumer.position(tp) for tp in self._partitions]

    async def ends(self) -> list[int]:
        """The next offset to be written of each partition, now. Raises Retryable when the brokers do not answer."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                end = await self._consumer.end_offsets(self._partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Retryable(f"the end of the log cannot be asked for: {type(error).__name__}") from error
        return [end[tp] for tp in self._partitions]

    async def read(self, most: int) -> list[ConsumerRecord[bytes, bytes]]:
        """The next records, by offset within a partition; none when nothing came for READ_MS.

        Raises Cut, and Retryable for what the brokers refuse. Brokers that are away are no error: nothing comes.
        """
        try:
            fetched = await self._consumer.getmany(timeout_ms=READ_MS, max_records=most)
        except OffsetOutOfRangeError as error:
            raise Cut("an offset to be read is no longer in the log") from error
        except (KafkaError, OSError) as error:
            raise Retryable(f"reading failed: {type(error).__name__}") from error
        return [record for records in fetched.values() for record in records]


@asynccontextmanager
async def open_log(settings: Settings) -> AsyncIterator[Log]:
    """The enriched topic. Raises Retryable when Kafka is away or has no such topic, Fatal when its partitions are not those of the settings."""
    topic = TopicNames.of(settings).posts_enriched
    id_ = await topic_id(settings)
    consumer = AIOKafkaConsumer(
        **connection_options(settings),
        client_id="signalflow-live",
        enable_auto_commit=False,
        auto_offset_reset="none",
        # Asked for anew often enough to notice at once when a partition has moved to another broker.
        metadata_max_age_ms=30_000,
    )
    try:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await consumer.start()
                partitions = [TopicPartition(topic, partition) for partition in range(settings.topic_partitions)]
                consumer.assign(partitions)
                found = await consumer._client._wait_on_metadata(topic)
                if len(found) != len(partitions):
                    raise Fatal(f"topic {topic} has {len(found)} partitions, the settings say {len(partitions)}")
                first = await consumer.beginning_offsets(partitions)
                end = await consumer.end_offsets(partitions)
        except (KafkaError, OSError, TimeoutError) as error:
            raise Retryable(f"{topic} cannot be read: {type(error).__name__}") from error
        yield Log(id_, consumer, [first[tp] for tp in partitions], [end[tp] for tp in partitions])
    finally:
        await stop_consumer(consumer)


async def topic_id(settings: Settings) -> UUID:
    """The id of the enriched topic. Raises Retryable when Kafka is away, or has no such topic."""
    topic = TopicNames.of(settings).posts_enriched
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            ids = await topic_ids(settings, [topic])
    except TimeoutError as error:
        raise Retryable(f"Kafka at {settings.kafka} does not answer") from error
    if topic not in ids:
        raise Retryable(f"there is no topic {topic} yet")
    return ids[topic]
