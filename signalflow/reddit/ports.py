"""What the poller needs from the rest of the application; it knows neither Kafka nor the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from signalflow.domain.gaps import GapRecord, Outcome
from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import Gap
from signalflow.domain.watchlist import Subreddit
from signalflow.events import Envelope


class PostPublisher(Protocol):
    """Where observations go."""

    async def publish(self, envelopes: Sequence[Envelope]) -> list[bool]:
        """Aligned with the input: True where the brokers confirmed. Does not raise for an outage."""
        ...


class GapLedger(Protocol):
    """Where open stretches of listings are written down. Everything raises Retryable while it is away."""

    async def open_gap(self, gap: Gap, newest: datetime, opened_at: datetime) -> int:
        """Write a gap down; returns its row. `newest`: posts created after it may be missing."""
        ...

    async def advance_gap(self, record: int, after: str | None, pages: int) -> None:
        """Write down how far it was read."""
        ...

    async def close_gap(self, record: int, outcome: Outcome) -> None:
        """Write down how it ended."""
        ...

    async def open_gaps(self) -> Sequence[GapRecord]:
        """The gaps that an earlier poller left open. Times in epoch seconds."""
        ...


class ConfigSource(Protocol):
    """Where the configured subreddits come from."""

    async def subreddits(self) -> Sequence[Subreddit]:
        """Those to watch now, without the paused ones, with what was reported of them. Raises SignalflowError when unreadable."""
        ...

    async def report(self, polled: Mapping[str, datetime], states: Mapping[str, str]) -> None:
        """When each was last in a listing whose new posts were all confirmed, and what is new about them: `ok`, or why Reddit refuses (a word)."""
        ...


class KnownSource(Protocol):
    """What the database knows of posts."""

    async def known_posts(self, since: datetime) -> Sequence[StoredPost]:
        """The posts created since then. Times in epoch seconds. Raises Retryable while the database is away."""
        ...
