"""The dlq agent: dead letters into the database, acknowledged after the commit; and what became of those that were replayed."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import mode
import structlog

from signalflow.clock import utcnow
from signalflow.dead_letters.letter import NO_IDS, is_whole, parse_dead_letter
from signalflow.dead_letters.replay import settle
from signalflow.errors import Invalid
from signalflow.events import ORIGIN_HEADER, DeadLetter
from signalflow.fail_points import reach
from signalflow.kafka.topic_ids import substitute_id
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import DEAD_LETTERS_STORED
from signalflow.settings import Settings
from signalflow.storage.dead_letters import NewLetter, store_letters
from signalflow.storage.pool import Pool
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, consume
from signalflow.streams.timers import guarded

log = structlog.get_logger()

# A letter may hold 1.5 MB, so a statement takes few of them; one second later is soon enough.
GATHERING = Gathering(due_records=20, most_records=20, seconds=0.5)
SETTLE_EVERY_SECONDS = 2.0
MALFORMED = "MalformedDeadLetter"
_MOST_ID = 2**63 - 1


def origin_of(headers: Sequence[tuple[str, bytes]]) -> tuple[int, UUID] | None:
    """Id and token of the dead letter that a replayed record says it was; None when it says none that could be."""
    for name, value in headers:
        if name == ORIGIN_HEADER:
            letter_id, _, token = value.decode("ascii", "replace").partition(":")
            if letter_id.isascii() and letter_id.isdigit() and len(letter_id) <= 19 and int(letter_id) <= _MOST_ID:
                try:
                    return int(letter_id), UUID(token)
                except ValueError:
                    return None
    return None


class DlqHandler:
    """Stores batches of dead letters in one transaction each."""

    def __init__(self, pool: Pool, worker: str, *, topic_ids: Mapping[str, UUID] = NO_IDS) -> None:
        self._pool, self._worker, self._topic_ids = pool, worker, topic_ids

    async def prepare(self, batch: Batch) -> list[NewLetter]:
        """The letters of a batch. A record that is none becomes one itself: what cannot be understood is kept as it is."""
        return [self._letter(record) for records in batch.partitions.values() for record in records]

    def _letter(self, record: Any) -> NewLetter:
        headers = tuple((name, bytes(value or b"")) for name, value in record.headers)
        try:
            letter = parse_dead_letter(record.key, record.value, headers)
        except Invalid as error:
            letter = DeadLetter(
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                key=record.key,
                value=record.value,
                headers=headers,
                stage="decode",
                error_type=MALFORMED,
                error=str(error),
                worker=self._worker,
                failed_at=utcnow(),
                topic_id=self._topic_ids.get(record.topic) or substitute_id(record.topic),
            )
            log.warning("malformed_dead_letter", partition=record.partition, offset=record.offset, error=str(error))
            return NewLetter(letter, whole=False, previous=None)
        return NewLetter(letter, whole=is_whole(letter), previous=origin_of(letter.headers))

    async def commit(self, work: list[NewLetter], owned: Ownership) -> None:
        """Letters into the database. One that it refuses is left in the topic, and logged with its place: it must not stop the others."""
        try:
            outcomes = Counter(new=await store_letters(self._pool, work))
        except Invalid:
            outcomes = Counter([await self._store_alone(new) for new in work])
        outcomes["known"] = len(work) - outcomes["new"] - outcomes["refused"]
        reach("dlq.after_commit")
        for outcome, letters in outcomes.items():
            DEAD_LETTERS_STORED.labels(outcome=outcome).inc(letters)

    async def _store_alone(self, new: NewLetter) -> str:
        """What became of it."""
        try:
            return "new" if await store_letters(self._pool, [new]) else "known"
        except Invalid as error:
            letter = new.letter
            log.error(
                "dead_letter_refused",
                topic=letter.topic,
                partition=letter.partition,
                offset=letter.offset,
                error=str(error),
            )
            return "refused"


def register(
    app: Application, settings: Settings, handler_of: Callable[[], DlqHandler], pool_of: Callable[[], Pool]
) -> None:
    """Add agent and timer to the app. `handler_of()` and `pool_of()` give what they use once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_dlq)

    @app.agent(topic, name="dlq", supervisor_strategy=mode.CrashingSupervisor)
    async def dlq(stream: Any) -> None:
        await consume(app, stream, handler_of(), GATHERING, name="dlq", guard=settings.contiguity_guard)

    @app.timer(interval=SETTLE_EVERY_SECONDS, on_leader=True, name="dlq_settle")
    @guarded("dlq_settle")
    async def dlq_settle() -> None:
        await settle(pool_of(), settings)
