"""How every consumer of aiokafka is stopped."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer

log = structlog.get_logger()

# Longest wait for a consumer or a producer to stop, in seconds. After that its connections are cut.
CLOSE_SECONDS = 2.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer, started or not, within a few seconds. Errors are logged, not raised.

    While brokers are away, `stop` of aiokafka 0.14 lets the cancellation of its own fetch task escape. Awaited
    directly, this would cancel the caller's task, hide the error that made it stop, and leave connections open.
    """
    for stop in (consumer.stop, consumer._client.close):
        stopping = asyncio.ensure_future(stop())
        await asyncio.wait({stopping}, timeout=CLOSE_SECONDS)
        if not stopping.done():
            stopping.cancel()
            log.warning("consumer_cut_off", error=f"still stopping after {CLOSE_SECONDS:g} s")
        elif not stopping.cancelled() and (error := stopping.exception()) is not None:
            log.warning("consumer_cut_off", error=type(error).__name__)
