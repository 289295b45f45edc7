"""`signalflow digest`: what a day was about, as text, as a page, or as an e-mail."""

import asyncio
import json
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalflow.cli.failures import looking
from signalflow.cli.installation import installation_settings
from signalflow.cli.options import JsonFlag, OfStack

if TYPE_CHECKING:
    from datetime import datetime

    from signalflow.alerts.outcome import Result
    from signalflow.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(digest)


def digest(
    day: Annotated[str | None, typer.Argument(help="A day in UTC, such as 2026-01-31; default: yesterday.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write a page of its own, to pass on.")
    ] = None,
    mail: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Send it by e-mail, through SIGNALFLOW_SMTP_HOST.")
    ] = None,
    _: OfStack = None,
    as_json: JsonFlag = False,
) -> None:
    """Show what a day was about: what stood out, the highest scores, what titles were about. Fit for cron.

    Exit status: 0 done; 1 the e-mail was not taken; 2 wrong usage; 3 the database could not be asked.
    """
    from signalflow.clock import utcnow
    from signalflow.digests.rendering import as_page, as_text

    now = utcnow()
    wanted = _day_of(day, now.date())
    settings = installation_settings()
    with looking():
        told = asyncio.run(_read(settings, wanted, now))
    if html is not None:
        html.write_text(as_page(told), encoding="utf-8")
    if mail is not None:
        _mailed(asyncio.run(_send(settings, told, mail, now)), mail)
    if as_json:
        print(json.dumps(told, default=lambda moment: moment.isoformat()))
    elif html is None and mail is None:
        print(as_text(told), end="")


def _day_of(text: str | None, today: date) -> date:
    if text is None:
        return today - timedelta(days=1)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-01-31", param_hint="DAY") from None
    if not date(1970, 1, 1) < day <= today:
        raise typer.BadParameter(f"must be after 1970-01-01, and at most today, {today} in UTC", param_hint="DAY")
    return day


async def _read(settings: "Settings", day: date, now: "datetime") -> dict[str, Any]:
    from signalflow.storage.digest import digest as read_digest
    from signalflow.storage.pool import create_pool
    from signalflow.storage.read_router import ReadRouter

    async with await create_pool(settings, application_name="signalflow-digest") as pool:
        return await read_digest(ReadRouter(pool, None, 0.0), day, now)


async def _send(settings: "Settings", told: dict[str, Any], recipient: str, now: "datetime") -> "Result":
    from signalflow.alerts.mail import MailServer, send_mail
    from signalflow.digests.rendering import as_mail
    from signalflow.errors import Invalid

    server = MailServer.of(settings)
    if server is None:
        raise typer.BadParameter(
            "there is no mail server: set SIGNALFLOW_SMTP_HOST and SIGNALFLOW_SMTP_FROM", param_hint="--mail"
        )
    try:
        mail = as_mail(told, sender=server.sender, recipient=recipient, now=now)
    except Invalid as error:
        raise typer.BadParameter(str(error), param_hint="--mail") from error
    return await send_mail(mail, server)


def _mailed(result: "Result", recipient: str) -> None:
    from signalflow.alerts.outcome import Verdict

    if result.verdict is not Verdict.DONE:
        print(f"not sent to {recipient}: {result.reason}")
        raise typer.Exit(1)
    print(f"sent to {recipient}")
