"""What a poller takes over from the database, the known posts, and what it adds: which Reddit no longer shows."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from signalflow.domain.known import StoredPost
from signalflow.storage.pool import Pool, connection

_KNOWN = """
SELECT id, subreddit, created_utc, last_polled_at, current_score, current_comments, score_velocity,
       removed_by, edited_at, not_shown_since
FROM posts WHERE created_utc >= $1 AND ($2::text[] IS NULL OR lower(subreddit) = ANY ($2))
"""
# Posts are locked in the order of their ids, as by the sink, so that the two cannot deadlock. The sink sets the column
# to NULL with a newer observation. So whichever of the two writes first, the newer of absence and observation counts.
_MARK_NOT_SHOWN = """
WITH missed AS MATERIALIZED (
    SELECT p.id, m.since
    FROM posts AS p JOIN unnest($1::text[], $2::timestamptz[]) AS m (id, since) USING (id)
    WHERE p.last_polled_at < m.since AND p.not_shown_since IS DISTINCT FROM m.since
    ORDER BY p.id FOR UPDATE OF p
)
UPDATE posts SET not_shown_since = missed.since FROM missed WHERE posts.id = missed.id
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
            # Without a score (of a feed or a file) there is no change that an observation has yet to show.
            is_unchanged=row["current_score"] is None or row["score_velocity"] == 0,
            score_velocity=row["score_velocity"] or 0.0,
            state=(row["removed_by"], row["edited_at"]),
            not_shown_since=row["not_shown_since"].timestamp() if row["not_shown_since"] else None,
        )
        for row in rows
    ]


async def mark_not_shown(pool: Pool, since: Mapping[str, datetime]) -> None:
    """Record since when Reddit no longer shows these posts. A post with a newer observation stays as it is.

    Raises Retryable when the database is away.
    """
    async with connection(pool) as writing:
        await writing.execute(_MARK_NOT_SHOWN, list(since), list(since.values()))
