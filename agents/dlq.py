"""The dlq agent writes dead letters to the database and acknowledges them after the commit. It also settles replays."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from uuid import UUID

import mode
import structlog

from agents.resources import ResourcesOf
from agents.stored import StoredTopic
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.dead_letters.letter import MalformedDeadLetter, is_whole, parse_dead_letter
from signalflow.dead_letters.replay import settle
from signalflow.domain.piece_size import PieceSize
from signalflow.errors import Invalid
from signalflow.events import ORIGIN_HEADER
from signalflow.fail_points import reach
from signalflow.kafka.records import KafkaRecord, Unreadable, check_readable
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import DEAD_LETTERS_STORED
from signalflow.settings import Settings
from signalflow.storage.dead_letters import NewLetter, is_stored, store_letters
from signalflow.storage.pool import Pool, TookTooLong
from signalflow.storage.positions import Progress
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.brokers import Brokers
from signalflow.streams.faust_types import RunStream
from signalflow.streams.timers import guarded

log = structlog.get_logger()

# A letter may hold 1.5 MB, so a statement takes few of them. Nobody minds a delay of half a second.
GATHERING = Gathering(due_records=20, most_records=20, seconds=0.5)
SETTLE_EVERY_SECONDS = 2.0
LetterRecord = tuple[KafkaRecord, NewLetter]
"""A record of the dead-letter topic, and the letter in it."""
_MOST_ID = 2**63 - 1


def origin_of(headers: Sequence[tuple[str, bytes]]) -> tuple[int, UUID] | None:
    """Id and token of the dead letter that a record was replayed from, by its header; None without a valid header."""
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
    """Stores batches of dead letters, in one transaction each as long as the database is quick enough.

    `timeout`: seconds that a statement may take.
    """

    def __init__(self, pool: Pool, dead_letters: DeadLetters, brokers: Brokers, timeout: float) -> None:
        self._pool, self._dead_letters = pool, dead_letters
        self._pieces = PieceSize(timeout)
        self.stored = StoredTopic(pool, brokers, dead_letters.topic, self._newest_is_stored)

    async def prepare(self, batch: Batch) -> list[LetterRecord]:
        """The letters of a batch. A record that holds no dead letter becomes one itself, so that its bytes are kept."""
        return [(record, self._letter(record)) for records in batch.partitions.values() for record in records]

    async def _newest_is_stored(self, pool: Pool, records: Sequence[KafkaRecord]) -> bool:
        return await is_stored(pool, self._letter(records[-1]).letter)

    def _letter(self, record: KafkaRecord) -> NewLetter:
        headers = [(name, bytes(value or b"")) for name, value in record.headers]
        try:
            check_readable(record)
            letter = parse_dead_letter(record.key, record.value, headers)
        except (MalformedDeadLetter, Unreadable) as error:
            log.warning("malformed_dead_letter", partition=record.partition, offset=record.offset, error=str(error))
            return NewLetter(self._dead_letters.letter(record, error, "decode"), whole=False, previous=None)
        return NewLetter(letter, whole=is_whole(letter), previous=origin_of(letter.headers))

    async def commit(self, work: list[LetterRecord], owned: Ownership) -> None:
        """Write the letters to the database, and take those that are done out of `work`.

        A letter that the database refuses stays in the topic and is logged with its offset: it must not stop the
        others. Raises Retryable also when the letters took too long; the next call writes fewer at once. Raises Rewind
        when the database lacks what was stored before.
        """
        async with self.stored.progress(owned, {record.partition for record, _ in work}) as progress:
            while work:
                piece, started = work[: self._pieces.size], time.monotonic()
                try:
                    outcomes = await self._store(piece, progress)
                except TookTooLong:
                    self._pieces.took_too_long(len(piece))
                    raise
                self._pieces.took(len(piece), time.monotonic() - started)
                del work[: len(piece)]
                for outcome, letters in outcomes.items():
                    DEAD_LETTERS_STORED.labels(outcome=outcome).inc(letters)

    async def _store(self, letters: Sequence[LetterRecord], progress: Progress | None) -> Counter[str]:
        """Store letters; returns how many had which outcome."""
        try:
            outcomes = Counter(new=await self._store_at_once(letters, progress))
        except Invalid:
            outcomes = Counter([await self._store_alone(new, progress) for new in letters])
        outcomes["known"] = len(letters) - outcomes["new"] - outcomes["refused"]
        reach("dlq.after_commit")
        return outcomes

    async def _store_at_once(
        self, work: Sequence[LetterRecord], progress: Progress | None, *, refused: bool = False
    ) -> int:
        """Store letters, or only that they were refused; returns how many were new."""
        advances = progress.advances([record for record, _ in work]) if progress else None
        stored = await store_letters(self._pool, [] if refused else [new for _, new in work], advances)
        if progress and advances:
            progress.stored(advances)
        return stored

    async def _store_alone(self, new: LetterRecord, progress: Progress | None) -> str:
        """Store one letter; returns the outcome that the metric counts."""
        try:
            return "new" if await self._store_at_once([new], progress) else "known"
        except Invalid as error:
            letter = new[1].letter
            log.error(
                "dead_letter_refused",
                topic=letter.topic,
                partition=letter.partition,
                offset=letter.offset,
                error=str(error),
            )
            await self._store_at_once([new], progress, refused=True)
            return "refused"


def register(
    app: Application, settings: Settings, handler_of: Callable[[], DlqHandler], resources: ResourcesOf
) -> None:
    """Add agent and timer to the app. `handler_of()` and `resources().pool` give what they use once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_dlq)

    @app.agent(topic, name="dlq", supervisor_strategy=mode.CrashingSupervisor)
    async def dlq(stream: RunStream) -> None:
        await run_batch_loop(
            app, stream, handler_of(), GATHERING, name="dlq", contiguity_guard=settings.contiguity_guard
        )

    @app.timer(interval=SETTLE_EVERY_SECONDS, on_leader=True, name="dlq_settle")
    @guarded("dlq_settle")
    async def dlq_settle() -> None:
        await settle(resources().pool, settings)
