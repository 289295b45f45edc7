"""Table rising_posts: what r/popular shows of subreddits that are not watched, and which of them have most of it.

It holds ids and names alone, and for a week.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.domain.discovery import RisingPost
from signalflow.storage.pool import Pool, connection, transaction

KEPT = timedelta(days=7)

_NOTE = """
INSERT INTO rising_posts AS r (post_id, post_sort, subreddit, best_rank, first_seen_at, last_seen_at)
SELECT post_id, post_sort, subreddit, rank, seen_at, seen_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::timestamptz[])
    AS given (post_id, post_sort, subreddit, rank, seen_at)
ORDER BY post_id, post_sort
ON CONFLICT (post_id, post_sort) DO UPDATE SET
    best_rank = LEAST(r.best_rank, EXCLUDED.best_rank),
    first_seen_at = LEAST(r.first_seen_at, EXCLUDED.first_seen_at),
    last_seen_at = GREATEST(r.last_seen_at, EXCLUDED.last_seen_at)
"""
_FORGET = "DELETE FROM rising_posts WHERE last_seen_at < $1"
# A post at the top counts 1, one at rank 3 a half, one at rank 99 a seventh: ten posts far down are less than two at
# the top. A post that is in both listings counts by its better rank.
_TRENDING = """
WITH posts AS (
    SELECT post_id, lower(subreddit) AS key, max(subreddit) AS name, min(best_rank) AS best_rank,
        min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at
    FROM rising_posts WHERE last_seen_at >= $1 GROUP BY post_id, lower(subreddit)
)
SELECT max(name) AS name, count(*)::int AS posts, min(best_rank) AS best_rank,
    round(sum(1 / log(2, 1 + best_rank::numeric)), 3)::double precision AS weight,
    min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at
FROM posts AS p
WHERE NOT EXISTS (SELECT FROM subreddit_config AS c WHERE lower(c.name) = p.key AND c.removed_at IS NULL)
GROUP BY key ORDER BY weight DESC, key COLLATE "C" LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class TrendingSubreddit:
    """A subreddit that is not watched, and what r/popular showed of it.

    `weight` orders subreddits: each post counts 1 / log2(1 + its best rank).
    """

    name: str
    posts: int
    best_rank: int
    weight: float
    first_seen_at: datetime
    last_seen_at: datetime


async def note_rising(pool: Pool, posts: Sequence[RisingPost]) -> None:
    """Record what r/popular showed. To repeat it changes nothing. Raises Retryable while the database is away."""
    columns = zip(*((post.id, post.post_sort, post.subreddit, post.rank, post.seen_at) for post in posts), strict=True)
    async with transaction(pool) as writing:
        await writing.execute(_NOTE, *(list(values) for values in columns))
        await writing.execute(_FORGET, max(post.seen_at for post in posts) - KEPT)


async def trending_subreddits(pool: Pool, since: datetime, most: int) -> list[TrendingSubreddit]:
    """The subreddits that are not watched and rise most, by posts that were seen since then."""
    async with connection(pool) as reading:
        return [TrendingSubreddit(*row) for row in await reading.fetch(_TRENDING, since, most)]
