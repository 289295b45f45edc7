"""`signalflow ingest`: put posts into the pipeline by hand."""

import typer

from signalflow.cli.backfill import backfill
from signalflow.cli.ingest_once import ingest_once


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Put posts into the pipeline by hand.")
    group.callback()(lambda: None)
    # The name that `signalflow backfill` had before.
    group.command(name="file")(backfill)
    group.command(name="once")(ingest_once)
    app.add_typer(group, name="ingest")
