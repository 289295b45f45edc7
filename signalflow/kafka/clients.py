"""How clients of aiokafka are opened and closed, and how their errors are translated. For this package only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from signalflow.kafka.connection import REQUEST_TIMEOUT_MS, connection_options
from signalflow.kafka.every_offset import ISOLATION, deliver_every_offset
from signalflow.kafka.failures import explained
from signalflow.kafka.stopping import stop_consumer
from signalflow.settings import Settings

_READING = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "request_timeout_ms": REQUEST_TIMEOUT_MS,
    "isolation_level": ISOLATION,
}


@asynccontextmanager
async def admin_client(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client that is connected.

    Raises Retryable when no broker answers, or a broker goes away inside the block; Fatal when a broker refuses the
    connection settings.
    """
    admin = AIOKafkaAdminClient(**connection_options(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise await explained(settings, error, admin._client) from error
    finally:
        await admin.close()


@asynccontextmanager
async def consumer_without_group(settings: Settings, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that joins no group and commits nothing. `options` are options of AIOKafkaConsumer.

    It reads like the workers' consumer: every offset, and no record of a transaction that is not committed. Raises like
    `admin_client`.
    """
    deliver_every_offset()
    consumer = AIOKafkaConsumer(
        **connection_options(settings),
        **(_READING | options),
    )
    try:
        await consumer.start()
        yield consumer
    except (KafkaError, OSError) as error:
        raise await explained(settings, error, consumer._client) from error
    finally:
        await stop_consumer(consumer)
