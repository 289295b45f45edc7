"""Writes rows in pieces that the database stores within its timeout.

Rows that it stores too slowly are written in smaller pieces. A single row that reaches the timeout twice, while the
database stores other rows, is rejected. While it stores none, the caller waits.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from signalflow.domain.piece_size import PieceSize
from signalflow.errors import Invalid, Retryable
from signalflow.events import Enriched, EnrichedComment
from signalflow.signal_events import Signal
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.comment_writer import write_comments
from signalflow.storage.pool import Pool, TookTooLong
from signalflow.storage.positions import LogRecord, Progress
from signalflow.storage.signal_writer import write_signals
from signalflow.storage.writer import Rejected, store_or_reject, write_batch, write_or_reject

# A row that reaches the timeout alone this often, and not with the database as a whole, is rejected.
TIMEOUTS_OF_ONE_ROW = 2


class TooSlow(Invalid):
    """The database cannot store this one row within its timeout."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the first `count` rows: these are rejected, the others are stored."""

    count: int
    rejected: list[Rejected]


class _Row(Protocol):
    """A row to store. Rows of one id lock the same row of the table."""

    @property
    def id(self) -> str: ...


RowT = TypeVar("RowT", bound=_Row)


class PacedRows(ABC, Generic[RowT]):
    """Writes rows as fast as the database stores them, with what rules of `alerts` meet.

    `timeout`: seconds that a statement may take.
    """

    def __init__(self, pool: Pool, timeout: float, alerts: AlertMatches | None = None) -> None:
        self._pool, self._alerts = pool, alerts
        self._pieces = PieceSize(timeout)
        self._stored_last: RowT | None = None
        # The row that reached the timeout alone, and how often.
        self._slow: RowT | None = None
        self._timeouts = 0

    @abstractmethod
    async def _write_or_reject(
        self, rows: Sequence[RowT], records: Sequence[LogRecord], progress: Progress | None
    ) -> list[Rejected]:
        """Store the rows that the database accepts, and advance `progress`; returns the others."""

    @abstractmethod
    async def _write_one(self, row: RowT) -> None:
        """Store a row, and advance nothing. To repeat it changes nothing."""

    async def write(self, rows: Sequence[RowT], records: Sequence[LogRecord], progress: Progress | None) -> Written:
        """Write as many of the first rows as the database stores in time, at least one, and advance `progress`.

        `records` are those that the rows come from. Raises Retryable also for a piece that took too long: the next call
        with the same rows writes fewer.
        """
        piece, started = rows[: self._pieces.size], time.monotonic()
        try:
            rejected = await self._write_or_reject(piece, records[: len(piece)], progress)
        except TookTooLong as error:
            self._pieces.took_too_long(len(piece))
            if len(piece) > 1 or not await self._is_slow_alone(rows):
                raise
            return Written(1, [Rejected(0, TooSlow(f"{error}; the database stores other rows in time"))])
        self._pieces.took(len(piece), time.monotonic() - started)
        if len(rejected) < len(piece):
            refused = {row.index for row in rejected}
            self._stored_last = next(row for index, row in enumerate(piece) if index not in refused)
        return Written(len(piece), rejected)

    async def _is_slow_alone(self, rows: Sequence[RowT]) -> bool:
        """Count that the first row reached the timeout alone; says whether it does so often, and other rows do not."""
        self._timeouts = self._timeouts + 1 if rows[0] is self._slow else 1
        self._slow = rows[0]
        return self._timeouts >= TIMEOUTS_OF_ONE_ROW and await self._stores_others(rows)

    async def _stores_others(self, rows: Sequence[RowT]) -> bool:
        """Whether the database stores the next row of another id, or if there is none, a stored row once more."""
        others = (row for row in rows[1:] if row.id != rows[0].id)
        other = next(others, self._stored_last)
        if other is None:
            return False
        try:
            await self._write_one(other)
        except (Retryable, Invalid):
            return False
        return True


class PacedWriter(PacedRows[Enriched]):
    """Writes observations of posts."""

    async def _write_or_reject(
        self, rows: Sequence[Enriched], records: Sequence[LogRecord], progress: Progress | None
    ) -> list[Rejected]:
        return await write_or_reject(self._pool, rows, records, progress, self._alerts)

    async def _write_one(self, row: Enriched) -> None:
        await write_batch(self._pool, [row])


class PacedCommentWriter(PacedRows[EnrichedComment]):
    """Writes observations of comments."""

    async def _write_or_reject(
        self, rows: Sequence[EnrichedComment], records: Sequence[LogRecord], progress: Progress | None
    ) -> list[Rejected]:
        return await store_or_reject(partial(write_comments, alerts=self._alerts), self._pool, rows, records, progress)

    async def _write_one(self, row: EnrichedComment) -> None:
        await write_comments(self._pool, [row])


class PacedSignalWriter(PacedRows[Signal]):
    """Writes signals."""

    async def _write_or_reject(
        self, rows: Sequence[Signal], records: Sequence[LogRecord], progress: Progress | None
    ) -> list[Rejected]:
        return await store_or_reject(partial(write_signals, alerts=self._alerts), self._pool, rows, records, progress)

    async def _write_one(self, row: Signal) -> None:
        await write_signals(self._pool, [row])
