"""The ranks that posts had in listings: what the log asks for, and whether the table has it.

A rank is expected of each record that tells one, unless it is of a file. The first record of a key (post, moment,
listing) counts. Expected rows are sorted by the key in a temporary file, so that many need little memory.
"""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from signalflow.verify.report import Report

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000
_STORED = """
SELECT post_id, observed_at, post_sort, listing, rank FROM post_ranks WHERE observed_at >= $1
ORDER BY post_id, observed_at, post_sort COLLATE "C", listing COLLATE "C"
"""

Key = tuple[str, datetime, str, str]
"""Id of the post, the moment, the name of the listing and its subreddit."""
# Reads the rows of a statement with one argument.
Rows = Callable[..., AsyncIterator[Any]]


class RankRow(NamedTuple):
    """A rank that the log asks for. `ranks`: each that may be stored, since partitions have no common order."""

    key: Key
    ranks: frozenset[int]
    due: bool


class Ranks:
    """Takes ranks in log order, and returns them in the order of their keys."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="verify-", suffix=".sqlite")  # noqa: SIM115, closed by close()
        self._database = sqlite3.connect(self._file.name)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;")
        self._database.execute(
            "CREATE TABLE rank (post_id TEXT, at INTEGER, post_sort TEXT, listing TEXT, rank INTEGER, partition, due)"
        )
        self._waiting: list[tuple[object, ...]] = []

    def add(self, key: Key, rank: int, partition: int, *, due: bool) -> None:
        """Add a rank of a record of this partition. `due`: it must be stored by now."""
        post_id, observed_at, post_sort, listing = key
        at = (observed_at - _BEGIN) // _MICROSECOND
        self._waiting.append((post_id, at, post_sort, listing, rank, partition, due))
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._write()

    def __iter__(self) -> Iterator[RankRow]:
        self._write()
        ordered = self._database.execute("SELECT * FROM rank ORDER BY post_id, at, post_sort, listing, rowid")
        row: RankRow | None = None
        partitions: set[int] = set()
        for post_id, at, post_sort, listing, rank, partition, due in ordered:
            key = post_id, _BEGIN + at * _MICROSECOND, post_sort, listing
            if row is None or key != row.key:
                if row is not None:
                    yield row
                row, partitions = RankRow(key, frozenset({rank}), bool(due)), {partition}
            elif partition not in partitions:
                row = RankRow(key, row.ranks | {rank}, row.due or bool(due))
                partitions.add(partition)
        if row is not None:
            yield row

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        self._file.close()

    def _write(self) -> None:
        self._database.executemany("INSERT INTO rank VALUES (?, ?, ?, ?, ?, ?, ?)", self._waiting)
        self._waiting.clear()


async def compare_ranks(
    rows: Rows,
    connection: Any,
    expected: Ranks,
    report: Report,
    lowest: datetime,
    certain_after: datetime | None,
    progress: Callable[[int], None],
) -> None:
    """Compare the table with the log, from the moment `lowest` on.

    `certain_after`: earlier rows may come from records that were not read.
    """
    table = report.ranks
    due_rows = (row for row in expected if row.key[1] >= lowest)
    wanted = next(due_rows, None)
    async for stored in rows(connection, progress, _STORED, lowest):
        table.found += 1
        key: Key = stored["post_id"], stored["observed_at"], stored["post_sort"], stored["listing"]
        while wanted is not None and wanted.key < key:
            _absent(report, wanted)
            wanted = next(due_rows, None)
        if wanted is not None and wanted.key == key:
            table.expected += 1
            if stored["rank"] not in wanted.ranks:
                table.note("wrong", f"{_named(key)}: rank {stored['rank']}, is {min(wanted.ranks)}")
            wanted = next(due_rows, None)
        elif certain_after is None or key[1] > certain_after:
            table.note("extra", _named(key))
        else:
            table.unchecked += 1
    while wanted is not None:
        _absent(report, wanted)
        wanted = next(due_rows, None)


def _absent(report: Report, wanted: RankRow) -> None:
    if wanted.due:
        report.ranks.expected += 1
        report.ranks.note("missing", _named(wanted.key))
        report.missing.observations.add(wanted.key[:2])


def _named(key: Key) -> str:
    return f"{key[0]} at {key[1].isoformat()} in {key[2]} of {key[3]}"
