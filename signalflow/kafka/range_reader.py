"""Reading a stretch of a changelog beside Faust."""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from signalflow.errors import Retryable
from signalflow.kafka.connection import connection_options
from signalflow.kafka.stopping import stop_consumer
from signalflow.settings import Settings

READ_SECONDS = 10.0


async def read_range(settings: Settings, topic: str, partition: int, first: int, last: int) -> list[Any]:
    """The records of one partition from offset `first` to `last`, both included; compaction may have removed some.

    Raises Retryable when the brokers are away or do not deliver in time.
    """
    tp = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(**connection_options(settings), enable_auto_commit=False, auto_offset_reset="earliest")
    records: list[Any] = []
    try:
        async with asyncio.timeout(READ_SECONDS):
            await consumer.start()
            consumer.assign([tp])
            consumer.seek(tp, first)
            while await consumer.position(tp) <= last:
                fetched = await consumer.getmany(tp, timeout_ms=500)
                records += [record for record in fetched.get(tp, []) if record.offset <= last]
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retryable(f"reading {topic}[{partition}] {first}..{last} failed: {type(error).__name__}") from error
    finally:
        await stop_consumer(consumer)
    return records
