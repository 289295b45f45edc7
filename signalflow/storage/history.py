"""The history of one post: each observation, or one row an hour; and its ranks."""

from collections.abc import Sequence
from datetime import datetime

from signalflow.storage.columns import HISTORY
from signalflow.storage.read_router import ReadRouter, Row

_RAW = f"""
SELECT {", ".join(column.name for column in HISTORY if column.name != "post_id")} FROM post_metrics_history
WHERE post_id = $1 AND observed_at > $2 ORDER BY observed_at LIMIT $3
"""  # noqa: S608, constants
# Few hours got rows since the last rollup. They are computed from the observations of the post.
_HOURLY = """
WITH touched AS (SELECT DISTINCT bucket FROM rollup_touched)
SELECT bucket, observations, min_score, max_score, avg_score, max_comments, max_score_velocity, max_comment_velocity
FROM post_metrics_hourly
WHERE post_id = $1 AND bucket > $2 AND bucket NOT IN (SELECT bucket FROM touched)
UNION ALL
SELECT t.bucket, count(*), min(h.score), max(h.score), avg(h.score)::double precision, max(h.num_comments),
    max(h.score_velocity), max(h.comment_velocity)
FROM touched AS t JOIN post_metrics_history AS h
    ON h.post_id = $1 AND h.observed_at >= t.bucket AND h.observed_at < t.bucket + interval '1 hour'
WHERE t.bucket > $2
GROUP BY t.bucket
ORDER BY 1 LIMIT $3
"""
# Rows of one moment stay together, so that a page can end with a moment.
_RANKS = """
SELECT observed_at, post_sort, listing, rank FROM post_ranks
WHERE post_id = $1 AND observed_at > $2 ORDER BY observed_at FETCH FIRST $3 ROWS WITH TIES
"""
_EXISTS = "SELECT 1 FROM posts WHERE id = $1"


async def raw_history(reads: ReadRouter, post_id: str, after: datetime, limit: int) -> Sequence[Row]:
    """At most `limit` observations later than `after`, oldest first."""
    return await reads.fetch(_RAW, post_id, after, limit)


async def rank_history(reads: ReadRouter, post_id: str, after: datetime, limit: int) -> Sequence[Row]:
    """Ranks later than `after`, oldest first: `limit` of them, and others of the last one's moment."""
    return await reads.fetch(_RANKS, post_id, after, limit)


async def hourly_history(reads: ReadRouter, post_id: str, after: datetime, limit: int) -> Sequence[Row]:
    """At most `limit` hours that begin later than `after`, oldest first, up to the newest stored observation."""
    return await reads.fetch(_HOURLY, post_id, after, limit)


async def is_known(reads: ReadRouter, post_id: str) -> bool:
    """Whether the post is stored."""
    return bool(await reads.fetch(_EXISTS, post_id))
