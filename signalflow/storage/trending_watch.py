"""Watches for a day what rises most and nobody watches, where the installation wants that.

Which subreddits these are stands in `changed_by`. So a user who changes one of them, or adds it, keeps it for good.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from signalflow.storage.pool import Pool, connection
from signalflow.storage.subreddit_changes import BY_TRENDING, Change, add_subreddits, remove_subreddits
from signalflow.storage.trending_subreddits import trending_subreddits

# How long such a subreddit is watched, and by what rose within which time the next ones are chosen.
WATCHED_FOR = timedelta(days=1)
# Users remove more subreddits than these only when they clear the whole list.
MOST_CANDIDATES = 200

_OURS = (
    "SELECT name, changed_at FROM subreddit_config WHERE changed_by = $1 AND removed_at IS NULL ORDER BY lower(name)"
)
_UNWANTED = "SELECT lower(name) FROM subreddit_config WHERE removed_at IS NOT NULL AND changed_by IS DISTINCT FROM $1"


class Watched(NamedTuple):
    """What a call changed."""

    added: list[str]
    removed: list[str]


async def watch_trending(pool: Pool, most: int, now: datetime) -> Watched:
    """Remove those whose day is over, and add the strongest until `most` are watched. 0: add none.

    What a user removed is never added. To repeat it changes nothing. Raises Retryable while the database is away.
    """
    async with connection(pool) as reading:
        ours = await reading.fetch(_OURS, BY_TRENDING)
        unwanted = {row[0] for row in await reading.fetch(_UNWANTED, BY_TRENDING)}
    over = [row["name"] for row in ours if row["changed_at"] <= now - WATCHED_FOR]
    if over:
        await remove_subreddits(pool, over, by=BY_TRENDING, now=now)
    room = most - (len(ours) - len(over))
    if room <= 0:
        return Watched([], over)
    rising = await trending_subreddits(pool, now - WATCHED_FOR, MOST_CANDIDATES)
    chosen = [each.name for each in rising if each.posts and each.name.lower() not in unwanted][:room]
    if chosen:
        # They share the requests of slow subreddits: nobody asked for them.
        await add_subreddits(pool, chosen, Change(priority="slow"), by=BY_TRENDING, now=now)
    return Watched(chosen, over)
