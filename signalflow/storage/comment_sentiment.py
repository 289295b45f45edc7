"""The sentiment of the comments of a post: all together, and over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from signalflow.domain.mood import step_for
from signalflow.storage.read_router import ReadRouter, Row

# Comments without a sentiment have no text, or are not English.
_ALL = """
SELECT count(sentiment_score) AS count, avg(sentiment_score)::double precision AS mean,
    max(created_utc) FILTER (WHERE sentiment_score IS NOT NULL)
        - min(created_utc) FILTER (WHERE sentiment_score IS NOT NULL) AS span
FROM comments WHERE post_id = $1
"""
_OVER_TIME = """
SELECT date_bin($2::interval, created_utc, '1970-01-01T00:00:00Z') AS bucket, count(*) AS count,
    avg(sentiment_score)::double precision AS mean
FROM comments WHERE post_id = $1 AND sentiment_score IS NOT NULL GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class CommentSentiment:
    """How many comments have a sentiment (one at least), their mean, and the time between the first and the last."""

    count: int
    mean: float
    span: timedelta


async def comment_sentiment(reads: ReadRouter, post_id: str) -> CommentSentiment | None:
    """The sentiment of the comments of a post; None when none has one."""
    (row,) = await reads.fetch(_ALL, post_id)
    return CommentSentiment(*row) if row["count"] else None


async def comment_mood(reads: ReadRouter, post_id: str) -> tuple[timedelta | None, Sequence[Row]]:
    """The length of a stretch of time, and the stretches in which comments were written that have a sentiment.

    The length is None when there are no such comments.
    """
    found = await comment_sentiment(reads, post_id)
    if found is None:
        return None, ()
    step = step_for(found.span)
    return step, await reads.fetch(_OVER_TIME, post_id, step)
