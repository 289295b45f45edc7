"""Many posts at once, made by the database: for measures and query plans that need a table of a real size."""

from datetime import datetime
from typing import Any

import asyncpg

DAYS = 30
# Scores of posts follow a power law: most have a few points, one in a thousand has thousands. Busy subreddits have a hundred times
# the posts of quiet ones. Some percent of velocities are unknown, few posts trend, and all posts arrived in the order of creation.
_POSTS = """
INSERT INTO posts (id, subreddit, author, title, body, url, permalink, flair, over_18, is_self, created_utc, first_seen_at,
    last_polled_at, text_observed_at, edited_at, removed_by, current_score, current_comments, current_ratio, score_velocity,
    comment_velocity, trending_score, is_trending)
SELECT lpad(to_hex(n), 7, '0'), 'subreddit' || floor(120 * power(u, 2))::int, 'author' || (hashint4(n) & 65535),
    'Post ' || n || ' about ' || words[1 + (n * 7) % 20] || ', ' || words[1 + (n * 3) % 20] || ' and ' || words[1 + n / 3 % 20],
    CASE WHEN n % 2 = 0 THEN repeat('A sentence of its text. ', 12) END, 'https://example.org/' || n,
    '/r/subreddit/comments/' || to_hex(n) || '/', NULL, n % 50 = 0, n % 2 = 0, at, at + interval '4 s', at + interval '2 h',
    at + interval '4 s', NULL, NULL, score, score / 7, 0.9, CASE WHEN n % 30 > 0 THEN score / 7200.0 * v END,
    CASE WHEN n % 30 > 0 THEN score / 50000.0 * v END, floor(6 * v * v) / 10, v * v > 0.99
FROM (
    SELECT n, random() AS u, random() AS v, LEAST(floor(power(random(), -1.2)), 200000)::int AS score,
        $3::timestamptz - interval '30 days' * (1 - n::float8 / $4) AS at
    FROM generate_series($1::int, $2::int) AS n
) AS made, (SELECT ARRAY['rocket', 'kernel', 'election', 'recipe', 'climate', 'garden', 'goal', 'orchestra', 'battery', 'glacier', 'market',
    'novel', 'planet', 'bicycle', 'vaccine', 'castle', 'robot', 'festival', 'harvest', 'satellite'] AS words) AS w
ON CONFLICT DO NOTHING
"""
_FEATURES = """
INSERT INTO post_nlp_features (post_id, title, sentiment_score, sentiment_label, keywords)
SELECT id, title, s, CASE WHEN s >= 0.05 THEN 'positive' WHEN s <= -0.05 THEN 'negative' ELSE 'neutral' END,
    jsonb_build_array(split_part(title, ' ', 4), split_part(title, ' ', 6))
FROM (SELECT id, title, round((random() * 2 - 1)::numeric, 3)::float8 AS s FROM posts WHERE id BETWEEN $1 AND $2) AS p
ON CONFLICT DO NOTHING
"""
_BATCH = 100_000
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid IN ('posts'::regclass, 'post_nlp_features'::regclass) AND NOT indisprimary
"""


async def make_posts(connection: "asyncpg.Connection[asyncpg.Record]", count: int, now: datetime) -> None:
    """Fill an empty schema with `count` posts of the last 30 days, in the order of their creation, and analyse the tables."""
    indexes = await connection.fetch(_INDEXES)
    # Built at the end, indexes cost a third.
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['name']}")
    for first in range(1, count + 1, _BATCH):
        last = min(first + _BATCH - 1, count)
        await connection.execute(_POSTS, first, last, now, float(count), timeout=120)
        await connection.execute(_FEATURES, f"{first:07x}", f"{last:07x}", timeout=120)
    for index in indexes:
        await connection.execute(index["definition"], timeout=120)
    # As autovacuum leaves a table that has been there for a while.
    for table in ("posts", "post_nlp_features"):
        await connection.execute(f"VACUUM ANALYZE {table}", timeout=120)


async def size_of(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, Any]:
    """Rows and bytes."""
    row = await connection.fetchrow(
        "SELECT count(*) AS posts, pg_total_relation_size('posts') + pg_total_relation_size('post_nlp_features') AS bytes FROM posts"
    )
    return {"posts": row["posts"], "megabytes": round(row["bytes"] / 1e6)}
