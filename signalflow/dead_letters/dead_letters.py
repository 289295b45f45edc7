"""The one object through which an agent sends dead letters."""

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

import structlog

from signalflow.clock import utcnow
from signalflow.dead_letters.letter import letter_of, record_of
from signalflow.dead_letters.limit import DeadLetterLimit, OpenOffsets
from signalflow.domain.words import Stage
from signalflow.errors import Fatal, Invalid
from signalflow.events import DeadLetter
from signalflow.kafka.producer import ConfirmedProducer, send_or_reject
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import DEAD_LETTERS
from signalflow.settings import Settings

log = structlog.get_logger()

# The dead-letter topic takes 2 MiB. Where somebody gave it less, a letter that is refused is cut to these sizes, one
# after the other.
SMALLER_BYTES = (300_000, 50_000, 5_000, 0)

# Called with topic and partition: the id of the topic that is read there; None when it is not known. A topic that was
# deleted and made anew has the same name and the same offsets, and another id.
TopicIdOf = Callable[[str, int], UUID | None]


def _unknown_id(topic: str, partition: int) -> UUID | None:
    return None


async def _no_open_offsets(topic: str, partition: int, first: int, end: int) -> Iterable[int]:
    return ()


class DeadLetters:
    """Makes and sends the dead letters of one worker. All its agents share the object, and with it the limit."""

    def __init__(
        self,
        settings: Settings,
        producer: ConfirmedProducer,
        worker: str,
        *,
        topic_id_of: TopicIdOf = _unknown_id,
        open_offsets: OpenOffsets = _no_open_offsets,
    ) -> None:
        self.topic = TopicNames.of(settings).posts_dlq
        self._producer, self._worker, self._topic_id_of = producer, worker, topic_id_of
        self._limit = DeadLetterLimit(settings, open_offsets)

    def letter(self, record: KafkaRecord, error: Invalid, stage: Stage) -> DeadLetter:
        """The dead letter of a record that failed with this error. Only makes the value: sends and counts nothing."""
        topic_id = self._topic_id_of(record.topic, record.partition)
        return letter_of(record, error, stage=stage, worker=self._worker, now=utcnow(), topic_id=topic_id)

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send letters, each to the partition of its record; return when the brokers have confirmed all of them.

        Raises Fatal, with nothing sent, when the letters exceed the limit; also when the brokers refuse a letter
        although nothing is left of its record. Raises Retryable when the brokers are away: the caller then sends all of
        them again. Metrics and log count a letter only once it is confirmed.
        """
        if not letters:
            return
        await self._limit.admit(letters)
        by_partition: dict[int, list[DeadLetter]] = {}
        for letter in letters:
            by_partition.setdefault(letter.partition, []).append(letter)
        batches = {partition: [record_of(letter) for letter in some] for partition, some in by_partition.items()}
        for refused in await send_or_reject(self._producer, self.topic, batches):
            await self._send_cut(by_partition[refused.partition][refused.place], refused.error)
        for letter in letters:
            DEAD_LETTERS.labels(stage=letter.stage).inc()
            log.warning(
                "dead_letter", topic=letter.topic, partition=letter.partition, offset=letter.offset, error=letter.error
            )

    async def _send_cut(self, letter: DeadLetter, error: Invalid) -> None:
        """Send a letter that the brokers refused with less and less of its record. Raises like `send`."""
        for most_bytes in SMALLER_BYTES:
            try:
                await self._producer.send(self.topic, {letter.partition: [record_of(letter, most_bytes)]})
            except Invalid as again:
                error = again
            else:
                return
        raise Fatal(f"{self.topic} takes no dead letter, whatever its size: {error}") from error
