"""Reads the posts of a file, one by one, so that a file may be larger than memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from signalflow.errors import Invalid
from signalflow.events import Envelope, Metadata, Post, storable
from signalflow.reddit.file_bytes import opened_as_utf8
from signalflow.reddit.file_items import items_of
from signalflow.reddit.file_posts import post_of_item
from signalflow.reddit.file_values import Unread, values_in

FIRST_REASONS = 5
# Posts between two reports of progress.
_PROGRESS_EVERY = 500

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a line or an item was rejected. `line`: where it begins; items of one JSON value share its line."""

    line: int
    field: str | None
    reason: str


@dataclass(slots=True)
class Tally:
    """Counts the lines of one file, without blank ones. In a JSON document, and in a line of several, it counts items.

    `read_to_end` is False when a document had to be left unread from some line on.
    """

    lines: int = 0
    rejected: int = 0
    reasons: list[Reason] = field(default_factory=list)
    read_to_end: bool = True

    def reject(self, line: int, error: Invalid) -> None:
        """Count a rejected line. The first FIRST_REASONS reasons are kept."""
        self.rejected += 1
        self.read_to_end &= not isinstance(error, Unread)
        if len(self.reasons) < FIRST_REASONS:
            self.reasons.append(Reason(line, error.field, str(error)))


def posts_in(path: Path, observed_at: datetime, tally: Tally, progress: Progress = lambda _: None) -> Iterator[Post]:
    """The posts of a file in its order, as seen at `observed_at`. The tally counts each line when it is read.

    `progress` gets the number of bytes read so far. Raises Invalid when the file cannot be read to its end.
    """
    with opened_as_utf8(path) as (text, position):
        for line, value in values_in(text):
            for item in items_of(value):
                tally.lines += 1
                try:
                    if isinstance(item, Invalid):
                        raise item
                    post = post_of_item(item, observed_at)
                except Invalid as error:
                    tally.reject(line, error)
                else:
                    yield post
                if tally.lines % _PROGRESS_EVERY == 0:
                    progress(position())
        progress(position())


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
        metadata=Metadata(subreddit=post.subreddit, observed_at=observed_at, poll_id=storable(origin)),
    )
