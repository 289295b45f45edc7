"""Files of posts into the raw topic: every valid line is confirmed by the brokers before the next batch is read."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Protocol

from signalflow.clock import utcnow
from signalflow.domain.backoff import Backoff
from signalflow.events import Envelope
from signalflow.reddit.files import Progress, Tally, backfill_envelope, newest_created, posts_in

# Enough to fill a record batch of each partition; 1000 posts with text are about 1.5 MB.
BATCH = 1000
RETRIES = Backoff(first=0.5, most=5.0)


class Sender(Protocol):
    """What streams.publisher.Publisher offers: True for each envelope that the brokers confirmed."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]: ...


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """What became of one file. `observed_at` is None when no line was valid and none was given."""

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
    """Publish every valid post of a file; a send that is not confirmed is repeated until it is.

    Without `observed_at` the file is read twice, first for its newest creation time, so that the same file gives the same
    observations whenever it is published. `progress` is told the bytes of the file read, over all passes; `on_retry` how
    many envelopes of a batch wait for their next attempt. Raises Invalid, with nothing published, when the file is damaged
    (with a given `observed_at`: with the lines before the damage published).
    """
    first_pass = 0
    if observed_at is None:
        observed_at = newest_created(path, utcnow(), progress)
        first_pass = path.stat().st_size
    tally = Tally()
    published = 0
    # Without a valid line any time rejects the same lines again, for the tally.
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
        await asyncio.sleep(RETRIES.after(failures))
