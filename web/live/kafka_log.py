"""A topic of the live stream as an API process reads it: all partitions, no consumer group, no commits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from signalflow.errors import Retryable
from signalflow.kafka.reader import KafkaRecord, Offsets, TopicReader, open_reader
from signalflow.kafka.topic_ids import FoundTopic, found_topics
from signalflow.settings import Settings

OPEN_SECONDS = 10.0
# Longest wait of one read.
READ_MS = 500


class LiveLog:
    """An open log. `first` and `end`: by partition, the first offset and the next to be written when it was opened."""

    def __init__(self, topic: UUID, reader: TopicReader, first: list[int], end: list[int]) -> None:
        self.topic = topic
        self.first = first
        self.end = end
        self._reader = reader

    def has(self, offsets: Sequence[int]) -> bool:
        """Whether reading can go on from these offsets, one of each partition, and no partition was added."""
        return len(offsets) == len(self.end) and all(
            first <= offset <= end for first, offset, end in zip(self.first, offsets, self.end, strict=True)
        )

    def seek(self, offsets: Sequence[int]) -> None:
        """Read from these offsets on, one of each partition."""
        self._reader.seek(dict(enumerate(offsets)))

    async def offsets(self) -> list[int]:
        """The next offset that will be read of each partition."""
        return _in_order(await self._reader.offsets())

    async def ends(self) -> list[int]:
        """The next offset to be written of each partition, now. Raises Retryable when the brokers do not answer."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                return _in_order(await self._reader.ends())
        except TimeoutError as error:
            raise Retryable("the brokers do not say where the log ends") from error

    async def read(self, most: int) -> list[KafkaRecord]:
        """The next records, by offset within a partition; none when nothing came for READ_MS.

        Raises OffsetGone. Brokers that are away are no error: nothing comes.
        """
        return await self._reader.read(most, READ_MS)


def _in_order(offsets: Offsets) -> list[int]:
    return [offsets[partition] for partition in sorted(offsets)]


@asynccontextmanager
async def open_log(settings: Settings, topic: str) -> AsyncIterator[LiveLog]:
    """A topic.

    Raises Retryable when Kafka is away, goes away inside the block, or has no such topic; Fatal when it refuses the
    connection settings.
    """
    id_ = (await topic_now(settings, topic)).id
    # Metadata are refreshed every 30 s, so that a partition that moved to another broker is found soon.
    async with open_reader(settings, topic, client_id="signalflow-live", metadata_max_age_ms=30_000) as reader:
        async with asyncio.timeout(OPEN_SECONDS):
            first, end = _in_order(await reader.begins()), _in_order(await reader.ends())
        yield LiveLog(id_, reader, first, end)


async def topic_now(settings: Settings, topic: str) -> FoundTopic:
    """The topic as the brokers have it. Raises Retryable when Kafka is away, or has no such topic."""
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            found = await found_topics(settings, [topic])
    except TimeoutError as error:
        raise Retryable(f"Kafka at {settings.kafka} does not answer") from error
    if topic not in found:
        raise Retryable(f"there is no topic {topic} yet")
    return found[topic]
