"""subreddit_config: which subreddits are watched, how closely, and what the poller found of them. Names compare without case."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from signalflow.clock import utcnow
from signalflow.errors import Invalid
from signalflow.storage.pool import Pool, connection, transaction

Priority = Literal["fast", "medium", "slow"]

_COLUMNS = "name, interval_seconds, priority, paused, state, checked_at, last_polled_at"
_ACTIVE = f"SELECT {_COLUMNS} FROM subreddit_config WHERE NOT paused AND removed_at IS NULL ORDER BY lower(name)"  # noqa: S608
_LISTED = f"SELECT {_COLUMNS} FROM subreddit_config WHERE removed_at IS NULL ORDER BY lower(name)"  # noqa: S608
# What is there stays as the operator made it, also what was removed.
_LOAD = """
INSERT INTO subreddit_config (name, interval_seconds, priority) SELECT * FROM unnest($1::text[], $2::int[], $3::text[])
ON CONFLICT DO NOTHING
"""
_ADD = """
INSERT INTO subreddit_config (name, interval_seconds, priority) VALUES ($1, $2, $3)
ON CONFLICT (lower(name)) DO UPDATE SET
    name = EXCLUDED.name, interval_seconds = EXCLUDED.interval_seconds, priority = EXCLUDED.priority,
    removed_at = NULL, paused = false
"""
_PAUSE = "UPDATE subreddit_config SET paused = $2 WHERE lower(name) = lower($1) AND removed_at IS NULL"
_REMOVE = "UPDATE subreddit_config SET removed_at = $2 WHERE lower(name) = lower($1) AND removed_at IS NULL"
_RETIER = """
UPDATE subreddit_config SET interval_seconds = $2, priority = $3 WHERE lower(name) = lower($1) AND removed_at IS NULL
"""
_POLLED = """
UPDATE subreddit_config SET last_polled_at = GREATEST(last_polled_at, $2) WHERE lower(name) = ANY ($1::text[])
"""
_CHECKED = "UPDATE subreddit_config SET state = $2, checked_at = $3 WHERE lower(name) = lower($1)"


@dataclass(frozen=True, slots=True)
class SubredditDefault:
    """A subreddit to watch: `interval_seconds` is the longest it may go without a look."""

    name: str
    interval_seconds: int
    priority: Priority


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


async def active_subreddits(pool: Pool) -> list[SubredditRow]:
    """The subreddits to poll, by name. Raises Retryable when the database is away: keep the last good list then."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_ACTIVE)]


async def list_subreddits(pool: Pool) -> list[SubredditRow]:
    """All configured subreddits, the paused ones too, by name."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_LISTED)]


async def load_defaults(pool: Pool, rows: Iterable[SubredditDefault]) -> int:
    """Add the subreddits that were never configured, and return how many. Raises Invalid, adding none, when one is out of range."""
    ordered = sorted(rows, key=lambda row: row.name.lower())
    columns = [
        [row.name for row in ordered],
        [row.interval_seconds for row in ordered],
        [row.priority for row in ordered],
    ]
    async with connection(pool) as writing:
        status = await writing.execute(_LOAD, *columns)
    return int(status.rsplit(" ", 1)[-1])


async def add_subreddit(pool: Pool, row: SubredditDefault) -> None:
    """Watch a subreddit with this tier, whether it is new, paused, removed or watched already. Raises Invalid when out of range."""
    async with connection(pool) as writing:
        await writing.execute(_ADD, row.name, row.interval_seconds, row.priority)


async def pause_subreddit(pool: Pool, name: str, *, paused: bool) -> None:
    """Stop polling a subreddit, or go on. Raises Invalid when it is not configured."""
    await _change(pool, name, _PAUSE, paused)


async def remove_subreddit(pool: Pool, name: str) -> None:
    """Watch a subreddit no more, also after the defaults are loaded again. Its posts stay. Raises Invalid when it is not configured."""
    await _change(pool, name, _REMOVE, utcnow())


async def retier_subreddit(pool: Pool, row: SubredditDefault) -> None:
    """Change how closely a subreddit is watched. Raises Invalid when it is not configured or out of range."""
    await _change(pool, row.name, _RETIER, row.interval_seconds, row.priority)


async def mark_polled(pool: Pool, names: Sequence[str], polled_at: datetime) -> None:
    """Record that these were in a listing that was fetched."""
    async with connection(pool) as writing:
        await writing.execute(_POLLED, [name.lower() for name in names], polled_at)


async def mark_state(pool: Pool, name: str, state: str, checked_at: datetime) -> None:
    """Record that Reddit shows a subreddit (`ok`) or why it refuses (a word of lower-case letters and underscores)."""
    async with connection(pool) as writing:
        await writing.execute(_CHECKED, name, state, checked_at)


async def _change(pool: Pool, name: str, statement: str, *values: object) -> None:
    async with transaction(pool) as writing:
        if await writing.execute(statement, name, *values) != "UPDATE 1":
            raise Invalid(f"subreddit {name!r} is not configured", field="name")
