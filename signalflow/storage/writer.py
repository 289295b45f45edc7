"""The sink's writes: posts, their history and their text features, in one transaction, the same however often they come.

Redelivery, disorder and any split into batches give the same rows, because every group of columns has its own guard:
numbers follow the newest observation, the body the newest observation that carried one, first_seen_at the least; at the same
moment the first in log order stays. Text features follow the title. History keeps the first row of a post's moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import asyncpg
import orjson
from msgspec import UNSET

from signalflow.errors import Invalid
from signalflow.events import Enriched
from signalflow.fail_points import reach
from signalflow.storage.partitions import HISTORY, database_time, make_partitions_of_observations
from signalflow.storage.pool import Pool, transaction

# Parameters are arrays sorted by id, one element a post: writers lock posts in one order, so two of them cannot deadlock, and
# who holds a post holds its history and features too.
_STORE_POSTS = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bool[], $10::bool[],
        $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::text[],
        $17::int[], $18::int[], $19::float8[], $20::float8[], $21::float8[], $22::float8[], $23::bool[],
        $24::float8[], $25::text[], $26::jsonb[], $27::text[]
    ) AS t (
        id, subreddit, author, title, body, url, permalink, flair, over_18, is_self,
        created_utc, first_seen_at, last_polled_at, text_observed_at, edited_at, removed_by,
        current_score, current_comments, current_ratio, score_velocity, comment_velocity, trending_score, is_trending,
        sentiment_score, sentiment_label, keywords, topic_cluster
    )
), stored AS (
    INSERT INTO posts AS p (
        id, subreddit, author, title, body, url, permalink, flair, over_18, is_self,
        created_utc, first_seen_at, last_polled_at, text_observed_at, edited_at, removed_by,
        current_score, current_comments, current_ratio, score_velocity, comment_velocity, trending_score, is_trending
    )
    SELECT
        id, subreddit, author, title, body, url, permalink, flair, over_18, is_self,
        created_utc, first_seen_at, last_polled_at, text_observed_at, edited_at, removed_by,
        current_score, current_comments, current_ratio, score_velocity, comment_velocity, trending_score, is_trending
    FROM input
    ON CONFLICT (id) DO UPDATE SET
        {newest},
        body = CASE WHEN {text_is_newer} THEN EXCLUDED.body ELSE p.body END,
        text_observed_at = GREATEST(p.text_observed_at, EXCLUDED.text_observed_at),
        first_seen_at = LEAST(p.first_seen_at, EXCLUDED.first_seen_at),
        last_polled_at = GREATEST(p.last_polled_at, EXCLUDED.last_polled_at)
    WHERE {is_newer} OR {text_is_newer} OR EXCLUDED.first_seen_at < p.first_seen_at
    RETURNING id, title
)
INSERT INTO post_nlp_features AS n (post_id, title, sentiment_score, sentiment_label, keywords, topic_cluster)
SELECT id, title, sentiment_score, sentiment_label, keywords, topic_cluster
-- An input whose title is not the stored one was not the newest; its features are not the post's.
FROM input JOIN stored USING (id, title)
WHERE NOT EXISTS (
    SELECT FROM post_nlp_features AS o
    WHERE o.post_id = input.id
    AND (o.title, o.sentiment_score, o.sentiment_label, o.keywords, o.topic_cluster) IS NOT DISTINCT FROM
        (input.title, input.sentiment_score, input.sentiment_label, input.keywords, input.topic_cluster)
)
ON CONFLICT (post_id) DO UPDATE SET
    title = EXCLUDED.title, sentiment_score = EXCLUDED.sentiment_score, sentiment_label = EXCLUDED.sentiment_label,
    keywords = EXCLUDED.keywords, topic_cluster = EXCLUDED.topic_cluster
"""
# Every column that an observation always carries, and that therefore follows the newest one.
_NEWEST_COLUMNS = (
    "subreddit", "author", "title", "url", "permalink", "flair", "over_18", "is_self", "created_utc", "edited_at", "removed_by",
    "current_score", "current_comments", "current_ratio", "score_velocity", "comment_velocity", "trending_score", "is_trending",
)  # fmt: skip
_IS_NEWER = "EXCLUDED.last_polled_at > p.last_polled_at"
STORE_POSTS = _STORE_POSTS.format(
    newest=",\n        ".join(
        f"{name} = CASE WHEN {_IS_NEWER} THEN EXCLUDED.{name} ELSE p.{name} END" for name in _NEWEST_COLUMNS
    ),
    is_newer=_IS_NEWER,
    text_is_newer="EXCLUDED.text_observed_at > COALESCE(p.text_observed_at, '-infinity')",
)

# One element an observation, in log order within a post: of two at one moment the first is kept. Only hours that got a new row
# are touched, so redelivery causes no work for the rollup.
STORE_HISTORY = """
WITH stored AS (
    INSERT INTO post_metrics_history
        (post_id, observed_at, score, num_comments, upvote_ratio, score_velocity, comment_velocity)
    SELECT * FROM unnest(
        $1::text[], $2::timestamptz[], $3::int[], $4::int[], $5::float8[], $6::float8[], $7::float8[])
    ON CONFLICT (post_id, observed_at) DO NOTHING
    RETURNING observed_at
)
INSERT INTO rollup_touched (bucket) SELECT DISTINCT date_trunc('hour', observed_at, 'UTC') FROM stored
"""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that the database refuses for what it holds: its place in the given rows, and why."""

    index: int
    error: Invalid


@dataclass(frozen=True, slots=True)
class _Columns:
    """The parameters of both statements."""

    posts: list[list[Any]]
    history: list[list[Any]]


async def write_batch(pool: Pool, rows: Sequence[Enriched]) -> None:
    """Store observations, given in log order, in one transaction; posts, history and features, or nothing.

    Backfilled posts leave no history. Raises Retryable (try the same rows again), Invalid (at least one row is at fault) or Fatal.
    """
    if not rows:
        return
    columns = _columns(rows)
    try:
        await _store(pool, columns)
    except Invalid as error:
        if not _lacks_partition(error):
            raise
        await make_partitions_of_observations(pool, columns.history[1], await database_time(pool))
        await _store(pool, columns)


async def write_or_reject(pool: Pool, rows: Sequence[Enriched]) -> list[Rejected]:
    """Store all rows but those that the database refuses, and return these. Raises Retryable or Fatal; then the same rows may be given again."""
    return await _write_or_reject(pool, rows, 0)


async def _write_or_reject(pool: Pool, rows: Sequence[Enriched], start: int) -> list[Rejected]:
    try:
        await write_batch(pool, rows)
    except Invalid as error:
        if len(rows) == 1:
            return [Rejected(start, error)]
        middle = len(rows) // 2
        # One after the other: of two observations of one post at one moment, the first in log order must come first.
        rejected = await _write_or_reject(pool, rows[:middle], start)
        return rejected + await _write_or_reject(pool, rows[middle:], start + middle)
    return []


async def _store(pool: Pool, columns: _Columns) -> None:
    async with transaction(pool) as storing:
        await storing.execute(STORE_POSTS, *columns.posts)
        if columns.history[0]:
            await storing.execute(STORE_HISTORY, *columns.history)
        reach("sink.before_commit")
    reach("sink.after_commit")


def _lacks_partition(error: Invalid) -> bool:
    """Whether a row found no partition: a check violation of the table that names no constraint (messages are translated)."""
    cause = error.__cause__
    return isinstance(cause, asyncpg.CheckViolationError) and cause.table_name == HISTORY and not cause.constraint_name


_by_id = attrgetter("id")


def _columns(rows: Sequence[Enriched]) -> _Columns:
    ordered = sorted(rows, key=_by_id)  # stable: log order within a post
    return _Columns(posts=_post_columns(ordered), history=_history_columns(ordered))


def _post_columns(ordered: Sequence[Enriched]) -> list[list[Any]]:
    """One element a post: its observations merged by the guards of the statement, so that one batch equals many."""
    newest: list[Enriched] = []
    first_seen: list[datetime] = []
    texts: list[Enriched | None] = []
    current = ""
    for row in ordered:
        if row.id != current:
            current = row.id
            newest.append(row)
            first_seen.append(row.first_seen_at)
            texts.append(None if row.body is UNSET else row)
            continue
        if row.observed_at > newest[-1].observed_at:
            newest[-1] = row
        if row.first_seen_at < first_seen[-1]:
            first_seen[-1] = row.first_seen_at
        text = texts[-1]
        if row.body is not UNSET and (text is None or row.observed_at > text.observed_at):
            texts[-1] = row
    nlp = [row.nlp for row in newest]
    try:
        keywords = [orjson.dumps(features.keywords).decode() for features in nlp]
    except orjson.JSONEncodeError as error:
        raise Invalid(str(error), field="keywords") from error
    return [
        [row.id for row in newest],
        [row.subreddit for row in newest],
        [row.author for row in newest],
        [row.title for row in newest],
        [None if text is None else text.body for text in texts],
        [row.url for row in newest],
        [row.permalink for row in newest],
        [row.flair for row in newest],
        [row.over_18 for row in newest],
        [row.is_self for row in newest],
        [row.created_utc for row in newest],
        first_seen,
        [row.observed_at for row in newest],
        [None if text is None else text.observed_at for text in texts],
        [row.edited_at for row in newest],
        [row.removed_by for row in newest],
        [row.current_score for row in newest],
        [row.current_comments for row in newest],
        [row.current_ratio for row in newest],
        [row.score_velocity for row in newest],
        [row.comment_velocity for row in newest],
        [row.trending_score for row in newest],
        [row.is_trending for row in newest],
        [features.sentiment_score for features in nlp],
        [features.sentiment_label for features in nlp],
        keywords,
        [features.topic_cluster for features in nlp],
    ]


def _history_columns(ordered: Sequence[Enriched]) -> list[list[Any]]:
    seen = [row for row in ordered if row.mode != "backfill"]
    return [
        [row.id for row in seen],
        [row.observed_at for row in seen],
        [row.current_score for row in seen],
        [row.current_comments for row in seen],
        [row.current_ratio for row in seen],
        [row.score_velocity for row in seen],
        [row.comment_velocity for row in seen],
    ]
