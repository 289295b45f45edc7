"""A timer that compares logs and tables with what was committed: servers that were restored tell nobody."""

from collections.abc import Callable, Sequence

import structlog
from faust.types import TP

from agents.resources import ResourcesOf
from agents.stored import REASON, StoredTopic
from signalflow.clock import steady
from signalflow.domain.positions import Position
from signalflow.errors import Retryable
from signalflow.fail_points import reach
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Progress, note_break, note_read, note_topics, read_positions
from signalflow.storage.published_positions import published_positions
from signalflow.streams.app import Application
from signalflow.streams.brokers import AWAY
from signalflow.streams.consumer_positions import PositionedConsumer
from signalflow.streams.timers import guarded

log = structlog.get_logger()

EVERY_SECONDS = 2.0


def register(
    app: Application, settings: Settings, resources: ResourcesOf, stored: Callable[[], Sequence[StoredTopic]]
) -> None:
    """Add the timer to the app. `stored()` gives what is compared with the database once the worker runs.

    It compares once after each assignment, and then every `position_check_seconds`.
    """
    compared_at, generation = -settings.position_check_seconds, -1
    raw = ReadTopic(TopicNames.of(settings).posts_raw)

    @app.timer(interval=min(EVERY_SECONDS, settings.position_check_seconds), name="positions")
    @guarded("positions")
    async def positions() -> None:
        nonlocal compared_at, generation
        if app.rebalancing or app.in_recovery:
            return
        await record_breaks(app, resources().pool)
        now, of_now = steady(), app.consumer_generation_id
        if generation != of_now or now - compared_at >= settings.position_check_seconds:
            await compare()
            compared_at, generation = now, of_now
        await raw.note(app, resources().pool)

    async def compare() -> None:
        try:
            await app.consumer.check_positions()
        except AWAY as error:
            raise Retryable(f"brokers: {type(error).__name__}: {error}") from error
        for topic in stored():
            await compare_with_database(app, topic)
        await record_breaks(app, resources().pool)
        await record_topics(app, resources().pool)


class ReadTopic:
    """How far a topic is read whose records no transaction stores: the database notes it while a worker reads.

    Brokers that lose the end of the log may lose the group's commits with it, and the workers that read it may die at
    the same moment. The database then tells that the log was cut.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        # By partition: the position that the database had when it was last noted in this generation.
        self._generation = -1
        self._noted: dict[int, Position] = {}

    async def note(self, app: Application, pool: Pool) -> None:
        """Note the positions of this worker's partitions.

        What others have noted, or the database before it went back to a copy, is compared with the logs before.
        Raises Retryable when Kafka or the database is away; then nothing is noted.
        """
        consumer, generation = app.consumer, app.consumer_generation_id
        topic_id = consumer.topic_id(self._topic)
        if topic_id is None:
            return
        if generation != self._generation:
            self._generation, self._noted = generation, {}
        noted = await read_positions(pool, self._topic, topic_id)
        unknown = {
            tp: position
            for tp in self._partitions(consumer)
            if (position := noted.get(tp.partition)) and position != self._noted.get(tp.partition)
        }
        published = await published_positions(pool, self._topic, topic_id)
        unread = {
            tp: position
            for tp in self._partitions(consumer)
            if (position := published.get(tp.partition)) and position.offset > consumer.committed_upto(tp)
        }
        for kept in filter(None, (unknown, unread)):
            await consumer.check_kept_positions(kept)
            await record_breaks(app, pool)
        if app.consumer_generation_id != generation:
            return
        read = [(tp, consumer.position_at(tp, consumer.committed_upto(tp))) for tp in self._partitions(consumer)]
        positions = {tp.partition: position for tp, position in read if position.topic_id == topic_id}
        new = {number: position for number, position in positions.items() if _says_more(position, noted.get(number))}
        if new:
            await note_read(pool, topic_id, new)
        self._noted = {number: new.get(number) or noted[number] for number in positions}

    def _partitions(self, consumer: PositionedConsumer) -> list[TP]:
        return [tp for tp in consumer.started() if tp.topic == self._topic]


def _says_more(position: Position, noted: Position | None) -> bool:
    """Whether a position says what the database does not have.

    The offset may be the same: after a cut, a log may get as many records as it lost.
    """
    if noted is None or position.offset != noted.offset:
        return True
    return position.timestamp is not None and position.timestamp != noted.timestamp


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
        ids = await app.consumer.brokers.topic_ids({*names.consumed, names.post_state_changelog})
    except AWAY as error:
        raise Retryable(f"brokers: {type(error).__name__}: {error}") from error
    for topic in await note_topics(pool, ids):
        log.error("tables_are_of_another_topic", topic=topic, id=str(ids[topic]))


async def compare_with_database(app: Application, stored: StoredTopic) -> None:
    """Rewind the partitions whose committed records the database lacks, also when no new record comes.

    Raises Retryable when Kafka or the database is away.
    """
    consumer = app.consumer
    topic_id = consumer.topic_id(stored.topic)
    if topic_id is None:
        return
    # The database is asked later, so it is behind only when it has lost what was committed.
    committed = {tp.partition: consumer.committed_upto(tp) for tp in consumer.started() if tp.topic == stored.topic}
    missing = await stored.missing(Progress(topic_id, committed))
    if missing:
        stored.forget(missing)
        await consumer.rewind({TP(stored.topic, partition): offset for partition, offset in missing.items()}, REASON)
