"""`signalflow runs`: what workers did: each minute of polling, and each job."""

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack, parse_time
from signalflow.cli.tables import print_whole, whole_table
from signalflow.domain.words import RunKind, RunOutcome

if TYPE_CHECKING:
    from signalflow.storage.runs import RunFilter, StoredRun

KINDS, OUTCOMES = get_args(RunKind), get_args(RunOutcome)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(runs)


def _one_of(known: tuple[str, ...], given: list[str] | None, option: str) -> list[str]:
    for word in given or []:
        if word not in known:
            raise typer.BadParameter(f"{word!r} is not one of {', '.join(known)}", param_hint=option)
    return given or []


def runs(
    kind: Annotated[
        list[str] | None, typer.Option(help=f"Only of this kind, several times if you like: {', '.join(KINDS)}.")
    ] = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help=f"Only with this outcome, several times too: {', '.join(OUTCOMES)}.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only those that began at this time (ISO 8601) or later.")] = None,
    until: Annotated[str | None, typer.Option(help="Only those that began before this time (ISO 8601).")] = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="At most this many, newest first.")] = 30,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show the run history: each minute of polling and each job, with what came of it.

    Exit status: 0 done, also when there is none; 3 the database could not be asked.
    """
    from signalflow.storage.runs import RunFilter

    wanted = RunFilter(
        _one_of(KINDS, kind, "--kind"),  # type: ignore[arg-type]
        _one_of(OUTCOMES, outcome, "--outcome"),  # type: ignore[arg-type]
        None if since is None else parse_time(since),
        None if until is None else parse_time(until),
    )
    with looking():
        found = asyncio.run(_read(wanted, most))
    if as_json:
        print(json.dumps({"items": [asdict(run) for run in found]}, default=str))
        return
    if not found:
        print("no run: a worker writes them while it runs")
        return
    table = whole_table(
        "started (UTC)", "kind", "outcome", "took", "requests", "posts", "comments", "new", "gaps", "errors", "subject"
    )
    for run in found:
        numbers = (run.requests, run.posts, run.comments, run.new, run.gaps, run.errors)
        table.add_row(
            f"{run.started_at:%Y-%m-%d %H:%M:%S}", run.kind, run.outcome, _took(run), *map(str, numbers),
            run.error or run.subject,
        )  # fmt: skip
    print_whole(table)


def _took(run: "StoredRun") -> str:
    return "" if run.ended_at is None else f"{(run.ended_at - run.started_at).total_seconds():.1f} s"


async def _read(wanted: "RunFilter", most: int) -> "list[StoredRun]":
    from signalflow.storage.pool import create_pool
    from signalflow.storage.read_router import ReadRouter
    from signalflow.storage.runs import runs_page

    async with await create_pool(installation_settings(), application_name="signalflow-runs") as pool:
        return await runs_page(ReadRouter(pool, None, 0.0), wanted, before=None, limit=most)
