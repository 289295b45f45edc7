"""`signalflow config`: which subreddits are watched, and how closely. A change takes effect within a minute."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import acting_user, installation_settings
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table
from signalflow.clock import utcnow
from signalflow.domain.sorts import DEFAULT_POST_SORTS, POST_SORTS
from signalflow.domain.subreddits import DEFAULT_PRIORITY, Priority
from signalflow.errors import Invalid

if TYPE_CHECKING:
    from signalflow.storage.pool import Pool
    from signalflow.storage.subreddit_changes import Change
    from signalflow.storage.subreddits import SubredditRow

T = TypeVar("T")


def _checked_name(text: str) -> str:
    from signalflow.reddit.subreddits import checked_name

    try:
        return checked_name(text)
    except Invalid as error:
        raise typer.BadParameter(str(error)) from error


Name = Annotated[str, typer.Argument(metavar="NAME", parser=_checked_name, help="A subreddit, with or without r/.")]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", parser=_checked_name, help="Subreddits, with or without r/.")
]
Interval = Annotated[
    int | None,
    typer.Option(
        min=5,
        max=86_400,
        metavar="SECONDS",
        help="Longest time between two looks; default: 60, 180 or 600 by priority.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(
        no_args_is_help=True,
        help="Choose the subreddits to watch, and how closely. Exit status: 1 a subreddit is not configured or a "
        "line of the file is wrong (nothing was changed), 3 the database could not be asked.",
    )
    for command in (load, add, pause, resume, remove, priority, comments, sorts):
        group.command()(command)
    group.command(name="tier", hidden=True)(priority)
    group.command(name="list")(list_subreddits)
    app.add_typer(group, name="config")


async def load_file(pool: "Pool", path: Path | None = None) -> tuple[int, int]:
    """Add the subreddits of a file, or the defaults, that were never configured. Returns how many were added and kept.

    Raises Invalid, which names line and field of a mistake, with nothing added.
    """
    from signalflow.reddit.subreddits import read_subreddits
    from signalflow.storage.subreddits import load_defaults

    rows = read_subreddits(path)
    added = await load_defaults(pool, rows)
    return added, len(rows) - added


def load(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", exists=True, dir_okay=False, help="CSV: name,interval_seconds,priority. Default: ours."
        ),
    ] = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Add the subreddits of a file, or our 115 defaults. What was configured or removed before stays as it is."""
    added, kept = _with_pool(lambda pool: load_file(pool, path))
    _say(as_json, {"added": added, "kept": kept}, f"{added} added, {kept} stay as they were")


def list_subreddits(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Show all configured subreddits: priority, longest time between two looks, paused or not, and what Reddit said."""
    from signalflow.storage.subreddits import list_subreddits

    rows = _with_pool(list_subreddits)
    if as_json:
        print(json.dumps([_row(row) for row in rows]))
    else:
        _table(rows)


def add(
    names: Names,
    priority: Annotated[
        Priority | None,
        typer.Option("--priority", "--tier", help=f"How closely; default for a new one: {DEFAULT_PRIORITY}."),
    ] = None,
    interval: Interval = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Watch subreddits, whether new, paused or removed before. A watched one keeps what is not given."""
    from signalflow.storage.subreddit_changes import Change, add_subreddits

    change = Change(priority=priority, interval_seconds=interval)
    rows = _with_pool(lambda pool: add_subreddits(pool, names, change, by=acting_user(), now=utcnow()))
    _say_rows(as_json, rows)


def priority(
    name: Name,
    priority: Annotated[Priority, typer.Argument(help="The new priority.")],
    interval: Interval = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Change how closely a subreddit is watched."""
    from signalflow.storage.subreddit_changes import Change

    _say_rows(as_json, _apply([name], Change(priority=priority, interval_seconds=interval)))


def pause(names: Names, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Stop polling subreddits; their priority is kept."""
    from signalflow.storage.subreddit_changes import Change

    _say_rows(as_json, _apply(names, Change(paused=True)))


def resume(names: Names, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Go on polling paused subreddits."""
    from signalflow.storage.subreddit_changes import Change

    _say_rows(as_json, _apply(names, Change(paused=False)))


def comments(
    names: Names,
    off: Annotated[bool, typer.Option("--off", help="Read them no longer.")] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Read the comments of subreddits too. They take at most a quarter of the requests while others wait."""
    from signalflow.storage.subreddit_changes import Change

    _say_rows(as_json, _apply(names, Change(comments=not off)))


def sorts(
    name: Name,
    listings: Annotated[
        list[str],
        typer.Argument(metavar="LISTING...", help=f"Any of {', '.join(POST_SORTS)}; new is always read."),
    ],
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Choose the listings that are read of a subreddit. Those by rank take one request in ten at most."""
    from signalflow.reddit.subreddits import checked_sorts
    from signalflow.storage.subreddit_changes import Change

    try:
        chosen = checked_sorts(" ".join(listings))
    except Invalid as error:
        raise typer.BadParameter(str(error)) from error
    _say_rows(as_json, _apply([name], Change(post_sorts=chosen)))


def remove(names: Names, _: OfStack = None, as_json: JsonFlag = False) -> None:
    """Stop watching subreddits, even when the defaults are loaded again. Their posts stay."""
    from signalflow.storage.subreddit_changes import remove_subreddits

    _with_pool(lambda pool: remove_subreddits(pool, names, by=acting_user(), now=utcnow()))
    _say(as_json, {"removed": names}, f"removed {', '.join(names)}")


def _apply(names: list[str], change: "Change") -> "list[SubredditRow]":
    """Change all of these, or none when one is not configured."""
    from signalflow.storage.subreddit_changes import change_subreddits

    return _with_pool(lambda pool: change_subreddits(pool, names, change, by=acting_user(), now=utcnow()))


def _with_pool(work: "Callable[[Pool], Awaitable[T]]") -> T:
    from signalflow.storage.pool import create_pool

    async def run() -> T:
        pool = await create_pool(installation_settings(), application_name="signalflow-config")
        try:
            return await work(pool)
        finally:
            await pool.close()

    with looking():
        return asyncio.run(run())


def _row(row: "SubredditRow") -> dict[str, Any]:
    return {
        "name": row.name,
        "interval_seconds": row.interval_seconds,
        "priority": row.priority,
        "paused": row.paused,
        "comments": row.comments,
        "post_sort": row.post_sort,
        "state": row.state,
        "checked_at": row.checked_at and row.checked_at.isoformat(),
        "last_polled_at": row.last_polled_at and row.last_polled_at.isoformat(),
        "changed_by": row.changed_by,
        "changed_at": row.changed_at and row.changed_at.isoformat(),
    }


def _say_rows(as_json: bool, rows: "list[SubredditRow]") -> None:
    if as_json:
        print(json.dumps([_row(row) for row in rows]))
        return
    for row in rows:
        followed = ", with comments" if row.comments else ""
        if row.post_sort != [*DEFAULT_POST_SORTS]:
            followed += f", by {', '.join(row.post_sort)}"
        print(f"{row.name}: {'paused, ' if row.paused else ''}{row.priority}, every {row.interval_seconds} s{followed}")


def _table(rows: "list[SubredditRow]") -> None:
    table = whole_table(
        "subreddit", "priority", "every", "polling", "comments", "listings", "Reddit says", "last polled"
    )
    for row in rows:
        polled = f"{row.last_polled_at:%Y-%m-%d %H:%M:%S}" if row.last_polled_at else "never"
        polling = "paused" if row.paused else "on"
        followed = "read" if row.comments else "-"
        every, listings = f"{row.interval_seconds} s", " ".join(row.post_sort)
        table.add_row(row.name, row.priority, every, polling, followed, listings, row.state, polled)
    print_whole(table)


def _say(as_json: bool, value: dict[str, Any], text: str) -> None:
    print(json.dumps(value) if as_json else text)
