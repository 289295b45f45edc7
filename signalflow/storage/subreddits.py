"""subreddit_config: which subreddits are watched, how closely, and what the poller found of them. Names compare without case."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.domain.subreddits import Priority, WatchedSubreddit
from signalflow.storage.pool import Connection, Pool, connection

_COLUMNS = "name, interval_seconds, priority, paused, state, checked_at, last_polled_at, changed_by, changed_at"
# By code point, as Python compares: pages of the list are cut there, and a database's own collation may order `_` otherwise.
BY_NAME = 'ORDER BY lower(name) COLLATE "C"'
_ACTIVE = f"SELECT {_COLUMNS} FROM subreddit_config WHERE NOT paused AND removed_at IS NULL {BY_NAME}"  # noqa: S608
_NAMED = f"""
SELECT {_COLUMNS} FROM subreddit_config WHERE removed_at IS NULL AND lower(name) = ANY ($1::text[]) {BY_NAME}
"""  # noqa: S608
# In one order, so that of two who lock the same rows one waits for the other and not each for each.
_LOCKED = f"{_NAMED} FOR UPDATE"
_LISTED = f"SELECT {_COLUMNS} FROM subreddit_config WHERE removed_at IS NULL {BY_NAME}"  # noqa: S608
# The arrival rate of the last day, to compare the priority with.
_POSTS_PER_HOUR = """
SELECT lower(subreddit), count(*) / 24.0::double precision FROM posts WHERE created_utc > $1 GROUP BY 1
"""
# What is there stays as the operator made it, also what was removed.
_LOAD = """
INSERT INTO subreddit_config (name, interval_seconds, priority, paused)
SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::boolean[])
ON CONFLICT DO NOTHING
"""
_POLLED = """
UPDATE subreddit_config c SET last_polled_at = GREATEST(c.last_polled_at, polled.at)
FROM unnest($1::text[], $2::timestamptz[]) AS polled (name, at) WHERE lower(c.name) = polled.name
"""
_CHECKED = "UPDATE subreddit_config SET state = $2, checked_at = $3 WHERE lower(name) = lower($1)"


@dataclass(frozen=True, slots=True)
class SubredditRow:
    """A subreddit of the configuration. `state`: unchecked, ok, or why Reddit refuses it, as of `checked_at`."""

    name: str
    interval_seconds: int
    priority: Priority
    paused: bool
    state: str
    checked_at: datetime | None
    last_polled_at: datetime | None
    changed_by: str | None
    changed_at: datetime | None

    @property
    def watched(self) -> WatchedSubreddit:
        """What is configured, without what the poller found."""
        return WatchedSubreddit(self.name, self.interval_seconds, self.priority, self.paused)


async def active_subreddits(pool: Pool) -> list[SubredditRow]:
    """The subreddits to poll, by name. Raises Retryable when the database is away: keep the last good list then."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_ACTIVE)]


async def list_subreddits(pool: Pool) -> list[SubredditRow]:
    """All configured subreddits, the paused ones too, by name."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_LISTED)]


async def named_subreddits(pool: Pool, names: Iterable[str]) -> list[SubredditRow]:
    """Those of these names that are configured, by name."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_NAMED, [name.lower() for name in names])]


async def locked_subreddits(writing: Connection, names: Iterable[str]) -> list[SubredditRow]:
    """Those of these names that are configured, by name; nobody else changes them until the transaction ends."""
    return [SubredditRow(*row) for row in await writing.fetch(_LOCKED, [name.lower() for name in names])]


async def posts_per_hour(pool: Pool, now: datetime) -> dict[str, float]:
    """Posts an hour that each subreddit had in the day before `now`, by its name in lower case; those without any are left out."""
    async with connection(pool) as reading:
        return dict(await reading.fetch(_POSTS_PER_HOUR, now - timedelta(days=1)))  # type: ignore[arg-type]


async def load_defaults(pool: Pool, rows: Iterable[WatchedSubreddit]) -> int:
    """Add the subreddits that were never configured, and return how many. Raises Invalid, adding none, when one is out of range."""
    ordered = sorted(rows, key=lambda row: row.name.lower())
    columns = [
        [row.name for row in ordered],
        [row.interval_seconds for row in ordered],
        [row.priority for row in ordered],
        [row.paused for row in ordered],
    ]
    async with connection(pool) as writing:
        status = await writing.execute(_LOAD, *columns)
    return int(status.rsplit(" ", 1)[-1])


async def mark_polled(pool: Pool, polled: Mapping[str, datetime]) -> None:
    """Record when each of these was last in a listing that was published in full."""
    async with connection(pool) as writing:
        await writing.execute(_POLLED, [name.lower() for name in polled], list(polled.values()))


async def mark_state(pool: Pool, name: str, state: str, checked_at: datetime) -> None:
    """Record that Reddit shows a subreddit (`ok`) or why it refuses (a word of lower-case letters and underscores)."""
    async with connection(pool) as writing:
        await writing.execute(_CHECKED, name, state, checked_at)
