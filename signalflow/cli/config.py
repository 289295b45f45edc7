"""`signalflow config`: which subreddits are watched, and how closely. Changes take effect within a minute, without a restart."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from signalflow.errors import Invalid

if TYPE_CHECKING:
    from signalflow.storage.pool import Pool
    from signalflow.storage.subreddits import SubredditDefault, SubredditRow

T = TypeVar("T")
# Spelled out here, so that `--help` need not load the reader of the file.
Tier = Literal["fast", "medium", "slow"]


def _checked_name(text: str) -> str:
    from signalflow.reddit.subreddits import checked_name

    try:
        return checked_name(text)
    except Invalid as error:
        raise typer.BadParameter(str(error)) from error


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", parser=_checked_name, help="A subreddit, with or without r/.")]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", parser=_checked_name, help="Subreddits, with or without r/.")
]
Interval = Annotated[
    int | None,
    typer.Option(
        min=5, max=86_400, metavar="SECONDS", help="Longest time between two looks; default: 60, 180 or 600 by tier."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Choose the subreddits to watch, and how closely.")
    for command in (load, add, pause, resume, remove, tier):
        group.command()(command)
    group.command(name="list")(list_subreddits)
    app.add_typer(group, name="config")


async def load_file(pool: "Pool", path: Path | None = None) -> tuple[int, int]:
    """Add the subreddits of a file, or the defaults, that were never configured: how many were added and how many kept.

    Raises Invalid that names line and field when the file is wrong; nothing is added then.
    """
    from signalflow.reddit.subreddits import read_subreddits
    from signalflow.storage.subreddits import SubredditDefault, load_defaults

    rows = [SubredditDefault(row.name, row.interval_seconds, row.priority) for row in read_subreddits(path)]
    added = await load_defaults(pool, rows)
    return added, len(rows) - added


def load(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", exists=True, dir_okay=False, help="CSV: name,interval_seconds,priority. Default: ours."
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Add the subreddits of a file, or the project's 115 defaults. What was configured or removed before stays as it is."""
    added, kept = _with_pool(lambda pool: load_file(pool, path))
    _say(as_json, {"added": added, "kept": kept}, f"{added} added, {kept} stay as they were")


def list_subreddits(as_json: JsonFlag = False) -> None:
    """Show all configured subreddits: tier, longest time between two looks, paused or not, and what Reddit said."""
    from signalflow.storage.subreddits import list_subreddits

    rows = _with_pool(list_subreddits)
    if as_json:
        print(json.dumps([_row(row) for row in rows]))
    else:
        _table(rows)


def add(name: Name, tier: Tier = "medium", interval: Interval = None, as_json: JsonFlag = False) -> None:
    """Watch a subreddit, be it new, paused or removed before."""
    from signalflow.storage.subreddits import add_subreddit

    row = _default(name, tier, interval)
    _with_pool(lambda pool: add_subreddit(pool, row))
    _say(as_json, _changed(row, paused=False), f"{name}: {tier}, every {row.interval_seconds} s")


def tier(
    name: Name,
    tier: Annotated[Tier, typer.Argument(help="The new tier.")],
    interval: Interval = None,
    as_json: JsonFlag = False,
) -> None:
    """Change how closely a subreddit is watched."""
    from signalflow.storage.subreddits import retier_subreddit

    row = _default(name, tier, interval)
    _with_pool(lambda pool: retier_subreddit(pool, row))
    _say(as_json, _changed(row), f"{name}: {tier}, every {row.interval_seconds} s")


def pause(names: Names, as_json: JsonFlag = False) -> None:
    """Stop polling subreddits; their tier is kept."""
    _pause_all(names, True, as_json)


def resume(names: Names, as_json: JsonFlag = False) -> None:
    """Go on polling paused subreddits."""
    _pause_all(names, False, as_json)


def remove(names: Names, as_json: JsonFlag = False) -> None:
    """Watch subreddits no more, also after the defaults are loaded again. Their posts stay."""
    from signalflow.storage.subreddits import remove_subreddit

    _for_each(names, remove_subreddit)
    _say(as_json, {"removed": names}, f"removed {', '.join(names)}")


def _pause_all(names: list[str], paused: bool, as_json: bool) -> None:
    from signalflow.storage.subreddits import pause_subreddit

    _for_each(names, lambda pool, name: pause_subreddit(pool, name, paused=paused))
    done = "paused" if paused else "resumed"
    _say(as_json, {done: names}, f"{done} {', '.join(names)}")


def _for_each(names: list[str], change: "Callable[[Pool, str], Awaitable[None]]") -> None:
    """Change one after the other; the first that is not configured ends the command, those before it are done."""

    async def all_of_them(pool: "Pool") -> None:
        for name in names:
            await change(pool, name)

    _with_pool(all_of_them)


def _with_pool(work: "Callable[[Pool], Awaitable[T]]") -> T:
    from signalflow.cli.stack import command_settings
    from signalflow.storage.pool import create_pool

    async def run() -> T:
        pool = await create_pool(command_settings(), application_name="signalflow-config")
        try:
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def _default(name: str, tier: Tier, interval: int | None) -> "SubredditDefault":
    from signalflow.reddit.subreddits import TIER_INTERVALS
    from signalflow.storage.subreddits import SubredditDefault

    return SubredditDefault(name, interval or TIER_INTERVALS[tier], tier)


def _changed(row: "SubredditDefault", **more: object) -> dict[str, Any]:
    return {"name": row.name, "interval_seconds": row.interval_seconds, "priority": row.priority, **more}


def _row(row: "SubredditRow") -> dict[str, Any]:
    return {
        "name": row.name,
        "interval_seconds": row.interval_seconds,
        "priority": row.priority,
        "paused": row.paused,
        "state": row.state,
        "checked_at": row.checked_at and row.checked_at.isoformat(),
        "last_polled_at": row.last_polled_at and row.last_polled_at.isoformat(),
    }


def _table(rows: "list[SubredditRow]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("subreddit", "tier", "every", "polling", "Reddit says", "last polled", box=None)
    for row in rows:
        polled = f"{row.last_polled_at:%Y-%m-%d %H:%M:%S}" if row.last_polled_at else "never"
        polling = "paused" if row.paused else "on"
        table.add_row(row.name, row.priority, f"{row.interval_seconds} s", polling, row.state, polled)
    Console().print(table)


def _say(as_json: bool, value: dict[str, Any], text: str) -> None:
    print(json.dumps(value) if as_json else text)
