"""The `signalflow` command: one module a command. Modules import what is heavy inside their functions, so that `--help` is quick."""

import sys
from importlib import import_module

import typer
from pydantic import ValidationError

from signalflow.errors import SignalflowError

app = typer.Typer(
    name="signalflow", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)

COMMANDS = ("up", "simulator", "api", "migrate", "topics", "config", "ingest")


def _register() -> None:
    for name in COMMANDS:
        import_module(f"signalflow.cli.{name}").register(app)


def main() -> None:
    """Entry point. Exit status: 0 done, 1 the command failed (the message says why), 2 wrong usage or a wrong setting."""
    _register()
    try:
        app()
    except ValidationError as error:
        for problem in error.errors():
            setting = "_".join(str(part) for part in problem["loc"])
            print(f"SIGNALFLOW_{setting.upper()}: {problem['msg']}" if setting else problem["msg"], file=sys.stderr)
        sys.exit(2)
    except SignalflowError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
