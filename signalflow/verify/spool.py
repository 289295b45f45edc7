"""Sorts the expected history rows by the table's key in a temporary file, so millions of rows need little memory."""

import sqlite3
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000
_ORDERED = "SELECT * FROM row ORDER BY post_id, at, rowid"


class HistoryRow(NamedTuple):
    """One history row that the log asks for, from a record of this partition. `due`: it must be stored by now.

    `velocity_known`, `trend_known`: whether the log that was read tells the velocities, and the trend velocity.
    """

    post_id: str
    observed_at: datetime
    score: int
    num_comments: int
    upvote_ratio: float | None
    score_velocity: float | None
    comment_velocity: float | None
    trend_velocity: float | None
    due: bool
    velocity_known: bool
    trend_known: bool
    partition: int


class Spool:
    """Takes rows in log order. Returns the first row of each (post_id, observed_at), in the order of this key.

    Partitions have no common order. Where two of them hold the same moment of a post (the topic got partitions), either
    record may have been stored first. Velocities that differ between them are therefore not known.
    """

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="verify-", suffix=".sqlite")  # noqa: SIM115, closed by close()
        self._database = sqlite3.connect(self._file.name)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;")
        self._database.execute(
            "CREATE TABLE row (post_id TEXT, at INTEGER, score INTEGER, comments INTEGER, ratio REAL,"
            " sv REAL, cv REAL, tv REAL, due, known, trend_known, partition)"
        )
        self._waiting: list[tuple[object, ...]] = []
        self.earliest: datetime | None = None

    def add(self, row: HistoryRow) -> None:
        """Add a row."""
        if self.earliest is None or row.observed_at < self.earliest:
            self.earliest = row.observed_at
        self._waiting.append((row.post_id, (row.observed_at - _BEGIN) // _MICROSECOND, *row[2:]))
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._write()

    def __iter__(self) -> Iterator[HistoryRow]:
        self._write()
        first: HistoryRow | None = None
        for values in self._database.execute(_ORDERED):
            row = HistoryRow(*values)._replace(observed_at=_BEGIN + values[1] * _MICROSECOND)
            if first is None or row[:2] != first[:2]:
                if first is not None:
                    yield first
                first = row
            elif row.partition != first.partition:
                first = _either(first, row)
        if first is not None:
            yield first

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        self._file.close()

    def _write(self) -> None:
        self._database.executemany("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()


def _either(one: HistoryRow, other: HistoryRow) -> HistoryRow:
    velocities = (one.score_velocity, one.comment_velocity) == (other.score_velocity, other.comment_velocity)
    return one._replace(
        due=one.due or other.due,
        velocity_known=one.velocity_known and other.velocity_known and velocities,
        trend_known=one.trend_known and other.trend_known and one.trend_velocity == other.trend_velocity,
    )
