"""Lists of posts for readers: newest first, page by page, and what is taking off."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from signalflow.clock import utcnow
from signalflow.storage.pool import Pool, connection

# A velocity older than this says nothing of now; posts older than a day do not take off.
FRESH_FOR = timedelta(minutes=30)
YOUNG_FOR = timedelta(hours=24)

_COLUMNS = """
    p.id, p.subreddit, p.author, p.title, p.url, p.permalink, p.flair, p.over_18, p.is_self, p.created_utc, p.first_seen_at,
    p.last_polled_at, p.edited_at, p.removed_by, p.current_score, p.current_comments, p.current_ratio, p.score_velocity,
    p.comment_velocity, p.trending_score, p.is_trending, n.sentiment_score, n.sentiment_label, n.keywords, n.topic_cluster
FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id
"""
_FIRST_PAGE = f"SELECT {_COLUMNS} ORDER BY p.created_utc DESC, p.id DESC LIMIT $1"
_NEXT_PAGE = f"SELECT {_COLUMNS} WHERE (p.created_utc, p.id) < ($2, $3) ORDER BY p.created_utc DESC, p.id DESC LIMIT $1"
# Sorted from the day's posts: an index on a column that every refresh changes would cost each of them more than this costs a reader.
_TAKING_OFF = f"""
SELECT {_COLUMNS} WHERE p.created_utc > $2 AND p.last_polled_at > $3 AND p.score_velocity > 0 AND p.removed_by IS NULL
ORDER BY p.score_velocity DESC, p.id LIMIT $1
"""


class Cursor(NamedTuple):
    """The last post of a page; the next page begins after it."""

    created_utc: datetime
    id: str


@dataclass(frozen=True, slots=True)
class FeedPost:
    """A post as readers get it, without its body. Velocities are per second and None when unknown; text features None until stored."""

    id: str
    subreddit: str
    author: str | None
    title: str
    url: str | None
    permalink: str | None
    flair: str | None
    over_18: bool
    is_self: bool
    created_utc: datetime
    first_seen_at: datetime
    last_polled_at: datetime
    edited_at: datetime | None
    removed_by: str | None
    current_score: int
    current_comments: int
    current_ratio: float | None
    score_velocity: float | None
    comment_velocity: float | None
    trending_score: float
    is_trending: bool
    sentiment_score: float | None
    sentiment_label: str | None
    keywords: list[str] | None
    topic_cluster: str | None

    @property
    def cursor(self) -> Cursor:
        """Where the page after this post begins."""
        return Cursor(self.created_utc, self.id)


async def latest_posts(pool: Pool, *, before: Cursor | None, limit: int) -> list[FeedPost]:
    """The newest posts, or those that come after the cursor, newest first; at most `limit`."""
    if before is None:
        return await _posts(pool, _FIRST_PAGE, limit)
    return await _posts(pool, _NEXT_PAGE, limit, before.created_utc, before.id)


async def taking_off(pool: Pool, limit: int, now: datetime | None = None) -> list[FeedPost]:
    """The posts of the last day that gain score fastest, by observations of the last half hour; `now` defaults to the clock."""
    now = now or utcnow()
    return await _posts(pool, _TAKING_OFF, limit, now - YOUNG_FOR, now - FRESH_FOR)


async def _posts(pool: Pool, statement: str, *parameters: object) -> list[FeedPost]:
    async with connection(pool) as reading:
        rows = await reading.fetch(statement, *parameters)
    return [
        FeedPost(**{**row, "keywords": None if row["keywords"] is None else orjson.loads(row["keywords"])})
        for row in rows
    ]
