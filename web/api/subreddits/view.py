"""Subreddits as the API shows them: the row, status, next poll, posts per hour, and when a change takes effect."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import SubredditRow, posts_per_hour
from web.api.answers import json_bytes
from web.api.subreddits.schemas import Status, SubredditOut
from web.cache import AnswerCache

# The poller finishes the request that it is making before it reads the configuration again.
REQUEST_SECONDS = 16.0
# Every open page reads the list every few seconds, and a rate is counted over all posts of 24 hours.
RATE_SECONDS = 30.0


@dataclass(frozen=True)
class View:
    """How rows are shown at a moment: rates by subreddit, and the longest delay of a change."""

    now: datetime
    rates: dict[str, float]
    delay: timedelta

    @classmethod
    async def of(cls, pool: Pool, cache: AnswerCache, settings: Settings, now: datetime) -> "View":
        """A view with rates that are at most RATE_SECONDS old. Raises Retryable while the database is away."""

        async def compute() -> bytes:
            return json_bytes(await posts_per_hour(pool, now))

        rates: dict[str, float] = orjson.loads(await cache.get("posts per hour", RATE_SECONDS, compute))
        return cls(now, rates, timedelta(seconds=settings.config_refresh_seconds + REQUEST_SECONDS))

    def shown(self, rows: Iterable[SubredditRow]) -> list[SubredditOut]:
        """The rows as the API shows them."""
        return [self._shown(row) for row in rows]

    def _shown(self, row: SubredditRow) -> SubredditOut:
        status = _status(row)
        due = None
        if status in ("ok", "pending"):
            begun = row.last_polled_at or row.changed_at or self.now
            due = max(begun + timedelta(seconds=row.interval_seconds), self.now)
        return SubredditOut(
            name=row.name,
            priority=row.priority,
            interval_seconds=row.interval_seconds,
            paused=row.paused,
            comments=row.comments,
            post_sort=row.post_sort,
            status=status,
            state=row.state,
            checked_at=row.checked_at,
            last_polled_at=row.last_polled_at,
            next_poll_at=due,
            posts_per_hour=round(self.rates.get(row.name.lower(), 0.0), 2),
            changed_by=row.changed_by,
            changed_at=row.changed_at,
            effective_at=None if row.changed_at is None else row.changed_at + self.delay,
        )


def _status(row: SubredditRow) -> Status:
    if row.paused:
        return "paused"
    if row.state == "unchecked":
        return "pending"
    return "ok" if row.state == "ok" else "refused"
