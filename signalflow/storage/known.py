"""Reads what a poller takes over from the database: the known posts with their newest observation."""

from collections.abc import Iterable
from datetime import datetime

from signalflow.domain.known import StoredPost
from signalflow.storage.pool import Pool, connection

_KNOWN = """
SELECT id, subreddit, created_utc, last_polled_at, current_score, current_comments, score_velocity,
       removed_by, edited_at
-- The planner compares scores: it takes a post without one (from a file) for a new one, and so learns its score.
FROM posts WHERE created_utc >= $1 AND current_score IS NOT NULL AND ($2::text[] IS NULL OR lower(subreddit) = ANY ($2))
"""


async def known_posts(pool: Pool, since: datetime, names: Iterable[str] | None = None) -> list[StoredPost]:
    """The posts created at or after `since`, of all subreddits or of these, in any order.

    Raises Retryable when the database is away.
    """
    async with connection(pool) as reading:
        rows = await reading.fetch(_KNOWN, since, None if names is None else [name.lower() for name in names])
    return [
        StoredPost(
            id=row["id"],
            subreddit=row["subreddit"],
            created=row["created_utc"].timestamp(),
            published_at=row["last_polled_at"].timestamp(),
            score=row["current_score"],
            comments=row["current_comments"],
            is_unchanged=row["score_velocity"] == 0,
            score_velocity=row["score_velocity"] or 0.0,
            state=(row["removed_by"], row["edited_at"]),
        )
        for row in rows
    ]
