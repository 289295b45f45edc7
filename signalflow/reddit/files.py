"""Reads posts from NDJSON files, line by line, so that a file may be larger than memory."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from signalflow.errors import Invalid
from signalflow.events import Envelope, Metadata, Post
from signalflow.reddit.shapes import post_of_line

# The longest record that Kafka takes (topics.MAX_MESSAGE_BYTES). The longest real line of NDJSON has a tenth of that.
MAX_LINE_BYTES = 1 << 20
FIRST_REASONS = 5

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a line was rejected."""

    line: int
    field: str | None
    reason: str


@dataclass(slots=True)
class Tally:
    """Counts the lines of one file, without blank ones."""

    lines: int = 0
    rejected: int = 0
    reasons: list[Reason] = field(default_factory=list)

    def reject(self, line: int, error: Invalid) -> None:
        """Count a rejected line. The first FIRST_REASONS reasons are kept."""
        self.rejected += 1
        if len(self.reasons) < FIRST_REASONS:
            self.reasons.append(Reason(line, error.field, str(error)))


def posts_in(path: Path, observed_at: datetime, tally: Tally, progress: Progress = lambda _: None) -> Iterator[Post]:
    """The posts of a file in its order, as seen at `observed_at`. The tally counts each line when it is read.

    `progress` gets the number of bytes read so far. Raises Invalid when the file cannot be read to its end.
    """
    for number, line in _lines(path, progress):
        tally.lines += 1
        try:
            if len(line) > MAX_LINE_BYTES:
                raise Invalid(f"longer than {MAX_LINE_BYTES} bytes")
            post = post_of_line(line, observed_at)
        except Invalid as error:
            tally.reject(number, error)
        else:
            yield post


def newest_created(path: Path, now: datetime, progress: Progress = lambda _: None) -> datetime | None:
    """The newest creation time of the posts in a file, None without a valid post. A time after `now` is invalid."""
    return max((post.created_utc for post in posts_in(path, now, Tally(), progress)), default=None)


def backfill_envelope(post: Post, observed_at: datetime, emitted_at: datetime, origin: str) -> Envelope:
    """The envelope of a post that was read from the file `origin`."""
    return Envelope(
        entity_type="reddit_submission",
        source="file",
        mode="backfill",
        emitted_at=emitted_at,
        payload=post,
        metadata=Metadata(subreddit=post.subreddit, observed_at=observed_at, poll_id=origin),
    )


def _lines(path: Path, progress: Progress) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, without blank ones. An overlong line is cut to MAX_LINE_BYTES + 1 bytes."""
    number = 0
    with _opened(path) as (readline, position):
        while line := readline(MAX_LINE_BYTES + 1):
            number += 1
            rest = line
            while len(rest) > MAX_LINE_BYTES and not rest.endswith(b"\n"):
                rest = readline(MAX_LINE_BYTES + 1)
            if line.strip():
                yield number, line
            if number % 500 == 0:
                progress(position())
        progress(position())


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Callable[[int], bytes], Callable[[], int]]]:
    """`readline` of a plain or gzip file, and a function that returns how many bytes of the file have been read."""
    try:
        with path.open("rb") as raw:
            compressed = raw.peek(2)[:2] == b"\x1f\x8b"
            if not compressed:
                yield raw.readline, raw.tell
                return
            with gzip.open(raw) as plain:
                yield plain.readline, raw.tell
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Invalid(f"{path}: damaged gzip file: {error}", field="path") from error
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror or error}", field="path") from error
