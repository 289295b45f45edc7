"""What table comments must hold after the topic of comments, by the definitions alone.

Subreddit, author, text, permalink and `removed_by` follow the newest observation. The score follows the newest that
told a score, the flags and the time of an edit the newest that told them. Post, time of creation, parent and depth are
those that were told first, and first_seen_at is the earliest moment. Of observations at the same moment the first in
the log counts. Nothing of what its author wrote is left once an observation says that its erasure was asked for.
"""

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from signalflow.kafka.reader import KafkaRecord
from signalflow.verify.contract import REQUEST, ObservedComment, attempt_of, observed_comment
from signalflow.verify.expect import ExpectedLetter, Scope, below, digest, same_number, text_digest
from signalflow.verify.figures import Rules
from signalflow.verify.json_checks import RefusedRecordError

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ROWS_AT_ONCE = 5_000
_ORDERED = "SELECT * FROM seen ORDER BY id, rowid"


class CommentRow(NamedTuple):
    """One row of `comments`, under the names of its columns. `body` is a digest."""

    post_id: str
    created_utc: datetime
    parent_id: str | None
    depth: int | None
    first_seen_at: datetime
    observed_at: datetime
    subreddit: str
    author: str | None
    body: bytes | None
    permalink: str | None
    removed_by: str | None
    score: int | None
    score_observed_at: datetime | None
    controversiality: int | None
    is_submitter: bool | None
    distinguished: str | None
    stickied: bool | None
    edited_at: datetime | None
    details_observed_at: datetime | None


# The last column of a group tells when the group was observed.
_OF_THE_NEWEST = ("subreddit", "author", "body", "permalink", "removed_by", "observed_at")
_OF_THE_SCORE = ("score", "score_observed_at")
_OF_THE_DETAILS = (
    "controversiality", "is_submitter", "distinguished", "stickied", "edited_at", "details_observed_at",
)  # fmt: skip
_TOLD_ONCE = ("post_id", "created_utc", "parent_id", "depth")


@dataclass(frozen=True, slots=True)
class ExpectedComment:
    """A comment and the rows that it may have, the one after the whole log first. None: it may not be stored yet.

    `unsure`: whether the log does not tell its row.
    """

    id: str
    rows: list[CommentRow | None]
    unsure: bool

    @property
    def due(self) -> bool:
        """Whether it must be stored by now."""
        return None not in self.rows and not self.unsure


class _Seen(NamedTuple):
    """An observation. `stored`: it must be in the table. `refused`: it is a dead letter of the table."""

    id: str
    row: CommentRow
    partition: int
    stored: bool
    refused: bool


@dataclass
class ExpectedComments:
    """What the table and the dead-letter topic must hold. The attributes have the meaning of those of `Expected`."""

    start: datetime | None = None
    letters: dict[tuple[int, int], ExpectedLetter] = field(default_factory=dict)
    may_be_refused: set[tuple[int, int]] = field(default_factory=set)
    records: int = 0
    records_due: int = 0
    seen_offsets: dict[int, tuple[int, int]] = field(default_factory=dict)
    spool: "_Spool" = field(default_factory=lambda: _Spool())

    @property
    def earliest(self) -> datetime | None:
        """When the earliest observation was made; None without observations."""
        return self.spool.earliest

    def __iter__(self) -> Iterator[ExpectedComment]:
        """The comments in the order of their ids."""
        for id_, group in groupby(self.spool, key=lambda seen: seen.id):
            yield _expected(id_, list(group))

    def close(self) -> None:
        """Remove temporary files."""
        self.spool.close()


class CommentOracle:
    """Takes the records of the topic of comments one by one. Each partition's records come in offset order."""

    def __init__(self, rules: Rules, scope: Scope) -> None:
        self._scope = scope
        self._most_ahead = timedelta(minutes=rules.ahead_minutes)
        self.expected = ExpectedComments(start=scope.start)

    def take(self, record: KafkaRecord) -> None:
        """Take one record."""
        out, partition, offset = self.expected, record.partition, record.offset
        out.records += 1
        first, _ = out.seen_offsets.get(partition, (offset, 0))
        out.seen_offsets[partition] = (first, offset + 1)
        counted = below(self._scope.counted, partition, offset)
        stored = below(self._scope.stored, partition, offset)
        out.records_due += stored and counted
        try:
            seen = observed_comment(record, self._most_ahead)
        except RefusedRecordError as refused:
            scope = self._scope.written if refused.stage == "write" else self._scope.enriched
            out.letters[partition, offset] = ExpectedLetter(
                refused.stage,
                attempt_of(record.headers),
                digest(record.key, record.value, record.headers),
                digest(record.key, record.value, ()),
                below(scope, partition, offset) and counted,
            )
            return
        stage = self._scope.set_aside.get((partition, offset))
        if stage != "validate":
            out.spool.add(_Seen(seen.id, _row(seen), partition, stored and counted, stage is not None))


def _row(seen: ObservedComment) -> CommentRow:
    at = seen.observed_at
    return CommentRow(
        seen.post_id, seen.created_utc, seen.parent_id, seen.depth, at, at, seen.subreddit, seen.author,
        text_digest(seen.body), seen.permalink, seen.removed_by,
        seen.score, None if seen.score is None else at,
        seen.controversiality, seen.is_submitter, seen.distinguished, seen.stickied, seen.edited_at,
        None if seen.is_submitter is None else at,
    )  # fmt: skip


def _expected(id_: str, group: list[_Seen]) -> ExpectedComment:
    row: CommentRow | None = None
    possible: list[CommentRow | None] = []
    is_asked_for = False
    for seen in group:
        if not seen.stored:
            possible.append(row)
        row = seen.row if row is None else _merged(row, seen.row)
        is_asked_for |= seen.row.removed_by == REQUEST
        if is_asked_for:
            row = without_words(row)
    # Partitions have no common order. A row that was refused may have been replayed since.
    unsure = len({seen.partition for seen in group}) > 1 or any(seen.refused for seen in group)
    return ExpectedComment(id_, [row, *reversed(possible)], unsure)


def without_words(row: CommentRow) -> CommentRow:
    """The row of a comment whose erasure was asked for."""
    return row._replace(author=None, body=None, permalink=None)


def _merged(old: CommentRow, new: CommentRow) -> CommentRow:
    changes: dict[str, Any] = {"first_seen_at": min(old.first_seen_at, new.first_seen_at)}
    changes |= {name: getattr(new, name) for name in _TOLD_ONCE if getattr(old, name) is None}
    for group in (_OF_THE_NEWEST, _OF_THE_SCORE, _OF_THE_DETAILS):
        at, before = getattr(new, group[-1]), getattr(old, group[-1])
        if at is not None and (before is None or at > before):
            changes |= {name: getattr(new, name) for name in group}
    return old._replace(**changes)


def columns_that_differ(row: CommentRow, found: Mapping[str, Any], certain_after: datetime | None) -> list[str]:
    """Names of the columns whose value is wrong. What the log that was read cannot tell is not compared.

    `certain_after`: of observations up to this moment some may not have been read; None when all were.
    """
    not_told = set[str]()
    if certain_after is not None and found["first_seen_at"] <= certain_after:
        not_told.update(_TOLD_ONCE, ("first_seen_at",) if found["first_seen_at"] <= row.first_seen_at else ())
        for group in (_OF_THE_NEWEST, _OF_THE_SCORE, _OF_THE_DETAILS):
            at = getattr(row, group[-1])
            if at is None or at <= certain_after:
                not_told.update(group)
    return [
        name
        for name, wanted in zip(CommentRow._fields, row, strict=True)
        if name not in not_told
        and not same_number(text_digest(found["body"]) if name == "body" else found[name], wanted)
    ]


_TIMES = {"created_utc", "first_seen_at", "observed_at", "score_observed_at", "edited_at", "details_observed_at"}
_FLAGS = {"is_submitter", "stickied"}
_NAMES = ("id", *CommentRow._fields, "partition", "stored", "refused")
_PLACE = {name: place for place, name in enumerate(_NAMES)}


class _Spool:
    """Sorts observations by comment in a temporary file, so that millions need little memory."""

    def __init__(self) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="verify-", suffix=".sqlite")  # noqa: SIM115, closed by close()
        self._database = sqlite3.connect(self._file.name)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA temp_store = FILE;")
        self._database.execute(f"CREATE TABLE seen ({', '.join(_NAMES)})")
        self._insert = f"INSERT INTO seen VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608, a number of places
        self._waiting: list[tuple[object, ...]] = []
        self.earliest: datetime | None = None

    def add(self, seen: _Seen) -> None:
        """Add an observation."""
        at = seen.row.observed_at
        self.earliest = at if self.earliest is None else min(self.earliest, at)
        values = (seen.id, *seen.row, seen.partition, seen.stored, seen.refused)
        self._waiting.append(
            tuple((value - _BEGIN) // _MICROSECOND if isinstance(value, datetime) else value for value in values)
        )
        if len(self._waiting) >= _ROWS_AT_ONCE:
            self._write()

    def __iter__(self) -> Iterator[_Seen]:
        """Observations in the order of the ids of their comments, those of one comment as they were added."""
        self._write()
        of_row = itemgetter(*(_PLACE[name] for name in CommentRow._fields))
        for values in self._database.execute(_ORDERED):
            row = CommentRow(*map(_value, CommentRow._fields, of_row(values)))
            partition, stored, refused = values[-3:]
            yield _Seen(values[0], row, partition, bool(stored), bool(refused))

    def close(self) -> None:
        """Remove the file."""
        self._database.close()
        self._file.close()

    def _write(self) -> None:
        self._database.executemany(self._insert, self._waiting)
        self._waiting.clear()


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return _BEGIN + value * _MICROSECOND
    return bool(value) if name in _FLAGS else value
