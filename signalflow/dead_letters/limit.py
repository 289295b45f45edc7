"""The limit of dead letters: after a bad deploy the worker stops, instead of setting a whole topic aside.

Letters are counted by partition and offset, so a retry or a redelivery counts nothing twice. They are counted before
they are sent: when a batch exceeds the limit, none of it is written or acknowledged. The database tells which letters
earlier processes sent, so a restarted worker stops at the same record.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.events import DeadLetter
from signalflow.metrics import DEAD_LETTER_LIMIT_USED
from signalflow.settings import Settings

log = structlog.get_logger()

# Called with topic, partition, first offset and end: the offsets, from first to below end, that have an open dead
# letter. Raises Retryable.
OpenOffsets = Callable[[str, int, int, int], Awaitable[Iterable[int]]]
# Enrichment does not depend on the database. If there is no answer within this time, the limit does without it.
HISTORY_SECONDS = 1.0


@dataclass(frozen=True)
class Limit:
    """Allows fewer than `in_row` letters in a row, and at most `share` of the last `window` records. 0: no limit."""

    in_row: int
    share: float
    window: int

    @property
    def reach(self) -> int:
        """How many records before a dead letter the limit looks at."""
        return max(self.in_row, self.window)

    def used(self, bad: Sequence[int], offset: int) -> tuple[float, str]:
        """The share of the limit that is used at `offset`, and the same in words. Above 1 the limit is exceeded.

        `bad`: the sorted offsets of all bad records.
        """
        upto = bisect_right(bad, offset)
        worst, words = 0.0, ""
        if self.share:
            count = upto - bisect_left(bad, offset - self.window + 1)
            worst = count / (self.share * self.window)
            words = f"{count} of the last {self.window} records (SIGNALFLOW_DLQ_LIMIT_SHARE={self.share:g})"
        if self.in_row:
            row = 1
            while row < min(upto, self.in_row) and bad[upto - 1 - row] == offset - row:
                row += 1
            # `in_row` bad records exceed the limit already, so one less uses all of it.
            used = row / max(self.in_row - 1, 0.5)
            if used > worst:
                worst, words = used, f"{row} records in a row (SIGNALFLOW_DLQ_LIMIT_IN_ROW={self.in_row})"
        return worst, words


class DeadLetterLimit:
    """Counts the dead letters of one worker."""

    def __init__(self, settings: Settings, open_offsets: OpenOffsets) -> None:
        self._limit = Limit(settings.dlq_limit_in_row, settings.dlq_limit_share, settings.dlq_limit_window)
        self._open_offsets = open_offsets
        self._bad: dict[tuple[str, int], set[int]] = {}

    async def admit(self, letters: Iterable[DeadLetter]) -> None:
        """Count these letters before they are sent. Raises Fatal when they exceed the limit: then send none of them.

        A replayed record does not count: an operator sent it, and its attempts are bounded.
        """
        if not self._limit.in_row and not self._limit.share:
            return
        fresh: dict[tuple[str, int], dict[int, str]] = {}
        for letter in letters:
            if letter.attempt == 1:
                fresh.setdefault((letter.topic, letter.partition), {})[letter.offset] = letter.error
        for (topic, partition), errors in fresh.items():
            await self._count(topic, partition, errors)

    async def _count(self, topic: str, partition: int, errors: Mapping[int, str]) -> None:
        first = min(errors) - self._limit.reach
        known = self._bad.setdefault((topic, partition), set())
        known |= errors.keys() | await self._earlier(topic, partition, first, min(errors))
        bad = sorted(known)
        most = 0.0
        for offset in sorted(errors):
            used, words = self._limit.used(bad, offset)
            most = max(most, used)
            if used > 1:
                DEAD_LETTER_LIMIT_USED.labels(topic=topic).set(used)
                log.error("dead_letter_limit", topic=topic, partition=partition, offset=offset, reached=words)
                raise Fatal(
                    f"{topic}[{partition}]: {words} cannot be processed; stopping at offset {offset} before the topic "
                    f"is set aside. The last error: {errors[offset][:200]}. Nothing is lost: a restart goes on from "
                    "the last commit. Remove the cause first; or, if the records are at fault, raise the limit or "
                    "switch it off with 0 (docs/operations.md, `signalflow dlq stats`)"
                )
        DEAD_LETTER_LIMIT_USED.labels(topic=topic).set(most)
        self._bad[topic, partition] = {offset for offset in known if offset > max(errors) - self._limit.reach}

    async def _earlier(self, topic: str, partition: int, first: int, end: int) -> set[int]:
        try:
            async with asyncio.timeout(HISTORY_SECONDS):
                return set(await self._open_offsets(topic, partition, first, end))
        except (Retryable, Invalid, TimeoutError) as error:
            log.warning("dead_letter_limit_without_history", topic=topic, error=str(error))
            return set()
