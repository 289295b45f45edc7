"""A producer whose sends are confirmed by the brokers before anything else happens.

Faust's own producer has no idempotence and only logs a failed changelog send; everything that a guarantee rests on goes through here.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from aiokafka.partitioner import murmur2

from signalflow.errors import Invalid, Retryable
from signalflow.kafka.connection import connection_options
from signalflow.kafka.failures import explained
from signalflow.settings import Settings

log = structlog.get_logger()

Headers = Sequence[tuple[str, bytes]]
# Large batches make one request of a unit of work; Kafka's own limit for a batch is 1 MiB.
BATCH_BYTES = 512 << 10
REQUEST_TIMEOUT_MS = 10_000
# Longest wait for the brokers to confirm; longer than they need to elect a new leader.
CONFIRM_SECONDS = 15.0
CLOSE_SECONDS = 2.0


class Outgoing(NamedTuple):
    """A record to be sent. A value of None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Span(NamedTuple):
    """Offsets that one confirmed batch got: first and last, both included, and where in the input its records begin."""

    first: int
    last: int
    start: int


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key, by the hash that every Kafka client uses."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class ConfirmedProducer:
    """Sends whole record batches with idempotence and acks=all, and returns when the brokers have confirmed them.

    A failed send leaves an idempotent producer in a state that cannot be trusted; it is replaced by a new one.
    Time limits are asyncio.timeout, never wait_for: in Python 3.11 the latter swallows a cancellation that meets a result.
    """

    def __init__(self, settings: Settings, client_id: str) -> None:
        self.settings = settings
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, list[Span]]:
        """Send records, in order within a partition; return when all are confirmed.

        Raises Retryable when the brokers are away or refuse for now: any part may have been written, so send it all again.
        Raises Invalid when a record is larger than the topic allows.
        """
        producer = None
        try:
            producer = await self._ready()
            pending = await self._enqueue(producer, topic, by_partition)
            spans: dict[int, list[Span]] = {}
            # aiokafka itself never gives up on a batch of an idempotent producer.
            async with asyncio.timeout(CONFIRM_SECONDS):
                for partition, start, count, future in pending:
                    first = (await future).offset
                    if first < 0:
                        raise Retryable(f"{topic}[{partition}]: confirmed as a repetition, without its offset")
                    spans.setdefault(partition, []).append(Span(first, first + count - 1, start))
            return spans
        except (MessageSizeTooLargeError, RecordTooLargeError) as error:
            await self._discard(producer)
            raise Invalid(f"{topic} does not take a record of this size: {error}") from error
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise Retryable(f"sending to {topic} failed: {type(error).__name__}: {error}") from error
        except (Retryable, asyncio.CancelledError):
            await self._discard(producer)
            raise

    async def partitions_of(self, topic: str) -> int:
        """Partition count of a topic. Raises Retryable when the brokers cannot say."""
        producer = None
        try:
            producer = await self._ready()
            partitions = await producer.partitions_for(topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise Retryable(f"no metadata of {topic}: {type(error).__name__}: {error}") from error
        return len(partitions)

    async def close(self) -> None:
        """Stop; what was confirmed is safe, the rest is dropped after a bounded wait."""
        await self._discard(self._producer)

    async def _ready(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **connection_options(self.settings),
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    max_batch_size=BATCH_BYTES,
                    max_request_size=4 << 20,
                    request_timeout_ms=REQUEST_TIMEOUT_MS,
                )
                try:
                    async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                        await producer.start()
                except (KafkaError, OSError) as error:
                    await _stop(producer)
                    # Not Fatal, even where the brokers refuse: a producer that runs outlasts the rotation of a password.
                    raise Retryable(str(await explained(self.settings, error, producer.client))) from error
                except BaseException:
                    await _stop(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _enqueue(
        self, producer: AIOKafkaProducer, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]
    ) -> list[tuple[int, int, int, Any]]:
        """Hand batches over; (partition, position of the first record, count, future) each."""
        pending = []
        for partition, records in by_partition.items():
            start = 0
            while start < len(records):
                builder = producer.create_batch()
                end = start
                while end < len(records):
                    key, value, headers = records[end]
                    if builder.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
                        break
                    end += 1
                # A first record never finds its batch full, so `end` moves on.
                async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                    future = await producer.send_batch(builder, topic, partition=partition)
                # When one batch fails the others are not waited for, and their failure is no news.
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
                pending.append((partition, start, end - start, future))
                start = end
        return pending

    async def _discard(self, producer: AIOKafkaProducer | None) -> None:
        # Who waited on one that another has replaced must not take the new one down as well.
        if producer is not None and producer is self._producer:
            self._producer = None
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer in bounded time. One that cannot flush is cut off: it must not go on sending behind its successor."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError) as error:
        log.warning("producer_cut_off", error=type(error).__name__)
        with contextlib.suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await producer._sender.close()
                await producer.client.close()
