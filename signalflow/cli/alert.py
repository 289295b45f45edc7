"""`signalflow alert`: rules, targets and what was sent; and a test alert, sent as rules send theirs."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from signalflow.alerts.shapes import Shape
from signalflow.cli import alert_rules, alert_targets
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack

if TYPE_CHECKING:
    from signalflow.alerts.outcome import Result
    from signalflow.settings import Settings

_MAIL = "mailto:"


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(no_args_is_help=True, help="Alerts to webhooks, chats, e-mail and feeds.")
    group.command(name="test")(send_test)
    alert_rules.register(group)
    alert_targets.register(group)
    app.add_typer(group, name="alert")


def send_test(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://..., or mailto:ADDRESS.")],
    shape: Annotated[Shape, typer.Option(help="Of the body.")] = Shape.JSON,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Holds the signing secret, whsec_...; without it a body of JSON is signed with a new one, which is "
            "shown.",
        ),
    ] = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Send one test alert, once, and show what came back. Exit status: 1 it was not taken, 2 wrong usage.

    It goes where alerts of rules may go: to public addresses, and to SIGNALFLOW_ALERT_NETWORKS.
    """
    from signalflow.alerts.messages import plain
    from signalflow.alerts.outcome import Verdict

    settings = installation_settings()
    secret = _secret(secret_file) if shape is Shape.JSON and not url.startswith(_MAIL) else None
    result = asyncio.run(_send(url, shape, secret, settings))
    told = asdict(result) | ({"secret": secret} if secret and secret_file is None else {})
    if as_json:
        print(json.dumps(told))
    else:
        if "secret" in told:
            print(f"signed with {secret}")
        print(f"{result.verdict}: status {result.status or 'unknown'}, {result.seconds:.2f} s")
        # An answer may hold what moves a terminal's cursor.
        for line in filter(None, (result.reason, plain(result.answer))):
            print(line)
    if result.verdict is not Verdict.DONE:
        raise typer.Exit(1)


def _secret(file: Path | None) -> str:
    from signalflow.alerts.signing import SigningSecret

    return SigningSecret.new().told() if file is None else file.read_text().strip()


async def _send(url: str, shape: Shape, secret: str | None, settings: "Settings") -> "Result":
    from signalflow.alerts.delivery import WebTarget
    from signalflow.alerts.trial import send_trial, send_trial_mail
    from signalflow.clock import utcnow
    from signalflow.errors import Invalid

    if url.startswith(_MAIL):
        return await send_trial_mail(url.removeprefix(_MAIL), settings, utcnow())
    try:
        target = WebTarget.of(url, [secret] if secret else [])
    except Invalid as error:
        raise typer.BadParameter(str(error)) from error
    return await send_trial(target, shape, settings, utcnow())
