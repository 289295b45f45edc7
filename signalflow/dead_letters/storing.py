"""Storing dead letters from their topic in the database: each record of the topic, and no record stops the others."""

import time
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import structlog

from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.dead_letters.letter import MalformedDeadLetter, is_whole, parse_dead_letter
from signalflow.domain.piece_size import PieceSize
from signalflow.errors import Invalid
from signalflow.fail_points import reach
from signalflow.kafka.records import KafkaRecord, Unreadable, check_readable
from signalflow.lineage import ORIGIN_HEADER
from signalflow.metrics import DEAD_LETTERS_STORED
from signalflow.storage.dead_letters import NewLetter, is_stored, store_letters
from signalflow.storage.pool import Pool, TookTooLong
from signalflow.storage.positions import Progress

log = structlog.get_logger()

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


class LetterStore:
    """Stores dead letters, in one transaction as long as the database is quick enough.

    `timeout`: seconds that a statement may take.
    """

    def __init__(self, pool: Pool, dead_letters: DeadLetters, timeout: float) -> None:
        self._pool, self._dead_letters = pool, dead_letters
        self._pieces = PieceSize(timeout)

    def letter_in(self, record: KafkaRecord) -> LetterRecord:
        """A record with its letter. A record that holds no dead letter becomes one itself, so its bytes are kept."""
        headers = [(name, bytes(value or b"")) for name, value in record.headers]
        try:
            check_readable(record)
            letter = parse_dead_letter(record.key, record.value, headers)
        except (MalformedDeadLetter, Unreadable) as error:
            log.warning("malformed_dead_letter", partition=record.partition, offset=record.offset, error=str(error))
            return record, NewLetter(self._dead_letters.letter(record, error, "decode"), whole=False, previous=None)
        return record, NewLetter(letter, whole=is_whole(letter), previous=origin_of(letter.headers))

    async def newest_is_stored(self, pool: Pool, records: Sequence[KafkaRecord]) -> bool:
        """Whether the database has the letter of the last of these records."""
        _, newest = self.letter_in(records[-1])
        return await is_stored(pool, newest.letter)

    async def store(self, work: list[LetterRecord], progress: Progress | None) -> None:
        """Write the letters to the database, advance `progress`, and take the letters that are done out of `work`.

        A letter that the database refuses stays in the topic and is logged with its offset: it must not stop the
        others. Raises Retryable also when the letters took too long; the next call writes fewer at once.
        """
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
