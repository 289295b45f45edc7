"""`signalflow coverage`: how much of the time of each subreddit is covered, and which share of its posts was found."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack, parse_time

if TYPE_CHECKING:
    from signalflow.storage.coverage import Coverage, SubredditCoverage

DEFAULT_WINDOW = timedelta(hours=24)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(coverage)


def coverage(
    subreddit: Annotated[list[str] | None, typer.Argument(help="Only these; default: all that are watched.")] = None,
    since: Annotated[
        str | None, typer.Option(help="From this hour or day on (ISO 8601); default: 24 hours before the end.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Until this time (ISO 8601); default: now.")] = None,
    by_day: Annotated[bool, typer.Option("--by-day", help="With --json: cells of a day instead of an hour.")] = False,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how much of the time of each subreddit is covered, and an estimate of the share of its posts that we saw.

    Exit status, for use in checks: 0 no posts are missing as far as is known; 1 there are gaps; 3 the database could
    not be asked.
    """
    from signalflow.clock import utcnow
    from signalflow.storage.coverage import coverage as read_coverage
    from signalflow.storage.pool import create_pool
    from signalflow.storage.read_router import ReadRouter

    now = utcnow()
    end = now if until is None else parse_time(until)
    begin = end - DEFAULT_WINDOW if since is None else parse_time(since)
    if begin >= end:
        raise typer.BadParameter("must be before --until", param_hint="--since")

    async def read() -> "Coverage":
        async with await create_pool(installation_settings(), application_name="signalflow-coverage") as pool:
            reads = ReadRouter(pool, None, 0.0)
            return await read_coverage(
                reads, begin, end, step="day" if by_day else "hour", names=subreddit or (), now=now
            )

    with looking():
        found = asyncio.run(read())
    if as_json:
        print(json.dumps(found.document(), default=_iso))
    else:
        _print(found)
    if any(item.total.missing for item in found.items):
        raise typer.Exit(FOUND)


def _print(found: "Coverage") -> None:
    if not found.items:
        print("no subreddit to show")
        return
    print(f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC")
    width = max(len(item.subreddit) for item in found.items)
    print(f"{'subreddit':<{width}}  {'covered':>8}  {'missing':>8}  {'unknown':>8}  {'posts':>7}  {'found':>8}  gaps")
    for item in found.items:
        print(f"{item.subreddit:<{width}}  {_line(item)}")


def _line(item: "SubredditCoverage") -> str:
    total = item.total
    shares = "  ".join(f"{100 * part / total.seconds:7.2f}%" for part in (total.covered, total.missing, total.unknown))
    found = "unknown" if total.posts_share is None else f"{100 * total.posts_share:.2f}%"
    return f"{shares}  {total.posts:>7}  {found:>8}  {len(item.gaps):>4}"


def _iso(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat()
