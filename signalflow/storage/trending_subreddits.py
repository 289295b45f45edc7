"""Tables rising_posts and popular_subreddits: what rises in subreddits that are not watched, and which are popular.

They hold ids and names alone, and for a week.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.domain.discovery import PopularSubreddit, RisingPost
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
_FORGET_POPULAR = "DELETE FROM popular_subreddits WHERE seen_at < $1"
_NOTE_POPULAR = """
INSERT INTO popular_subreddits (key, name, rank, seen_at)
SELECT lower(name), name, rank, $3::timestamptz FROM unnest($1::text[], $2::int[]) AS given (name, rank)
WHERE NOT EXISTS (SELECT FROM popular_subreddits WHERE seen_at > $3::timestamptz)
ORDER BY rank
ON CONFLICT (key) DO NOTHING
"""
# A post at the top counts 1, one at rank 3 a half, one at rank 99 a seventh: ten posts far down are less than two at
# the top. A post that is in both listings counts by its better rank.
_TRENDING = """
WITH posts AS (
    SELECT post_id, lower(subreddit) AS key, max(subreddit) AS name, min(best_rank) AS best_rank,
        min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at
    FROM rising_posts WHERE last_seen_at >= $1 GROUP BY post_id, lower(subreddit)
), rising AS (
    SELECT key, max(name) AS name, count(*)::int AS posts, min(best_rank) AS best_rank,
        round(sum(1 / log(2, 1 + best_rank::numeric)), 3)::double precision AS weight,
        min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at
    FROM posts GROUP BY key
)
SELECT coalesce(r.name, p.name) AS name, coalesce(r.posts, 0) AS posts, r.best_rank, coalesce(r.weight, 0) AS weight,
    p.rank AS popular_rank, r.first_seen_at, r.last_seen_at
FROM rising AS r FULL JOIN popular_subreddits AS p ON p.key = r.key
WHERE NOT EXISTS (
    SELECT FROM subreddit_config AS c WHERE lower(c.name) = coalesce(r.key, p.key) AND c.removed_at IS NULL
)
ORDER BY r.key IS NULL, weight DESC, p.rank NULLS LAST, r.key COLLATE "C" LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class TrendingSubreddit:
    """A subreddit that is not watched, and what Reddit showed of it.

    `weight` is the sum over its posts in r/popular: each counts 1 / log2(1 + its best rank). `popular_rank` is its rank
    in the list of popular subreddits; None when it is not named there. What posts tell is None without a post.
    """

    name: str
    posts: int
    best_rank: int | None
    weight: float
    popular_rank: int | None
    first_seen_at: datetime | None
    last_seen_at: datetime | None


async def note_rising(pool: Pool, posts: Sequence[RisingPost]) -> None:
    """Record what r/popular showed. To repeat it changes nothing. Raises Retryable while the database is away."""
    columns = zip(*((post.id, post.post_sort, post.subreddit, post.rank, post.seen_at) for post in posts), strict=True)
    async with transaction(pool) as writing:
        await writing.execute(_NOTE, *(list(values) for values in columns))
        kept_since = max(post.seen_at for post in posts) - KEPT
        await writing.execute(_FORGET, kept_since)
        # A source of posts that has no such list may have taken the place of one that had it.
        await writing.execute(_FORGET_POPULAR, kept_since)


async def note_popular(pool: Pool, subreddits: Sequence[PopularSubreddit], seen_at: datetime) -> None:
    """Record the list of popular subreddits, in place of older ones.

    To repeat it, or to record an older one later, changes nothing. Raises Retryable while the database is away.
    """
    names, ranks = [each.name for each in subreddits], [each.rank for each in subreddits]
    async with transaction(pool) as writing:
        await writing.execute(_FORGET_POPULAR, seen_at)
        await writing.execute(_NOTE_POPULAR, names, ranks, seen_at)


async def trending_subreddits(pool: Pool, since: datetime, most: int) -> list[TrendingSubreddit]:
    """The subreddits that are not watched and rise most, by posts that were seen since then.

    Of equal ones the more popular is first. After them come the popular ones of which nothing rose.
    """
    async with connection(pool) as reading:
        return [TrendingSubreddit(*row) for row in await reading.fetch(_TRENDING, since, most)]
