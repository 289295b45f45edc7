"""How a consumer of aiokafka is stopped, whoever it belongs to."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer

log = structlog.get_logger()

CLOSE_SECONDS = 2.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, started or not, in bounded time; what goes wrong is logged, not raised.

    While brokers are away aiokafka 0.14 lets the cancellation of a fetch of its own escape from `stop`: awaited directly it would
    end our task instead, hide the error that brought us here, and leave the consumer's connections open.
    """
    for stop in (consumer.stop, consumer._client.close):
        stopping = asyncio.ensure_future(stop())
        await asyncio.wait({stopping}, timeout=CLOSE_SECONDS)
        if not stopping.done():
            stopping.cancel()
        elif not stopping.cancelled() and (error := stopping.exception()) is not None:
            log.warning("consumer_cut_off", error=type(error).__name__)
