"""Helpers of the tests of storage: observations to store, and reads of whole tables."""

from collections.abc import Iterable
from datetime import UTC, timedelta
from typing import Any, Literal

import asyncpg
from msgspec import UNSET
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.events import Enriched, Source, TextFeatures
from signalflow.settings import Settings
from signalflow.storage.pool import Pool, create_pool

# Yesterday at noon: on the hour, not in the future, and within any retention.
NOON = utcnow().astimezone(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
CREATED = NOON - timedelta(hours=3)


def settings_of(url: str, timeout: float = 10.0) -> Settings:
    """Settings with this database."""
    return Settings(database_url=SecretStr(url), database_timeout=timeout)


async def pool_of(url: str, timeout: float = 10.0) -> Pool:
    """The application's own pool on a database."""
    return await create_pool(settings_of(url, timeout), application_name="tests")


def features_of(title: str) -> TextFeatures:
    """Features that depend on nothing but the title."""
    score = (len(title) % 5) / 4 - 0.5
    label: Literal["positive", "neutral", "negative"] = (
        "positive" if score > 0 else "negative" if score < 0 else "neutral"
    )
    return TextFeatures(sentiment_score=score, sentiment_label=label, keywords=title.split())


def features(score: float, *keywords: str) -> TextFeatures:
    """Features with this sentiment, whose label follows its score, and these keywords."""
    label = "positive" if score >= 0.05 else "negative" if score <= -0.05 else "neutral"
    return TextFeatures(sentiment_score=score, sentiment_label=label, keywords=list(keywords))  # type: ignore[arg-type]


def observation(post_id: str = "a", seconds: float = 0, /, **changes: Any) -> Enriched:
    """An observation `seconds` after NOON."""
    observed_at = NOON + timedelta(seconds=seconds)
    title = changes.get("title", "a plain title")
    fields: dict[str, Any] = {
        "id": post_id,
        "subreddit": "python",
        "author": "someone",
        "title": title,
        "url": None,
        "permalink": f"/r/python/comments/{post_id}/",
        "flair": None,
        "over_18": False,
        "created_utc": CREATED,
        "first_seen_at": observed_at,
        "observed_at": observed_at,
        "emitted_at": observed_at,
        "current_score": 1,
        "current_comments": 0,
        "current_ratio": 0.97,
        "score_velocity": None,
        "comment_velocity": None,
        "trending_score": 0.2,
        "is_trending": False,
        "nlp": features_of(title or ""),
        "removed_by": None,
        "late": False,
        "mode": "refresh",
        "source": Source(topic="reddit.posts.raw", partition=0, offset=0),
        "body": UNSET,
    }
    return Enriched(**{**fields, **changes})


async def contents(pool: asyncpg.Pool, table: str) -> list[dict[str, Any]]:
    """All rows of a table, ordered by its first two columns."""
    return [dict(row) for row in await pool.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")]


async def column(pool: asyncpg.Pool, table: str, name: str) -> list[Any]:
    """One column of a table, ordered by the first two columns of the table."""
    return [row[name] for row in await contents(pool, table)]


async def empty(pool: asyncpg.Pool, tables: Iterable[str]) -> None:
    """Remove all rows."""
    await pool.execute(f"TRUNCATE {', '.join(tables)}")
