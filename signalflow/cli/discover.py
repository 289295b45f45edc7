"""`signalflow discover`: subreddits that rise on Reddit and are not watched yet."""

import asyncio
import json
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import acting_user, installation_settings
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.cli.tables import print_whole, whole_table
from signalflow.clock import utcnow

if TYPE_CHECKING:
    from signalflow.storage.trending_subreddits import TrendingSubreddit


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(discover)


def discover(
    hours: Annotated[int, typer.Option(min=1, max=168, help="By what rose within so many hours.")] = 24,
    most: Annotated[int, typer.Option(min=1, max=200, help="At most this many, the strongest first.")] = 20,
    add: Annotated[int, typer.Option("--add", min=0, max=50, metavar="N", help="Watch the first N of them.")] = 0,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show subreddits that are not watched and whose posts rise in r/popular, as the poller has seen it.

    What Reddit calls popular comes last if none of its posts rise.

    Exit status: 0 done, also when there is none; 3 the database could not be asked.
    """
    with looking():
        found, added = asyncio.run(_discover(hours, max(most, add), add))
    if as_json:
        print(json.dumps({"items": [asdict(each) for each in found[:most]], "added": added}, default=str))
        return
    if not found:
        print("nothing was seen yet: the poller looks every SIGNALFLOW_DISCOVER_MINUTES")
        return
    table = whole_table("subreddit", "rising posts", "best rank", "weight", "popular rank", "last seen")
    for each in found[:most]:
        seen = "-" if each.last_seen_at is None else f"{each.last_seen_at:%Y-%m-%d %H:%M:%S}"
        best, popular = _rank(each.best_rank), _rank(each.popular_rank)
        table.add_row(each.name, str(each.posts), best, f"{each.weight:.2f}", popular, seen)
    print_whole(table)
    if added:
        print(f"now watched: {', '.join(added)}")


def _rank(rank: int | None) -> str:
    return "-" if rank is None else str(rank)


async def _discover(hours: int, most: int, add: int) -> "tuple[list[TrendingSubreddit], list[str]]":
    from signalflow.storage.pool import create_pool
    from signalflow.storage.subreddit_changes import Change, add_subreddits
    from signalflow.storage.trending_subreddits import trending_subreddits

    pool = await create_pool(installation_settings(), application_name="signalflow-discover")
    try:
        now = utcnow()
        found = await trending_subreddits(pool, now - timedelta(hours=hours), most)
        names = [each.name for each in found[:add]]
        if names:
            await add_subreddits(pool, names, Change(), by=acting_user(), now=now)
        return found, names
    finally:
        await pool.close()
