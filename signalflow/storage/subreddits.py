"""Table subreddit_config: the watched subreddits, and what the poller found out about them.

Names are case-insensitive.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.domain.subreddits import Priority, Subreddit, WatchedSubreddit
from signalflow.storage.pool import Connection, Pool, connection

_COLUMNS = (
    "name, interval_seconds, priority, paused, comments, post_sort, state, checked_at, last_polled_at, "
    "comments_polled_at, polled_since, changed_by, changed_at"
)
# In a shorter time a single post would look like a flood.
SHORTEST_RATE = timedelta(minutes=5)
# By code point, as Python sorts. The API cuts pages in this order, and the database's own collation may sort `_`
# differently.
BY_NAME = 'ORDER BY lower(name) COLLATE "C"'
_ACTIVE = f"SELECT {_COLUMNS} FROM subreddit_config WHERE NOT paused AND removed_at IS NULL {BY_NAME}"  # noqa: S608
_NAMED = f"""
SELECT {_COLUMNS} FROM subreddit_config WHERE removed_at IS NULL AND lower(name) = ANY ($1::text[]) {BY_NAME}
"""  # noqa: S608
# Rows are locked in one order, so two transactions with the same rows cannot deadlock.
_LOCKED = f"{_NAMED} FOR UPDATE"
_LISTED = f"SELECT {_COLUMNS} FROM subreddit_config WHERE removed_at IS NULL {BY_NAME}"  # noqa: S608
# The arrival rate, to compare the priority with. Reddit's first answers hold posts from before the installation began,
# and how many depends on the subreddit, so only posts created since the first observation tell a rate. An installation
# that is older than a day has many old observations, so EXISTS finds one at once.
_POSTS_PER_HOUR = """
WITH watched AS (
    SELECT CASE WHEN EXISTS (SELECT FROM posts WHERE first_seen_at <= $1) THEN $1
        ELSE (SELECT min(first_seen_at) FROM posts) END AS since
)
SELECT lower(subreddit), count(*) * 3600 / EXTRACT(EPOCH FROM GREATEST($2 - since, $3::interval))::double precision
FROM posts, watched WHERE created_utc > since GROUP BY lower(subreddit), since
"""
# A configured or removed subreddit stays as the operator left it.
_LOAD = """
INSERT INTO subreddit_config (name, interval_seconds, priority, paused, comments, post_sort)
SELECT name, interval_seconds, priority, paused, comments, string_to_array(post_sort, ' ')
FROM unnest($1::text[], $2::int[], $3::text[], $4::boolean[], $5::boolean[], $6::text[])
    AS given (name, interval_seconds, priority, paused, comments, post_sort)
ON CONFLICT DO NOTHING
"""
_POLLED = """
UPDATE subreddit_config c
SET last_polled_at = GREATEST(c.last_polled_at, polled.at), polled_since = COALESCE(c.polled_since, polled.at)
FROM unnest($1::text[], $2::timestamptz[]) AS polled (name, at) WHERE lower(c.name) = polled.name
"""
_COMMENTS_POLLED = """
UPDATE subreddit_config c SET comments_polled_at = GREATEST(c.comments_polled_at, polled.at)
FROM unnest($1::text[], $2::timestamptz[]) AS polled (name, at) WHERE lower(c.name) = polled.name
"""
# The poller asks a refused subreddit again and again. The time of the first refusal stays.
_CHECKED = """
UPDATE subreddit_config SET state = $2, checked_at = $3 WHERE lower(name) = lower($1) AND state <> $2
"""


@dataclass(frozen=True, slots=True)
class SubredditRow:
    """A configured subreddit. `state`: unchecked, ok, or why Reddit refuses it, since `checked_at`."""

    name: str
    interval_seconds: int
    priority: Priority
    paused: bool
    comments: bool
    post_sort: list[str]
    state: str
    checked_at: datetime | None
    last_polled_at: datetime | None
    comments_polled_at: datetime | None
    polled_since: datetime | None
    changed_by: str | None
    changed_at: datetime | None

    @property
    def watched(self) -> WatchedSubreddit:
        """The configured part, without what the poller found out."""
        return WatchedSubreddit(
            self.name, self.interval_seconds, self.priority, self.paused, self.comments, tuple(self.post_sort)
        )

    @property
    def to_poll(self) -> Subreddit:
        """What the planner needs of it."""
        return Subreddit(
            self.name,
            self.interval_seconds,
            self.priority,
            self.last_polled_at.timestamp() if self.last_polled_at else None,
            self.comments,
            tuple(self.post_sort),
            self.comments_polled_at.timestamp() if self.comments_polled_at else None,
            self.polled_since.timestamp() if self.polled_since else None,
        )


async def active_subreddits(pool: Pool) -> list[SubredditRow]:
    """The subreddits to poll, by name. Raises Retryable when the database is away: then keep the last list."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_ACTIVE)]


async def list_subreddits(pool: Pool) -> list[SubredditRow]:
    """All configured subreddits, also paused ones, by name."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_LISTED)]


async def named_subreddits(pool: Pool, names: Iterable[str]) -> list[SubredditRow]:
    """The configured subreddits among these names, by name."""
    async with connection(pool) as reading:
        return [SubredditRow(*row) for row in await reading.fetch(_NAMED, [name.lower() for name in names])]


async def locked_subreddits(writing: Connection, names: Iterable[str]) -> list[SubredditRow]:
    """The configured subreddits among these names, by name, locked until the transaction ends."""
    return [SubredditRow(*row) for row in await writing.fetch(_LOCKED, [name.lower() for name in names])]


async def posts_per_hour(pool: Pool, now: datetime) -> dict[str, float]:
    """Posts per hour by subreddit in lower case. Subreddits without posts are left out.

    It is the mean of the day before `now` or, in an installation that is younger than a day, of the time since its
    first observation.
    """
    async with connection(pool) as reading:
        day = now - timedelta(days=1)
        return dict(await reading.fetch(_POSTS_PER_HOUR, day, now, SHORTEST_RATE))  # type: ignore[arg-type]


async def load_defaults(pool: Pool, rows: Iterable[WatchedSubreddit]) -> int:
    """Add the subreddits that were never configured. Returns how many.

    Raises Invalid, with none added, for a value out of range.
    """
    ordered = sorted(rows, key=lambda row: row.name.lower())
    columns = [
        [row.name for row in ordered],
        [row.interval_seconds for row in ordered],
        [row.priority for row in ordered],
        [row.paused for row in ordered],
        [row.comments for row in ordered],
        [" ".join(row.post_sorts) for row in ordered],
    ]
    async with connection(pool) as writing:
        status = await writing.execute(_LOAD, *columns)
    return int(status.rsplit(" ", 1)[-1])


async def mark_polled(pool: Pool, polled: Mapping[str, datetime]) -> None:
    """Record when each subreddit was last in a listing whose posts were all published."""
    async with connection(pool) as writing:
        await writing.execute(_POLLED, [name.lower() for name in polled], list(polled.values()))


async def mark_comments_polled(pool: Pool, polled: Mapping[str, datetime]) -> None:
    """Record when each subreddit was last in a listing of comments that were all published."""
    async with connection(pool) as writing:
        await writing.execute(_COMMENTS_POLLED, [name.lower() for name in polled], list(polled.values()))


async def mark_state(pool: Pool, name: str, state: str, checked_at: datetime) -> None:
    """Record that Reddit shows a subreddit (`ok`), or why it refuses it (lower-case letters and underscores).

    `checked_at` is kept as the beginning of the state while the state is the same.
    """
    async with connection(pool) as writing:
        await writing.execute(_CHECKED, name, state, checked_at)
