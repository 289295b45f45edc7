"""The offsets of the application's consumer group and the ends of its topics, read without joining the group."""

from collections.abc import Collection

from aiokafka import TopicPartition

from signalflow.kafka.clients import consumer_without_group
from signalflow.kafka.reader import group_offsets
from signalflow.settings import Settings

Partition = tuple[str, int]
"""Topic and number of a partition."""


async def committed_offsets(settings: Settings, partitions: Collection[Partition]) -> dict[Partition, int]:
    """The offset that the group reads next in each partition; 0 where it never committed.

    Raises Retryable when Kafka is away, Fatal when it refuses the connection settings.
    """
    found = await group_offsets(settings, settings.app_id)
    return {partition: found.get(partition, 0) for partition in partitions}


async def end_offsets(settings: Settings, partitions: Collection[Partition]) -> dict[Partition, int]:
    """The offset that the next record of each partition gets. Raises like `committed_offsets`.

    Records of open transactions, which nobody may read yet, are before it.
    """
    async with consumer_without_group(settings, isolation_level="read_uncommitted") as consumer:
        found = await consumer.end_offsets([TopicPartition(*partition) for partition in partitions])
    return {(tp.topic, tp.partition): end for tp, end in found.items()}


async def begin_and_end_offsets(
    settings: Settings, partitions: Collection[Partition]
) -> tuple[dict[Partition, int], dict[Partition, int]]:
    """The first offset that each partition still has, and what `end_offsets` tells. Raises like it."""
    async with consumer_without_group(settings, isolation_level="read_uncommitted") as consumer:
        found = await consumer.beginning_offsets([TopicPartition(*partition) for partition in partitions])
    begins = {(tp.topic, tp.partition): begin for tp, begin in found.items()}
    return begins, await end_offsets(settings, partitions)
