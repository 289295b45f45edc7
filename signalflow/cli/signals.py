"""`signalflow signals`: what takes off and what is unusual where it happens, each in a sentence."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack, parse_time
from signalflow.cli.tables import print_whole, whole_table
from signalflow.domain.words import SignalKind

if TYPE_CHECKING:
    from signalflow.storage.signals import SignalFilter

KINDS = get_args(SignalKind)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(signals)


def signals(
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Only of this kind, several times if you like: {', '.join(KINDS)}.")
    ] = None,
    subreddit: Annotated[
        list[str] | None, typer.Option(help="Only of this subreddit, several times if you like, without r/.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this post (its id), subreddit or term.")] = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that go on.")] = False,
    since: Annotated[str | None, typer.Option(help="Only those that began at this time (ISO 8601) or later.")] = None,
    until: Annotated[str | None, typer.Option(help="Only those that began before this time (ISO 8601).")] = None,
    min_strength: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Only with this strength: a probability for viral, standard deviations for unusual_here, a multiple "
            "for burst. With exactly one --kind.",
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, newest first.")] = 20,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show signals: what takes off and what is unusual where it happens, since when, how sure, and why.

    Exit status: 0 done, also when there is none; 3 the database could not be asked.
    """
    from signalflow.storage.signals import SignalFilter

    for word in kind or []:
        if word not in KINDS:
            raise typer.BadParameter(f"{word!r} is not one of {', '.join(KINDS)}", param_hint="--kind")
    if min_strength is not None and len(set(kind or [])) != 1:
        raise typer.BadParameter(
            "needs exactly one --kind, because strengths of two kinds cannot be compared", param_hint="--min-strength"
        )
    wanted = SignalFilter(
        kind or [],  # type: ignore[arg-type]
        [name.removeprefix("r/") for name in subreddit or []],
        subject,
        active,
        None if since is None else parse_time(since),
        None if until is None else parse_time(until),
        min_strength,
    )
    with looking():
        found = asyncio.run(_read(wanted, most))
    if as_json:
        print(json.dumps({"items": found}, default=str))
        return
    if not found:
        print("no signal: the posts of a subreddit must be known for two hours back before anything is unusual there")
        return
    from rich.markup import escape

    table = whole_table("began (UTC)", "ended (UTC)", "kind", "how sure", "what")
    for one in found:
        ended = "goes on" if one["ended_at"] is None else f"{one['ended_at']:%Y-%m-%d %H:%M}"
        table.add_row(
            f"{one['started_at']:%Y-%m-%d %H:%M}", ended, one["kind"], one["how_sure"], escape(one["sentence"])
        )
    print_whole(table)


async def _read(wanted: "SignalFilter", most: int) -> list[dict[str, Any]]:
    from signalflow.domain.signals.sentences import words_of
    from signalflow.storage.pool import create_pool
    from signalflow.storage.read_router import ReadRouter
    from signalflow.storage.signals import signals_page, what_is_known

    async with await create_pool(installation_settings(), application_name="signalflow-signals") as pool:
        reads = ReadRouter(pool, None, 0.0)
        found = await signals_page(reads, wanted, before=None, limit=most)
        about = await what_is_known(reads, found)
    return [
        asdict(one) | {"keywords": about[one.id].keywords, "term": about[one.id].term} | words_of(one, about[one.id])
        for one in found
    ]
