"""Publishes envelopes to a raw topic. Each one is confirmed, or reported as not confirmed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

import structlog

from signalflow import tracing
from signalflow.errors import Invalid, Retryable
from signalflow.events import CommentEnvelope, Envelope, encode
from signalflow.kafka.producer import ConfirmedProducer, Outgoing, Span, partition_for

log = structlog.get_logger()


# Takes what the brokers confirmed, by partition. Raises Retryable when it cannot be noted.
Note: TypeAlias = Callable[[Mapping[int, Sequence[Span]]], Awaitable[None]]


class Publisher:
    """Puts envelopes into a raw topic, keyed by their post's id. `note` is told what the brokers confirmed."""

    def __init__(self, producer: ConfirmedProducer, topic: str, note: Note | None = None) -> None:
        self._producer = producer
        self._topic = topic
        self._note = note

    async def publish(self, envelopes: Sequence[Envelope | CommentEnvelope]) -> list[bool]:
        """Send envelopes; True for each one that the brokers confirmed. In an outage all are False; nothing is raised.

        The records of a post keep their order. False means "not confirmed", not "not written": send it again.
        """
        if not envelopes:
            return []
        try:
            partitions = await self._producer.partitions_of(self._topic)
            batches: dict[int, list[Outgoing]] = {}
            traced = tracing.headers()
            for envelope in envelopes:
                record = Outgoing(envelope.key, encode(envelope), [*envelope.headers(), *traced])
                batches.setdefault(partition_for(envelope.key, partitions), []).append(record)
            confirmed = await self._producer.send(self._topic, batches)
        except (Retryable, Invalid) as error:
            log.warning("publish_failed", records=len(envelopes), error=str(error))
            return [False] * len(envelopes)
        await self._note_confirmed(confirmed)
        return [True] * len(envelopes)

    async def _note_confirmed(self, confirmed: Mapping[int, Sequence[Span]]) -> None:
        if self._note is None:
            return
        try:
            await self._note(confirmed)
        except Retryable as error:
            # The brokers have the records. If they lose them before anybody reads them, nothing tells it.
            log.warning("publish_not_noted", partitions=sorted(confirmed), error=str(error))

    async def close(self) -> None:
        """Close the producer."""
        await self._producer.close()
