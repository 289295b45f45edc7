"""`signalflow migrate`: bring the database's schema to the version of this code, or show what that would do."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Literal

import typer

# Spelled out here: importing storage/migrate.py for its Mode would load Alembic for every command's `--help`.
Mode = Literal["timescaledb", "native"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(migrate)


def migrate(
    show_status: Annotated[bool, typer.Option("--status", help="Show the recorded revision; change nothing.")] = False,
    show_sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements of all revisions; no database.")
    ] = False,
    mode: Annotated[
        Mode | None,
        typer.Option(help="Mode of a new schema; default: timescaledb where the server can use it (--sql: native)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the migrations that the database lacks; one run at a time, others wait.

    Exit status: 0 the schema is current, 1 it is not (--status: revisions are pending; else the message says why).
    """
    from signalflow.cli.installation import command_settings
    from signalflow.storage import migrate as schema

    if show_status and show_sql:
        raise typer.BadParameter("--status and --sql exclude each other")
    if show_sql:
        statements = schema.sql(mode or "native")
        typer.echo(json.dumps({"sql": statements}) if as_json else statements)
        return
    url = command_settings().database_url.get_secret_value()
    found = asyncio.run(schema.status(url) if show_status else schema.upgrade(url, mode=mode))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        pending = f"pending: {', '.join(found.pending)}" if found.pending else "current"
        typer.echo(f"schema {found.revision or 'none'} ({found.mode or 'mode not chosen'}), {pending}")
    if found.pending:
        raise typer.Exit(1)
