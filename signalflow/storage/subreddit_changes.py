"""Changes of subreddit_config by a person: all of one call or none, with who and when, and a line in the audit log."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from signalflow.errors import Invalid
from signalflow.storage import audit
from signalflow.storage.pool import Connection, Pool, transaction
from signalflow.storage.subreddits import BY_NAME, Priority, SubredditRow, locked_subreddits

# One that was removed begins anew: Reddit may say something else of it by now.
_PUT = f"""
INSERT INTO subreddit_config AS c (name, interval_seconds, priority, paused, changed_by, changed_at)
SELECT name, interval_seconds, priority, paused, $5, $6
FROM unnest($1::text[], $2::int[], $3::text[], $4::boolean[]) AS given (name, interval_seconds, priority, paused)
{BY_NAME}
ON CONFLICT (lower(name)) DO UPDATE SET
    interval_seconds = EXCLUDED.interval_seconds, priority = EXCLUDED.priority, paused = EXCLUDED.paused, removed_at = NULL,
    name = CASE WHEN c.removed_at IS NULL THEN c.name ELSE EXCLUDED.name END,
    state = CASE WHEN c.removed_at IS NULL THEN c.state ELSE 'unchecked' END,
    changed_by = EXCLUDED.changed_by, changed_at = EXCLUDED.changed_at
WHERE (c.interval_seconds, c.priority, c.paused) <> (EXCLUDED.interval_seconds, EXCLUDED.priority, EXCLUDED.paused)
    OR c.removed_at IS NOT NULL
"""  # noqa: S608
_REMOVE = """
UPDATE subreddit_config SET removed_at = $3, changed_by = $2, changed_at = $3
WHERE lower(name) = ANY ($1::text[]) AND removed_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; None leaves a thing as it is."""

    paused: bool | None = None
    priority: Priority | None = None
    interval_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subreddit as it is to be."""

    name: str
    interval_seconds: int
    priority: Priority
    paused: bool = False


async def add_subreddits(
    pool: Pool, names: Sequence[str], defaults: Wanted, change: Change, *, by: str, now: datetime
) -> list[SubredditRow]:
    """Watch these, be they new (with `defaults`, its name aside), paused or removed before; what `change` names is set for all.

    One that is watched already keeps what `change` does not name. Raises Invalid when a value is out of range.
    """
    async with transaction(pool) as writing:
        known = {row.name.lower(): row for row in await locked_subreddits(writing, names)}
        change = Change(False, change.priority, change.interval_seconds)
        wanted = [_changed(known.get(name.lower()) or _named(defaults, name), change) for name in names]
        return await _put(writing, wanted, action="subreddit.add", by=by, now=now)


async def change_subreddits(
    pool: Pool, names: Sequence[str], change: Change, *, by: str, now: datetime
) -> list[SubredditRow]:
    """Change all of these. Raises Invalid, changing none, when one is not configured or a value is out of range."""
    async with transaction(pool) as writing:
        rows = await _all_of(writing, names)
        wanted = [_changed(row, change) for row in rows]
        return await _put(writing, wanted, action="subreddit.change", by=by, now=now)


async def put_subreddits(pool: Pool, wanted: Sequence[Wanted], *, by: str, now: datetime) -> list[SubredditRow]:
    """Make these exactly as given; others stay as they are. Raises Invalid, changing none, when a value is out of range."""
    async with transaction(pool) as writing:
        return await _put(writing, wanted, action="subreddit.import", by=by, now=now)


async def remove_subreddits(pool: Pool, names: Sequence[str], *, by: str, now: datetime) -> None:
    """Watch these no more, also after the defaults are loaded again. Their posts stay. Raises Invalid, removing none, when one is not configured."""
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
    writing: Connection, wanted: Sequence[Wanted], *, action: str, by: str, now: datetime
) -> list[SubredditRow]:
    # A name given twice would meet its own row; the last one counts.
    unique = list({row.name.lower(): row for row in wanted}.values())
    names = [row.name for row in unique]
    status = await writing.execute(
        _PUT,
        names,
        [row.interval_seconds for row in unique],
        [row.priority for row in unique],
        [row.paused for row in unique],
        by,
        now,
    )
    if not status.endswith(" 0"):
        details = [
            {"name": row.name, "interval_seconds": row.interval_seconds, "priority": row.priority, "paused": row.paused}
            for row in unique
        ]
        await audit.record(writing, who=by, action=action, target=_target(names), details={"now": details})
    return await locked_subreddits(writing, names)


def _named(defaults: Wanted, name: str) -> Wanted:
    return Wanted(name, defaults.interval_seconds, defaults.priority, defaults.paused)


def _changed(row: SubredditRow | Wanted, change: Change) -> Wanted:
    return Wanted(
        row.name,
        row.interval_seconds if change.interval_seconds is None else change.interval_seconds,
        row.priority if change.priority is None else change.priority,
        row.paused if change.paused is None else change.paused,
    )


def _target(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} subreddits"
