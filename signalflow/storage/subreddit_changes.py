"""Changes of table subreddit_config by users.

A call makes all of its changes or none, and writes an entry of the audit log.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from signalflow.domain.sorts import in_order
from signalflow.domain.subreddits import DEFAULT_PRIORITY, USUAL_INTERVALS, Priority, WatchedSubreddit
from signalflow.errors import Invalid
from signalflow.storage import audit
from signalflow.storage.pool import Connection, Pool, transaction
from signalflow.storage.subreddits import BY_NAME, SubredditRow, locked_subreddits

# Who changed what is watched for a day because it rises. No user can have this name.
BY_TRENDING = "signalflow:trending"

# A removed subreddit that is added again becomes `unchecked`, because Reddit may answer differently now.
_PUT = f"""
INSERT INTO subreddit_config AS c
    (name, interval_seconds, priority, paused, comments, post_sort, changed_by, changed_at)
SELECT name, interval_seconds, priority, paused, comments, string_to_array(post_sort, ' '), $7, $8
FROM unnest($1::text[], $2::int[], $3::text[], $4::boolean[], $5::boolean[], $6::text[])
    AS given (name, interval_seconds, priority, paused, comments, post_sort)
{BY_NAME}
ON CONFLICT (lower(name)) DO UPDATE SET
    interval_seconds = EXCLUDED.interval_seconds, priority = EXCLUDED.priority, paused = EXCLUDED.paused,
    comments = EXCLUDED.comments, post_sort = EXCLUDED.post_sort, removed_at = NULL,
    name = CASE WHEN c.removed_at IS NULL THEN c.name ELSE EXCLUDED.name END,
    state = CASE WHEN c.removed_at IS NULL THEN c.state ELSE 'unchecked' END,
    changed_by = EXCLUDED.changed_by, changed_at = EXCLUDED.changed_at
WHERE (c.interval_seconds, c.priority, c.paused, c.comments, c.post_sort)
    <> (EXCLUDED.interval_seconds, EXCLUDED.priority, EXCLUDED.paused, EXCLUDED.comments, EXCLUDED.post_sort)
    OR c.removed_at IS NOT NULL OR c.changed_by = $9
"""  # noqa: S608
_REMOVE = """
UPDATE subreddit_config SET removed_at = $3, changed_by = $2, changed_at = $3
WHERE lower(name) = ANY ($1::text[]) AND removed_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a subreddit; a field that is None stays as it is.

    A new priority also sets the usual interval of that priority, unless an interval is given.
    """

    paused: bool | None = None
    priority: Priority | None = None
    interval_seconds: int | None = None
    comments: bool | None = None
    post_sorts: tuple[str, ...] | None = None

    def of(self, row: WatchedSubreddit) -> WatchedSubreddit:
        """The subreddit after this change."""
        usual = row.interval_seconds if self.priority is None else USUAL_INTERVALS[self.priority]
        return WatchedSubreddit(
            row.name,
            usual if self.interval_seconds is None else self.interval_seconds,
            self.priority or row.priority,
            row.paused if self.paused is None else self.paused,
            row.comments if self.comments is None else self.comments,
            row.post_sorts if self.post_sorts is None else in_order(self.post_sorts),
        )


async def add_subreddits(
    pool: Pool, names: Sequence[str], change: Change, *, by: str, now: datetime
) -> list[SubredditRow]:
    """Watch these subreddits, whether they are new, paused or were removed before.

    `change` applies to all of them, and none stays paused. A subreddit that is watched already keeps the fields that
    `change` leaves out. A new subreddit gets the default priority. Raises Invalid when a value is out of range.
    """
    async with transaction(pool) as writing:
        known = {row.name.lower(): row.watched for row in await locked_subreddits(writing, names)}
        change = replace(change, paused=False)
        wanted = [change.of(known.get(name.lower()) or _new(name)) for name in names]
        return await _put(writing, wanted, action="subreddit.add", by=by, now=now)


async def change_subreddits(
    pool: Pool, names: Sequence[str], change: Change, *, by: str, now: datetime
) -> list[SubredditRow]:
    """Change all of these subreddits.

    Raises Invalid, with nothing changed, when one is not configured or a value is out of range.
    """
    async with transaction(pool) as writing:
        rows = await _all_of(writing, names)
        wanted = [change.of(row.watched) for row in rows]
        return await _put(writing, wanted, action="subreddit.change", by=by, now=now)


async def put_subreddits(
    pool: Pool, wanted: Sequence[WatchedSubreddit], *, by: str, now: datetime
) -> list[SubredditRow]:
    """Add these subreddits, or replace their configuration. Other subreddits stay as they are.

    Raises Invalid, with nothing changed, when a value is out of range.
    """
    async with transaction(pool) as writing:
        return await _put(writing, wanted, action="subreddit.import", by=by, now=now)


async def remove_subreddits(pool: Pool, names: Sequence[str], *, by: str, now: datetime) -> None:
    """Stop watching these subreddits, even when the defaults are loaded again. Their posts stay.

    Raises Invalid, with nothing changed, when one is not configured.
    """
    async with transaction(pool) as writing:
        await _all_of(writing, names)
        await writing.execute(_REMOVE, [name.lower() for name in names], by, now)
        await audit.record(
            writing, who=by, action="subreddit.remove", target=_target(names), details={"names": list(names)}
        )


async def _all_of(writing: Connection, names: Sequence[str]) -> list[SubredditRow]:
    rows = await locked_subreddits(writing, names)
    found = {row.name.lower() for row in rows}
    for name in names:
        if name.lower() not in found:
            raise Invalid(f"subreddit {name!r} is not configured", field="name")
    return rows


async def _put(
    writing: Connection, wanted: Sequence[WatchedSubreddit], *, action: str, by: str, now: datetime
) -> list[SubredditRow]:
    # ON CONFLICT cannot update a row twice. If a name is given twice, the last one counts.
    unique = list({row.name.lower(): row for row in wanted}.values())
    names = [row.name for row in unique]
    status = await writing.execute(
        _PUT,
        names,
        [row.interval_seconds for row in unique],
        [row.priority for row in unique],
        [row.paused for row in unique],
        [row.comments for row in unique],
        [" ".join(row.post_sorts) for row in unique],
        by,
        now,
        # What a user wants is kept for good, also without another change.
        BY_TRENDING if by != BY_TRENDING else None,
    )
    if not status.endswith(" 0"):
        details = {"now": [asdict(row) for row in unique]}
        await audit.record(writing, who=by, action=action, target=_target(names), details=details)
    return await locked_subreddits(writing, names)


def _new(name: str) -> WatchedSubreddit:
    return WatchedSubreddit(name, USUAL_INTERVALS[DEFAULT_PRIORITY], DEFAULT_PRIORITY)


def _target(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} subreddits"
