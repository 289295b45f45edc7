"""A producer whose `send` returns when the brokers have confirmed every record.

Faust's own producer is not idempotent, and it only logs a failed send to a changelog. So every send that a guarantee
depends on goes through this producer.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    BrokerResponseError,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    RecordTooLargeError,
    kafka_errors,
)
from aiokafka.partitioner import murmur2
from aiokafka.structs import RecordMetadata

from signalflow.errors import Invalid, Retryable
from signalflow.kafka.connection import REQUEST_TIMEOUT_MS, connection_options
from signalflow.kafka.failures import explained
from signalflow.kafka.stopping import CLOSE_SECONDS
from signalflow.settings import Settings

log = structlog.get_logger()

Headers = Sequence[tuple[str, bytes]]
# Large, so that a unit of work is one request; Kafka's own limit for a batch is 1 MiB.
BATCH_BYTES = 512 << 10
# Longest wait for a confirmation, in seconds; longer than the brokers need to elect a new leader of a partition.
CONFIRM_SECONDS = 15.0


# Keys go to partitions that were added once the metadata show them.
METADATA_MS = 60_000


class InvalidRecordError(BrokerResponseError):
    """Kafka's INVALID_RECORD. aiokafka does not know it: it would be an UnknownError, as a broker's own failure is."""

    errno = 87
    message = "INVALID_RECORD"


kafka_errors[InvalidRecordError.errno] = InvalidRecordError
# Trying again does not help.
REFUSALS = (
    MessageSizeTooLargeError,
    RecordTooLargeError,
    RecordListTooLargeError,
    InvalidTimestampError,
    InvalidRecordError,
)


class Refused(Invalid):
    """The topic does not take a record: it is too large, or the topic's settings forbid what is in it."""


class Outgoing(NamedTuple):
    """A record to be sent. A value of None is a tombstone."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Span(NamedTuple):
    """First and last offset of one confirmed batch, both included, and the index of its first record in the input.

    `timestamp`: when the brokers appended it, in ms since 1970; None where the topic keeps the times of producers.
    """

    first: int
    last: int
    start: int
    timestamp: int | None = None


Confirmed = Callable[[str, Mapping[int, Sequence[Span]]], None]
"""Called with a topic and, by partition, the batches that the brokers confirmed, in offset order."""


class RefusedRecord(NamedTuple):
    """A record that its topic does not take: its partition, its place among the records of the partition, and why."""

    partition: int
    place: int
    error: Invalid


class Sender(Protocol):
    """What sends records: a ConfirmedProducer."""

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> object: ...


async def send_or_reject(
    sender: Sender, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]
) -> list[RefusedRecord]:
    """Send all records that the topic takes, in order within a partition, and return the others.

    Raises Retryable when the brokers are away; then send all of them again.
    """
    places = [(partition, index) for partition, records in by_partition.items() for index in range(len(records))]

    async def send(some: Sequence[tuple[int, int]]) -> list[RefusedRecord]:
        batches: dict[int, list[Outgoing]] = {}
        for partition, index in some:
            batches.setdefault(partition, []).append(by_partition[partition][index])
        try:
            await sender.send(topic, batches)
        except Invalid as error:
            if len(some) == 1:
                return [RefusedRecord(*some[0], error)]
            middle = len(some) // 2
            return [*await send(some[:middle]), *await send(some[middle:])]
        return []

    return await send(places)


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of a key, by the hash that Kafka's own clients use."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class ConfirmedProducer:
    """Sends whole record batches with idempotence and acks=all, and returns when the brokers have confirmed them.

    A failed send leaves an idempotent producer in an unknown state, so a new one replaces it. Time limits use
    asyncio.timeout, never wait_for, which in Python 3.11 can swallow a cancellation that arrives with a result.

    `confirmed`: told what the brokers confirmed.
    """

    def __init__(self, settings: Settings, client_id: str, confirmed: Confirmed | None = None) -> None:
        self.settings = settings
        self._confirmed = confirmed
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, list[Span]]:
        """Send records, in order within a partition; return when all are confirmed.

        Raises Retryable when the brokers are away or refuse for now. Any part may have been written then, so send it
        all again. Raises Refused when the topic does not take one of them, because of its size or its content.
        """
        producer = None
        try:
            producer = await self._ready()
            pending = await self._enqueue(producer, topic, by_partition)
            spans: dict[int, list[Span]] = {}
            # aiokafka itself never gives up a batch of an idempotent producer.
            async with asyncio.timeout(CONFIRM_SECONDS):
                for partition, start, count, future in pending:
                    done = await future
                    first, appended = done.offset, done.timestamp if done.timestamp >= 0 else None
                    if first < 0:
                        raise Retryable(f"{topic}[{partition}]: the broker has the batch already, at an unknown offset")
                    spans.setdefault(partition, []).append(Span(first, first + count - 1, start, appended))
            if self._confirmed is not None:
                self._confirmed(topic, spans)
            return spans
        except REFUSALS as error:
            await self._discard(producer)
            raise Refused(f"{topic} does not take the record: {type(error).__name__}: {error}") from error
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise Retryable(f"sending to {topic} failed: {type(error).__name__}: {error}") from error
        except (Retryable, asyncio.CancelledError):
            await self._discard(producer)
            raise

    async def partitions_of(self, topic: str) -> int:
        """The number of partitions of a topic. Raises Retryable when the brokers do not tell."""
        producer = None
        try:
            producer = await self._ready()
            partitions = await producer.partitions_for(topic)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise Retryable(f"no metadata of {topic}: {type(error).__name__}: {error}") from error
        return len(partitions)

    async def close(self) -> None:
        """Stop. Records that are not confirmed within two seconds are dropped."""
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
                    metadata_max_age_ms=METADATA_MS,
                )
                try:
                    async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                        await producer.start()
                except (KafkaError, OSError) as error:
                    await _stop(producer)
                    # Retryable even where brokers refuse: a running worker survives the rotation of a password.
                    raise Retryable(str(await explained(self.settings, error, producer.client))) from error
                except BaseException:
                    await _stop(producer)
                    raise
                self._producer = producer
            return self._producer

    async def _enqueue(
        self, producer: AIOKafkaProducer, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]
    ) -> list[tuple[int, int, int, Awaitable[RecordMetadata]]]:
        """Hand batches to aiokafka. Per batch: (partition, index of its first record, number of records, future)."""
        pending = []
        await self._check_partitions(producer, topic, by_partition)
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
                # An empty batch takes any record, so `end` has advanced.
                async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                    future = await producer.send_batch(builder, topic, partition=partition)
                # When one batch fails, nobody awaits the others; asyncio must not report their errors.
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
                pending.append((partition, start, end - start, future))
                start = end
        return pending

    @staticmethod
    async def _check_partitions(producer: AIOKafkaProducer, topic: str, partitions: Iterable[int]) -> None:
        """Raises Retryable when the topic lacks one of these partitions, where aiokafka raises AssertionError.

        A partition that was added lately is not in the metadata yet, so they are refreshed first.
        """
        if not set(partitions) <= await producer.partitions_for(topic):
            await producer.client.force_metadata_update()
            missing = set(partitions) - await producer.partitions_for(topic)
            if missing:
                raise Retryable(f"{topic} has no partition {min(missing)} yet")

    async def _discard(self, producer: AIOKafkaProducer | None) -> None:
        # The producer that failed may have been replaced already; its successor must stay.
        if producer is not None and producer is self._producer:
            self._producer = None
            await _stop(producer)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer within a few seconds.

    A producer that cannot flush is closed by force: it must not send anything after its successor has begun.
    """
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError) as error:
        log.warning("producer_cut_off", error=type(error).__name__)
        with contextlib.suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await producer._sender.close()
                await producer.client.close()
