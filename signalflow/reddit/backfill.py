"""Publishes the posts and comments of files. The brokers confirm each batch before the next one is read."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Protocol

from signalflow.clock import utcnow
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.pace import Pace
from signalflow.errors import Invalid
from signalflow.events import CommentEnvelope, Envelope
from signalflow.reddit.file_bytes import can_be_read_twice
from signalflow.reddit.files import Entry, Progress, Reason, Tally, backfill_envelope, entries_in, newest_created

# Enough to fill a record batch of each partition; 1,000 posts with text are about 1.5 MB.
BATCH = 1000

AnyEnvelope = Envelope | CommentEnvelope


class Sender(Protocol):
    """Publishes envelopes, as kafka.publisher.Publisher does."""

    async def publish(self, envelopes: Sequence[AnyEnvelope]) -> list[bool]:
        """For each envelope whether the brokers confirmed it."""
        ...


class ByTopic:
    """Sends posts to one sender and comments to another."""

    def __init__(self, posts: Sender, comments: Sender) -> None:
        self._posts, self._comments = posts, comments

    async def publish(self, envelopes: Sequence[AnyEnvelope]) -> list[bool]:
        """For each envelope whether the brokers confirmed it."""
        comments = [envelope for envelope in envelopes if isinstance(envelope, CommentEnvelope)]
        posts = [envelope for envelope in envelopes if not isinstance(envelope, CommentEnvelope)]
        of_posts = iter(await self._posts.publish(posts) if posts else ())
        of_comments = iter(await self._comments.publish(comments) if comments else ())
        return [next(of_comments if isinstance(envelope, CommentEnvelope) else of_posts) for envelope in envelopes]


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The result for one file. `observed_at` is None when no line was valid and no time was given."""

    path: Path
    observed_at: datetime | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is told of a file while it is published.

    `progress`: the number of bytes read, over all passes. `on_retry`: how many records are sent again. `on_batch`: the
    time of observation, the tally and the new rejections, whenever the brokers have confirmed all that the tally
    counts.
    """

    progress: Progress = lambda _: None
    on_retry: Callable[[int], None] = lambda _: None
    on_batch: Callable[[datetime, Tally, Sequence[Reason]], None] = lambda *_: None


async def publish_file(
    path: Path,
    sender: Sender,
    observed_at: datetime | None = None,
    *,
    begun: Tally | None = None,
    pace: Pace | None = None,
    hooks: Hooks | None = None,
) -> FileOutcome:
    """Publish every post and comment of a file. What the brokers do not confirm is sent again until they do.

    Without `observed_at` the file is read twice. The first pass finds the newest creation time, which becomes the time
    of observation, so the same file gives the same observations whenever it is published. `begun` counts what was
    published before: those lines are passed over. Raises Invalid when the file is damaged, or is a pipe and
    `observed_at` is not given. Without `observed_at` nothing is published then; otherwise the lines before the damage
    are.
    """
    hooks, pace = hooks or Hooks(), pace or Pace(0)
    first_pass = 0
    if observed_at is None:
        if not can_be_read_twice(path):
            raise Invalid(
                f"{path} can be read only once, so the time of the newest post is not known beforehand: "
                "give --observed-at",
                field="observed_at",
            )
        observed_at = newest_created(path, utcnow(), hooks.progress)
        first_pass = path.stat().st_size
    tally = begun or Tally()
    # If no line is valid, every line is rejected again and counted, whatever the time.
    seen_at = observed_at or utcnow()
    entries = entries_in(path, seen_at, lambda done: hooks.progress(first_pass + done), tally.lines)
    while True:
        some, damage = _taken(entries, pace.at_once(BATCH))
        for entry in some:
            tally.count(entry)
        found = [entry for entry in some if not isinstance(entry, Reason)]
        await asyncio.sleep(pace.wait(len(found), time.monotonic()))
        envelopes = [backfill_envelope(each, seen_at, utcnow(), path.name) for each in found]
        await _publish_all(envelopes, sender, hooks.on_retry)
        hooks.on_batch(seen_at, tally, [entry for entry in some if isinstance(entry, Reason)])
        if damage:
            raise damage
        if not some:
            return FileOutcome(path, observed_at, tally)


def _taken(entries: Iterator[Entry], most: int) -> tuple[list[Entry], Invalid | None]:
    """The next entries, and why there are no more if the file is damaged behind them."""
    some: list[Entry] = []
    try:
        some.extend(islice(entries, most))
    except Invalid as error:
        return some, error
    return some, None


async def _publish_all(envelopes: Sequence[AnyEnvelope], sender: Sender, on_retry: Callable[[int], None]) -> None:
    for failures in count(1):
        if not envelopes:
            return
        confirmed = await sender.publish(envelopes)
        envelopes = [envelope for envelope, done in zip(envelopes, confirmed, strict=True) if not done]
        if envelopes:
            on_retry(len(envelopes))
            await asyncio.sleep(WHILE_AWAY.after(failures))
