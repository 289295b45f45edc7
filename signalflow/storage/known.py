"""What the poller must remember when it starts: the posts that are known, with their newest observation."""

from dataclasses import dataclass
from datetime import datetime

from signalflow.storage.pool import Pool, connection

_KNOWN = """
SELECT id, subreddit, created_utc, last_polled_at AS observed_at, current_score AS score, current_comments AS num_comments,
    score_velocity, removed_by, edited_at
FROM posts WHERE created_utc >= $1
"""


@dataclass(frozen=True, slots=True)
class KnownPost:
    """A stored post as the poller knows it; all values are of the observation at `observed_at`."""

    id: str
    subreddit: str
    created_utc: datetime
    observed_at: datetime
    score: int
    num_comments: int
    score_velocity: float | None
    removed_by: str | None
    edited_at: datetime | None


async def known_posts(pool: Pool, since: datetime) -> list[KnownPost]:
    """All posts created at or after `since`, in no order. Raises Retryable when the database is away."""
    async with connection(pool) as reading:
        return [KnownPost(*row) for row in await reading.fetch(_KNOWN, since)]
