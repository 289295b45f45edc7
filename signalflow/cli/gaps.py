"""`signalflow gaps`: stretches of Reddit's listings that are not proven complete."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack

if TYPE_CHECKING:
    from signalflow.storage.overview import OpenGap


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(gaps)


def gaps(
    most: Annotated[int, typer.Option(min=1, max=10_000, help="At most this many, oldest first.")] = 100,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the open gaps: stretches of listings of which posts or comments may be missing. The poller closes them.

    Exit status, for use in checks: 0 none is open; 1 at least one is; 3 the database could not be asked.
    """
    from signalflow.storage.overview import first_open_gaps
    from signalflow.storage.pool import create_pool

    async def read() -> "tuple[int, list[OpenGap]]":
        async with await create_pool(installation_settings(), application_name="signalflow-gaps") as pool:
            return await first_open_gaps(pool, most)

    with looking():
        number, found = asyncio.run(read())
    if as_json:
        print(json.dumps({"open": number, "items": [asdict(gap) for gap in found]}, default=str))
    else:
        for gap in found:
            print(
                f"{gap.id}: r/{'+'.join(gap.subreddits)}, {gap.kind} since {gap.since:%Y-%m-%d %H:%M:%S} UTC, "
                f"{gap.pages} pages read, open since {gap.opened_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        print(f"{number} gaps are open" if number else "no gap is open")
    if number:
        raise typer.Exit(FOUND)
