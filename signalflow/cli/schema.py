"""`signalflow schema`: the JSON Schemas of the records in Kafka."""

import json
from pathlib import Path
from typing import Annotated

import typer

from signalflow.cli.options import JsonFlag


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="JSON Schemas of the records in Kafka, for programs that read them.")
    group.command()(export)
    app.add_typer(group, name="schema")


def export(
    to: Annotated[Path, typer.Option(help="The directory; it is made if it does not exist.")] = Path("schemas"),
    as_json: JsonFlag = False,
) -> None:
    """Write the schemas into a directory, one file for each kind of record and version, and show the files.

    Exit status 1, and nothing is written, if a file of the same version differs in more than optional fields.
    """
    from signalflow.schemas import export as write

    files = [str(file) for file in write(to)]
    print(json.dumps(files) if as_json else "\n".join(files))
