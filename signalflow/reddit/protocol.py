"""What the poller asks of Reddit, whoever answers: Reddit itself, the simulator, or recorded answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from signalflow.domain.budget import UNKNOWN_LIMIT, RateLimit
from signalflow.domain.fetches import ListingRequest, PostsRequest, Request
from signalflow.errors import Invalid, Retryable
from signalflow.events import Post

MAX_IDS = 100
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Page:
    """The posts of one answer, in its order.

    `after` is the fullname to ask the next page with, or None on the last one. `observed_at` is the moment the answer
    arrived. `rejected` counts items that did not validate; they are logged and left out.
    """

    posts: tuple[Post, ...]
    after: str | None
    observed_at: datetime
    rate_limit: RateLimit
    rejected: int = 0


class RateLimited(Retryable):
    """429. Stop everything until max(`retry_after`, `rate_limit.reset`); either can be unknown."""

    def __init__(self, message: str, retry_after: float | None = None, rate_limit: RateLimit = UNKNOWN_LIMIT) -> None:
        super().__init__(message, retry_after)
        self.rate_limit = rate_limit


class Unavailable(Retryable):
    """No usable answer: 5xx, timeout, refused or broken connection, truncated JSON, HTML with 200."""


class Unauthorized(Retryable):
    """The credentials were refused, or a fresh token was. Retryable, because an operator can change them on the other side."""


class SubredditUnavailable(Invalid):
    """One of the names of a listing is private, banned, gone or unknown, or the names make too long a URL: bisect them.

    `reason` is Reddit's own word where it gave one (private, banned, quarantined, gated), else ours (unknown, not_found,
    forbidden, too_long).
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message, field="subreddit")
        self.reason = reason


class RedditClient(Protocol):
    """One request a call, none of its own accord and no waiting: the caller holds the budget.

    Raises RateLimited, Unavailable, Unauthorized, and for listings SubredditUnavailable; nothing else.
    """

    async def listing(
        self, names: Sequence[str], *, sort: str = "new", limit: int = MAX_LIMIT, after: str | None = None
    ) -> Page:
        """One page of the combined listing /r/a+b+c/<sort>, newest first for `new`; `after` is a fullname (t3_...)."""
        ...

    async def info(self, ids: Sequence[str]) -> Page:
        """The posts with these ids (bare, at most MAX_IDS), in no particular order; unknown ones are missing."""
        ...

    async def close(self) -> None:
        """Release the connections. The client cannot be used afterwards."""
        ...


async def ask(client: RedditClient, request: Request) -> Page:
    """Make one request. Raises what RedditClient names."""
    match request:
        case ListingRequest(names, after):
            return await client.listing(names, after=after)
        case PostsRequest(ids):
            return await client.info(ids)
