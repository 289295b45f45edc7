"""The comparison of logs and tables with what was committed: servers that were restored tell nobody."""

from collections.abc import Iterable

from signalflow.errors import Retryable
from signalflow.positions.recording import record_breaks, record_topics
from signalflow.positions.stored_topic import StoredTopic
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application
from signalflow.streams.brokers import AWAY


async def compare(app: Application, pool: Pool, stored: Iterable[StoredTopic]) -> None:
    """Compare the logs and what is stored with what was committed; rewind where they differ, and record the reasons.

    Raises Retryable when Kafka or the database is away.
    """
    try:
        await app.consumer.check_positions()
    except AWAY as error:
        raise Retryable(f"brokers: {type(error).__name__}: {error}") from error
    for topic in stored:
        await topic.compare(app.consumer)
    await record_breaks(app, pool)
    await record_topics(app, pool)
