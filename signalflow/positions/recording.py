"""What the database is told of logs that broke, and of topics that are others than before."""

import structlog

from signalflow.errors import Retryable
from signalflow.fail_points import reach
from signalflow.kafka.topics import TopicNames
from signalflow.storage.log_breaks import note_break, note_topics
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application
from signalflow.streams.brokers import AWAY

log = structlog.get_logger()


async def record_breaks(app: Application, pool: Pool) -> None:
    """Record breaks of logs in the database. Raises Retryable while it is away; what is not recorded yet stays."""
    for found in app.consumer.unrecorded_breaks():
        reach("positions.before_record")
        await note_break(
            pool,
            topic=found.tp.topic,
            partition=found.tp.partition,
            reason=found.reason,
            committed=found.committed,
            going_on_at=found.going_on_at,
        )
        await app.consumer.note_recorded(found)


async def record_topics(app: Application, pool: Pool) -> None:
    """Record which topics fill the tables, and which of them are others than before.

    Raises Retryable when Kafka or the database is away.
    """
    names = TopicNames.of(app.settings)
    try:
        # Not as the worker remembers them: one that has not noticed yet would take the new id for the former one.
        ids = await app.consumer.brokers.topic_ids({*names.consumed, *names.changelogs})
    except AWAY as error:
        raise Retryable(f"brokers: {type(error).__name__}: {error}") from error
    for topic in await note_topics(pool, ids):
        log.error("tables_are_of_another_topic", topic=topic, id=str(ids[topic]))
