"""Alerts by e-mail: what the mail says, and what a mail server's answers mean."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from signalflow.alerts import mail as mailing
from signalflow.alerts.digest import digest_mail
from signalflow.alerts.mail import MailServer, send_mail
from signalflow.alerts.outcome import Verdict
from signalflow.errors import Invalid
from signalflow.settings import Settings
from tests.unit.alerts.examples import AT, alert

FROM, TO = "flow@flow.example", "you@example.org"


@dataclass
class Postbox:
    """Takes mails, or answers what a test wants."""

    rcpt: str = "250 OK"
    data: str = "250 taken"
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)

    # aiosmtpd gives the names.
    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.rcpt

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.envelopes.append((envelope.mail_from, envelope.rcpt_tos))
        self.mails.append(message_from_bytes(envelope.content, policy=MAIL_POLICY))
        return self.data

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append(given.password)
        return AuthResult(success=given.password == b"hush-hush", handled=False)


@asynccontextmanager
async def post_office(
    box: Postbox, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False
) -> AsyncIterator[int]:
    """A mail server on loopback; its port."""

    def session() -> SMTP:
        return SMTP(
            box,
            hostname="mail.example",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=login,
            auth_require_tls=starttls is not None,
            authenticator=box.authenticate,
            loop=asyncio.get_running_loop(),
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def plain_server(port: int, **fields: Any) -> MailServer:
    return MailServer("127.0.0.1", port, FROM, **({"security": "none"} | fields))


def mail() -> EmailMessage:
    return digest_mail("dg_1", [alert()], sender=FROM, recipient=TO, now=AT)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of a server on loopback, by an authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_a_mail_arrives_as_it_was_made() -> None:
    box = Postbox()
    async with post_office(box) as port:
        result = await send_mail(mail(), plain_server(port))
    assert (result.verdict, result.status, result.answer, result.reason) == (Verdict.DONE, 250, "taken", "")
    assert box.envelopes == [(FROM, [TO])]
    (got,) = box.mails
    assert (got["From"], got["To"], got["Subject"]) == (FROM, TO, "Rust in the news: Rust 3.0 is out")
    assert (got["Message-ID"], got["Auto-Submitted"]) == ("<dg_1@flow.example>", "auto-generated")
    assert got["Date"].datetime == AT
    text, html = (got.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert text.splitlines() == [
        "Rust 3.0 is out",
        "Its velocity of 2.5 a second is above 2.",
        "r/rust, score 1,204, velocity 2.5, comments unknown",
        "Rust in the news, 2026-01-31 12:00 UTC",
        "https://www.reddit.com/r/rust/comments/1abc2d/rust_30_is_out/",
    ]
    assert '<a href="https://www.reddit.com/r/rust/comments/1abc2d/rust_30_is_out/">Rust 3.0 is out</a>' in html


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_login_and_mail_go_over_tls(certificate: ssl.SSLContext, security: str) -> None:
    box = Postbox()
    # Neither server takes a mail without TLS.
    encryption = {security: certificate}
    async with post_office(box, login=True, **encryption) as port:
        server = plain_server(port, security=security, user="flow", password=SecretStr("hush-hush"))
        result = await send_mail(mail(), server)
    assert (result.verdict, result.reason) == (Verdict.DONE, "")
    assert (box.logins, box.envelopes) == ([b"hush-hush"], [(FROM, [TO])])


async def test_nothing_is_sent_to_a_server_that_does_not_offer_what_is_set() -> None:
    box = Postbox()
    async with post_office(box) as port:
        for security in ("starttls", "tls"):
            server = plain_server(port, security=security, user="flow", password=SecretStr("hush-hush"))
            result = await send_mail(mail(), server)
            assert result.verdict is Verdict.LATER
            assert "SIGNALFLOW_SMTP_SECURITY" in result.reason
    assert (box.envelopes, box.logins) == ([], [])


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    box = Postbox()
    async with post_office(box, starttls=certificate) as port:
        result = await send_mail(mail(), plain_server(port, security="starttls"))
    assert (result.verdict, box.envelopes) == (Verdict.LATER, [])
    assert "certificate" in result.reason


async def test_a_wrong_password_is_named_by_its_settings_and_not_shown(certificate: ssl.SSLContext) -> None:
    box = Postbox()
    async with post_office(box, starttls=certificate, login=True) as port:
        server = plain_server(port, security="starttls", user="flow", password=SecretStr("hush-wrong"))
        result = await send_mail(mail(), server)
    assert (result.verdict, result.status, box.envelopes) == (Verdict.LATER, 535, [])
    assert "check SIGNALFLOW_SMTP_USER and SIGNALFLOW_SMTP_PASSWORD" in result.reason
    assert "hush" not in repr((result, result.answer, server))


@pytest.mark.parametrize(
    ("answers", "verdict", "status"),
    [
        ({"rcpt": "550 no such user"}, Verdict.GONE, 550),
        ({"rcpt": "450 mailbox busy"}, Verdict.LATER, 450),
        ({"data": "554 this is spam"}, Verdict.GIVE_UP, 554),
        ({"data": "451 try again"}, Verdict.LATER, 451),
    ],
)
async def test_an_answer_of_the_mail_server_says_what_to_do(
    answers: dict[str, str], verdict: Verdict, status: int
) -> None:
    async with post_office(Postbox(**answers)) as port:
        result = await send_mail(mail(), plain_server(port))
    assert (result.verdict, result.status) == (verdict, status)
    assert next(iter(answers.values())).partition(" ")[2] in result.answer


async def test_a_mail_server_that_is_away_or_silent_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "CONNECT_SECONDS", 0.2)
    async with post_office(Postbox()) as port:
        pass
    away = await send_mail(mail(), plain_server(port))
    assert (away.verdict, away.status) == (Verdict.LATER, None)
    assert f"127.0.0.1:{port}" in away.reason
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    result = await send_mail(mail(), plain_server(silent.sockets[0].getsockname()[1]))
    silent.close()
    assert (result.verdict, result.status) == (Verdict.LATER, None)
    assert "no answer in time" in result.reason
    assert result.seconds < 5


async def test_a_mail_server_that_drips_is_left_after_the_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "WHOLE_SECONDS", 0.3)

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"220-still here\r\n")
            await asyncio.sleep(0.02)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    result = await send_mail(mail(), plain_server(server.sockets[0].getsockname()[1]))
    server.close()
    assert result.verdict is Verdict.LATER
    assert result.seconds < 5


@given(rule=st.text(), title=st.text(), sentence=st.text())
def test_nothing_that_strangers_wrote_adds_a_header_or_markup(rule: str, title: str, sentence: str) -> None:
    of = alert(rule=f"{rule}\r\nBcc: all@example.org", title=f"{title}</a><script>", sentence=sentence)
    made = digest_mail("dg_1", [of], sender=FROM, recipient=TO, now=AT).as_bytes()
    made.decode("ascii")
    read = message_from_bytes(made, policy=MAIL_POLICY)
    assert read.keys() == [
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    ]  # fmt: skip
    html = read.get_body(("html",)).get_content()
    assert "<script" not in html
    assert html.count("<") == html.count("<p>") * 5 + html.count("<br>") + html.count("<a href=")


@pytest.mark.parametrize(
    "address",
    [
        "", "you", "you@", "@example.org", "you@example.org\r\nBcc: all@example.org", "you@example.org, me@example.org",
        "You <you@example.org>", "you@exa mple.org", "you@example.org\n", "yöu@example.org", "a" * 250 + "@b.org",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid, match="one address of e-mail"):
        digest_mail("dg_1", [alert()], sender=FROM, recipient=address, now=AT)


def test_an_id_that_could_add_a_header_is_refused() -> None:
    with pytest.raises(Invalid, match="id of a message"):
        digest_mail("a>\r\nBcc: b", [alert()], sender=FROM, recipient=TO, now=AT)


def test_a_digest_names_its_rules_and_counts_what_it_does_not_show() -> None:
    alerts = [alert(id=f"al_{number}", rule=f"rule {number % 3}", title=f"post {number}") for number in range(60)]
    made = digest_mail("dg_1", alerts, sender=FROM, recipient=TO, now=AT)
    assert made["Subject"] == "60 alerts: rule 0, rule 1, rule 2"
    contents: list[Callable[[], str]] = [made.get_body((kind,)).get_content for kind in ("plain", "html")]
    for content in contents:
        assert "post 49" in content()
        assert "post 50" not in content()
        assert "... and 10 more" in content()


def test_a_long_subject_is_cut() -> None:
    made = digest_mail("dg_1", [alert(title="x" * 500)], sender=FROM, recipient=TO, now=AT)
    assert made["Subject"] == "Rust in the news: " + "x" * 101 + "…"


def test_the_mail_server_is_that_of_the_settings() -> None:
    assert MailServer.of(Settings()) is None
    settings = Settings(
        smtp_host="mail.example", smtp_from=FROM, smtp_user="flow", smtp_password=SecretStr("hush-hush\n")
    )
    server = MailServer.of(settings)
    assert server == MailServer("mail.example", 587, FROM, "starttls", "flow", SecretStr("hush-hush"))
    assert "hush" not in repr(server)
