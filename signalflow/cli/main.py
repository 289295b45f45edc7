"""The `signalflow` command: one module per command. Slow imports are inside of functions, so that `--help` is quick."""

import sys
from importlib import import_module
from typing import Annotated

import typer

from signalflow.cli.failures import explained, show_any_text
from signalflow.garbage import collect_rarely

app = typer.Typer(
    name="signalflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Real-time Reddit intelligence: `up` starts everything on this machine, the other commands manage it. "
    "Exit status: 0 done, 1 failed or something was found, 2 wrong usage or a wrong setting, 3 could not look because "
    "Kafka or the database did not answer.",
)

COMMANDS = (
    "up", "logs", "doctor", "lag", "state_tables", "simulator", "api", "migrate", "topics", "config", "discover",
    "ingest", "fetch", "backfill", "replay", "dlq", "gaps", "coverage", "signals", "digest", "runs", "verify",
    "evaluate", "export", "alert", "backup", "erase", "schema", "user", "key", "mcp",
)  # fmt: skip


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"signalflow {version('signalflow')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of `signalflow` itself."""
    import structlog

    # Standard output is for what was asked for: no log line may stand beside the data of --json.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))


def _register() -> None:
    for name in COMMANDS:
        import_module(f"signalflow.cli.{name}").register(app)


def main() -> None:
    """Entry point.

    Exit status: 0 done, 1 failed or something was found (the message says which), 2 wrong usage or a wrong setting, 3
    Kafka or the database did not answer, so nothing is known.
    """
    collect_rarely()
    show_any_text()
    with explained():
        _register()
        app()
