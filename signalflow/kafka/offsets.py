"""Where the application's group stands in its topics, asked from outside the group."""

from collections.abc import Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from signalflow.errors import Retryable
from signalflow.kafka.admin import admin_client
from signalflow.kafka.connection import connection_options
from signalflow.kafka.stopping import stop_consumer
from signalflow.settings import Settings

Place = tuple[str, int]


async def committed_offsets(settings: Settings, places: Collection[Place]) -> dict[Place, int]:
    """The offset that the group reads next, by topic and partition; 0 where it never committed. Raises Retryable."""
    try:
        async with admin_client(settings) as admin:
            wanted = [TopicPartition(*place) for place in places]
            found = await admin.list_consumer_group_offsets(settings.app_id, partitions=wanted)
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retryable(f"no offsets of {settings.app_id}: {type(error).__name__}: {error}") from error
    return {place: max(found[tp].offset, 0) if (tp := TopicPartition(*place)) in found else 0 for place in places}


async def end_offsets(settings: Settings, places: Collection[Place]) -> dict[Place, int]:
    """The offset that the next record gets, by topic and partition. Raises Retryable."""
    consumer = AIOKafkaConsumer(**connection_options(settings), request_timeout_ms=10_000)
    try:
        await consumer.start()
        found = await consumer.end_offsets([TopicPartition(*place) for place in places])
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retryable(f"no end offsets from {settings.kafka}: {type(error).__name__}: {error}") from error
    finally:
        await stop_consumer(consumer)
    return {(tp.topic, tp.partition): end for tp, end in found.items()}
