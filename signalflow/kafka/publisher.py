"""Publishes envelopes to the raw topic. Each one is confirmed, or reported as not confirmed."""

from collections.abc import Sequence

import structlog

from signalflow.errors import Invalid, Retryable
from signalflow.events import Envelope, encode
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, partition_for

log = structlog.get_logger()


class Publisher:
    """Puts envelopes into the raw topic, keyed by the post's id."""

    def __init__(self, producer: ConfirmedProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """Send envelopes; True for each one that the brokers confirmed. In an outage all are False; nothing is raised.

        The records of a post keep their order. False means "not confirmed", not "not written": send it again.
        """
        if not envelopes:
            return []
        try:
            partitions = await self._producer.partitions_of(self._topic)
            batches: dict[int, list[Outgoing]] = {}
            for envelope in envelopes:
                key = envelope.payload.id.encode()
                record = Outgoing(key, encode(envelope), envelope.headers())
                batches.setdefault(partition_for(key, partitions), []).append(record)
            await self._producer.send(self._topic, batches)
        except (Retryable, Invalid) as error:
            log.warning("publish_failed", records=len(envelopes), error=str(error))
            return [False] * len(envelopes)
        return [True] * len(envelopes)

    async def close(self) -> None:
        """Close the producer."""
        await self._producer.close()
