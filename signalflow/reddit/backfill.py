"""Publishes the posts of files to the raw topic. The brokers confirm each batch before the next one is read."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Protocol

from signalflow.clock import utcnow
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.errors import Invalid
from signalflow.events import Envelope
from signalflow.reddit.file_bytes import can_be_read_twice
from signalflow.reddit.files import Progress, Tally, backfill_envelope, newest_created, posts_in

# Enough posts to fill a record batch of each partition; 1,000 posts with text are about 1.5 MB.
BATCH = 1000


class Sender(Protocol):
    """Publishes envelopes, as kafka.publisher.Publisher does."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """For each envelope whether the brokers confirmed it."""
        ...


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """The result for one file. `observed_at` is None when no line was valid and no time was given."""

    path: Path
    observed_at: datetime | None
    published: int
    tally: Tally


async def publish_file(
    path: Path,
    sender: Sender,
    observed_at: datetime | None = None,
    *,
    progress: Progress = lambda _: None,
    on_retry: Callable[[int], None] = lambda _: None,
) -> FileOutcome:
    """Publish every valid post of a file. What the brokers do not confirm is sent again until they do.

    Without `observed_at` the file is read twice. The first pass finds the newest creation time, which becomes the time
    of observation, so the same file gives the same observations whenever it is published. `progress` gets the number of
    bytes read, over all passes. `on_retry` gets the number of envelopes that are sent again. Raises Invalid when the
    file is damaged, or is a pipe and `observed_at` is not given. Without `observed_at` nothing is published then;
    otherwise the lines before the damage are.
    """
    first_pass = 0
    if observed_at is None:
        if not can_be_read_twice(path):
            raise Invalid(
                f"{path} can be read only once, so the time of the newest post is not known beforehand: "
                "give --observed-at",
                field="observed_at",
            )
        observed_at = newest_created(path, utcnow(), progress)
        first_pass = path.stat().st_size
    tally = Tally()
    published = 0
    # If no line is valid, every line is rejected again and counted, whatever the time.
    posts = posts_in(path, observed_at or utcnow(), tally, lambda done: progress(first_pass + done))
    while batch := [
        backfill_envelope(post, observed_at or utcnow(), utcnow(), path.name) for post in islice(posts, BATCH)
    ]:
        await _publish_all(batch, sender, on_retry)
        published += len(batch)
    return FileOutcome(path, observed_at, published, tally)


async def _publish_all(envelopes: Sequence[Envelope], sender: Sender, on_retry: Callable[[int], None]) -> None:
    for failures in count(1):
        confirmed = await sender.publish(envelopes)
        envelopes = [envelope for envelope, done in zip(envelopes, confirmed, strict=True) if not done]
        if not envelopes:
            return
        on_retry(len(envelopes))
        await asyncio.sleep(WHILE_AWAY.after(failures))
