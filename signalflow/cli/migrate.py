"""`signalflow migrate`: bring the database's schema to the version of this code, or show what that would do."""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import asdict
from typing import Annotated

import typer

from signalflow.cli.failures import FOUND, looking
from signalflow.cli.options import JsonFlag, OfStack
from signalflow.domain.words import SchemaMode


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(
    show_status: Annotated[bool, typer.Option("--status", help="Show the recorded revision; change nothing.")] = False,
    show_sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements of all revisions; needs no database.")
    ] = False,
    mode: Annotated[
        SchemaMode | None,
        typer.Option(help="Mode of a new schema; default: timescaledb where the server can use it (--sql: native)."),
    ] = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Run the migrations that the database lacks. Only one process migrates at a time; others wait.

    Exit status: 0 the schema is current, 1 it is not (--status: revisions are pending; else the message says why), 3
    the database did not answer.
    """
    from signalflow.cli.installation import installation_settings
    from signalflow.storage import migrate as schema

    if show_status and show_sql:
        raise typer.BadParameter("--status and --sql exclude each other")
    if show_sql:
        statements = schema.sql(mode or "native")
        typer.echo(json.dumps({"sql": statements}) if as_json else statements)
        return
    url = installation_settings().database_url.get_secret_value()
    with looking() if show_status else nullcontext():
        found = asyncio.run(schema.status(url) if show_status else schema.upgrade(url, mode=mode))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        pending = f"pending: {', '.join(found.pending)}" if found.pending else "current"
        typer.echo(f"schema {found.revision or 'none'} ({found.mode or 'mode not chosen'}), {pending}")
    if found.pending:
        raise typer.Exit(FOUND)
