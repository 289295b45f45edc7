"""Notes in the database how far the poller wrote the raw topic: a log that was cut tells nobody."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import structlog

from signalflow.domain.positions import Break, Position, takes_the_place
from signalflow.errors import Retryable
from signalflow.kafka.producer import Span
from signalflow.kafka.publisher import Note
from signalflow.storage.log_breaks import note_break
from signalflow.storage.noted_positions import PUBLISHED
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application
from signalflow.streams.brokers import AWAY

log = structlog.get_logger()


def note_of(app: Application, pool: Pool, topic: str) -> Note:
    """What notes how far this worker wrote a topic. New records that get offsets of earlier ones tell of a cut."""

    async def note(confirmed: Mapping[int, Sequence[Span]]) -> None:
        topic_id = app.consumer.topic_id(topic)
        if topic_id is None:
            return
        before = await PUBLISHED.unbroken(pool, topic, topic_id)
        for partition, (first, *_) in confirmed.items():
            known = before.get(partition)
            if known is not None and takes_the_place(first.first, first.timestamp, known) and await still_has(topic_id):
                lost = known.offset - first.first
                log.error("published_records_lost", topic=topic, partition=partition, since=first.first, most=lost)
                await note_break(
                    pool,
                    topic=topic,
                    partition=partition,
                    reason=Break.LOG_CUT,
                    committed=known.offset,
                    going_on_at=first.first,
                )
        ends = {
            partition: Position(spans[-1].last + 1, topic_id, spans[-1].timestamp)
            for partition, spans in confirmed.items()
            if spans[-1].timestamp is not None
        }
        await PUBLISHED.note(pool, topic_id, ends)

    async def still_has(topic_id: UUID) -> bool:
        """Whether the topic was not made anew since this worker learned its id."""
        try:
            ids = await app.consumer.brokers.topic_ids({topic})
        except AWAY as error:
            raise Retryable(f"brokers: {type(error).__name__}: {error}") from error
        return bool(ids.get(topic) == topic_id)

    return note
