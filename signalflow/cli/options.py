"""Options that several commands have."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from signalflow.cli.installation import work_on

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
# The command need not look at it: `installation_settings` does.
OfStack = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        metavar="DIR",
        callback=work_on,
        help="Work on the stack that runs in this directory, whatever the environment names.",
    ),
]


def parse_time(text: str) -> datetime:
    """An ISO 8601 time in UTC; a time without an offset is taken as UTC. Raises typer.BadParameter for other text."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is not an ISO 8601 time such as 2026-01-31T12:00:00Z") from None
