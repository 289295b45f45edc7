"""Reads the posts and comments of a file, one by one, so that a file may be larger than memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from io import BufferedReader
from pathlib import Path

from signalflow.errors import Invalid
from signalflow.events import CommentEnvelope, Envelope, Metadata, Post, storable
from signalflow.reddit.file_bytes import opened_as_utf8
from signalflow.reddit.file_items import items_of
from signalflow.reddit.file_records import Found, record_of
from signalflow.reddit.file_tables import delimiter_of, rows_in
from signalflow.reddit.file_values import Unread, Value, values_in

FIRST_REASONS = 5
# Items between two reports of progress.
_PROGRESS_EVERY = 500

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a line or an item was rejected. `line`: where it begins; items of one JSON value share its line.

    `ends` is True where nothing after it could be read.
    """

    line: int
    field: str | None
    reason: str
    ends: bool = False


Entry = Found | Reason


@dataclass(slots=True)
class Tally:
    """Counts the lines of one file, without blank ones. In a JSON document, and in a line of several, it counts items.

    `read_to_end` is False when a document had to be left unread from some line on. The first FIRST_REASONS reasons are
    kept.
    """

    lines: int = 0
    posts: int = 0
    comments: int = 0
    rejected: int = 0
    reasons: list[Reason] = field(default_factory=list)
    read_to_end: bool = True

    @property
    def published(self) -> int:
        """How many were no rejections."""
        return self.posts + self.comments

    def count(self, entry: Entry) -> None:
        """Count what was read."""
        self.lines += 1
        if isinstance(entry, Reason):
            self.rejected += 1
            self.read_to_end &= not entry.ends
            if len(self.reasons) < FIRST_REASONS:
                self.reasons.append(entry)
        elif isinstance(entry, Post):
            self.posts += 1
        else:
            self.comments += 1


def entries_in(
    path: Path, observed_at: datetime, progress: Progress = lambda _: None, skipped: int = 0
) -> Iterator[Entry]:
    """What a file holds, in its order, as seen at `observed_at`: posts, comments, and why something is neither.

    The first `skipped` entries are read and left out. `progress` gets the number of bytes read so far. Raises Invalid
    when the file cannot be read to its end.
    """
    count = 0
    with opened_as_utf8(path) as (text, position):
        for line, value in _values_in(text):
            for item in items_of(value):
                count += 1
                if count > skipped:
                    yield _entry(line, item, observed_at)
                if count % _PROGRESS_EVERY == 0:
                    progress(position())
        progress(position())


def _values_in(text: BufferedReader) -> Iterator[Value]:
    delimiter = delimiter_of(text.peek().decode("utf-8", "ignore"))
    return values_in(text) if delimiter is None else rows_in(text, delimiter)


def _entry(line: int, item: object, observed_at: datetime) -> Entry:
    try:
        if isinstance(item, Invalid):
            raise item
        return record_of(item, observed_at)
    except Invalid as error:
        return Reason(line, error.field, str(error), isinstance(error, Unread))


def records_in(path: Path, observed_at: datetime, tally: Tally, progress: Progress = lambda _: None) -> Iterator[Found]:
    """The posts and comments of a file alone. The tally counts each entry when it is read. Raises as `entries_in`."""
    for entry in entries_in(path, observed_at, progress):
        tally.count(entry)
        if not isinstance(entry, Reason):
            yield entry


def newest_created(path: Path, now: datetime, progress: Progress = lambda _: None) -> datetime | None:
    """The newest creation time in a file, None when no line of it is valid. A time after `now` is invalid."""
    created = (
        found.created_utc if isinstance(found, Post) else found.comment.created_utc
        for found in records_in(path, now, Tally(), progress)
    )
    return max(created, default=None)


def backfill_envelope(
    found: Found, observed_at: datetime, emitted_at: datetime, origin: str
) -> Envelope | CommentEnvelope:
    """The envelope of what was read from the file `origin`."""
    is_post = isinstance(found, Post)
    metadata = Metadata(
        subreddit=found.subreddit,
        observed_at=observed_at,
        post_sort="new" if is_post else "comments",
        poll_id=storable(origin),
    )
    if isinstance(found, Post):
        return Envelope(
            entity_type="reddit_submission",
            source="file",
            mode="backfill",
            emitted_at=emitted_at,
            payload=found,
            metadata=metadata,
        )
    return CommentEnvelope(
        entity_type="reddit_comment",
        source="file",
        mode="backfill",
        emitted_at=emitted_at,
        payload=found.comment,
        metadata=metadata,
    )
