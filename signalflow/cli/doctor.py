"""`signalflow doctor`: look at everything that the application depends on, and say what to do about each finding."""

import asyncio
import json
import logging
from dataclasses import asdict

import typer

from signalflow.cli.failures import COULD_NOT_TELL, FOUND
from signalflow.cli.options import JsonFlag, OfStack

_SIGNS = {"ok": "ok", "warning": "warning", "wrong": "WRONG", "unknown": "unknown"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(_: OfStack = None, as_json: JsonFlag = False) -> None:
    """Examine settings, secrets, disk, ports, Kafka, topics, database, replica, Redis, workers and Reddit's answers.

    Changes nothing, and asks Reddit nothing. Each finding says what to do.

    Exit status: 0 nothing is wrong (there may be warnings), 1 something is wrong, 3 something could not be examined.
    """
    from signalflow.cli.installation import installation_settings
    from signalflow.doctor.examination import examine
    from signalflow.logs import quiet_libraries

    # Kafka's client logs each attempt to connect; our finding says it in one sentence.
    quiet_libraries(logging.CRITICAL)
    findings = asyncio.run(examine(installation_settings()))
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(f"{_SIGNS[finding.verdict]:8} {finding.subject:9} {finding.says}")
            if finding.fix:
                typer.echo(f"{'':18} -> {finding.fix}")
    verdicts = {finding.verdict for finding in findings}
    if "wrong" in verdicts:
        raise typer.Exit(FOUND)
    if "unknown" in verdicts:
        raise typer.Exit(COULD_NOT_TELL)
