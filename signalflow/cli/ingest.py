"""`signalflow ingest`: put posts into the pipeline by hand."""

import typer

from signalflow.cli.backfill import backfill


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Put posts into the pipeline by hand.")
    group.callback()(lambda: None)
    # The name that `signalflow backfill` had before.
    group.command(name="file")(backfill)
    app.add_typer(group, name="ingest")
