"""How far a topic is read whose records no transaction stores: compared with the logs, and noted in the database."""

from faust.types import TP

from signalflow.domain.positions import Position
from signalflow.positions.recording import record_breaks
from signalflow.storage.noted_positions import PUBLISHED, READ
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application
from signalflow.streams.consumer_positions import PositionedConsumer


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
        noted = await READ.unbroken(pool, self._topic, topic_id)
        unknown = {
            tp: position
            for tp in self._partitions(consumer)
            if (position := noted.get(tp.partition)) and position != self._noted.get(tp.partition)
        }
        published = await PUBLISHED.unbroken(pool, self._topic, topic_id)
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
            await READ.note(pool, topic_id, new)
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
