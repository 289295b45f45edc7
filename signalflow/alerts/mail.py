"""Sends one e-mail through the operator's mail server, once, and says what to do next."""

import asyncio
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal

import aiosmtplib
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPDataError,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
)
from pydantic import SecretStr

from signalflow.alert_settings import AlertSettings
from signalflow.alerts.outcome import ANSWER_KEPT, Result, Verdict
from signalflow.clock import steady

CONNECT_SECONDS = 5.0
# Servers look at a mail for some seconds before they take it.
WHOLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that sends our e-mails. `security`: how the connection is encrypted; without it nothing is sent."""

    host: str
    port: int
    sender: str
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: SecretStr = field(default=SecretStr(""))

    @classmethod
    def of(cls, settings: AlertSettings) -> "MailServer | None":
        """The server of the settings; None if there is none."""
        if not settings.smtp_host:
            return None
        return cls(
            settings.smtp_host,
            settings.smtp_port,
            settings.smtp_from,
            settings.smtp_security,
            settings.smtp_user,
            settings.smtp_password,
        )


async def send_mail(mail: EmailMessage, server: MailServer) -> Result:
    """One try. A failure is a result too, without a word of the password."""
    started = steady()
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            _, told = await aiosmtplib.send(
                mail.as_bytes(),
                sender=server.sender,
                recipients=[str(mail["To"])],
                hostname=server.host,
                port=server.port,
                username=server.user or None,
                password=server.password.get_secret_value() or None,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                # Otherwise the name of this machine is looked up, which takes long where name servers are broken.
                local_hostname=server.sender.rpartition("@")[2],
                timeout=CONNECT_SECONDS,
            )
    except (SMTPException, OSError, TimeoutError, ValueError) as error:
        return _failed(error, server, steady() - started)
    return Result(Verdict.DONE, steady() - started, 250, told[:ANSWER_KEPT])


def _failed(error: Exception, server: MailServer, seconds: float) -> Result:
    place = f"the mail server {server.host}:{server.port}"
    if isinstance(error, SMTPAuthenticationError):
        # What a server answers to a password may hold parts of the exchange.
        reason = f"{place} refused the login: check SIGNALFLOW_SMTP_USER and SIGNALFLOW_SMTP_PASSWORD"
        return Result(Verdict.LATER, seconds, error.code, reason=reason)
    answer = error.recipients[0] if isinstance(error, SMTPRecipientsRefused) else error
    if isinstance(answer, SMTPResponseException):
        is_final = 500 <= answer.code < 600
        verdict = Verdict.LATER
        if is_final and answer is not error:
            verdict = Verdict.GONE
        elif is_final and isinstance(answer, SMTPDataError):
            verdict = Verdict.GIVE_UP
        return Result(verdict, seconds, answer.code, answer.message[:ANSWER_KEPT], f"{place} answered {answer.code}")
    return Result(Verdict.LATER, seconds, reason=f"{place}: {_what_failed(error, server)}")


def _what_failed(error: Exception, server: MailServer) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({cause.verify_message})"
    if isinstance(error, TimeoutError):
        return f"no answer in time ({CONNECT_SECONDS:g} s a step, {WHOLE_SECONDS:g} s together)"
    return (
        f"no connection with security {server.security} ({type(cause).__name__}): check SIGNALFLOW_SMTP_HOST, "
        "SIGNALFLOW_SMTP_PORT and SIGNALFLOW_SMTP_SECURITY"
    )
