"""One message to one target over HTTP: where it may go, what it carries, and what an answer means."""

import asyncio
import gzip
import json
import logging
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from aiohttp.abc import ResolveResult
from standardwebhooks import Webhook

from signalflow.alert_settings import networks_of
from signalflow.alerts import posting
from signalflow.alerts.delivery import WebMessage, WebTarget, deliver, verdict_of
from signalflow.alerts.outcome import ANSWER_KEPT, Result, Verdict
from signalflow.alerts.signing import SigningSecret
from signalflow.errors import Invalid
from tests.unit.alerts.servers import Names, answering, serving

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MESSAGE = WebMessage("msg_1", b'{"type":"alert"}')
# Loopback has many addresses: this one stands for the public internet, 127.0.0.1 for what must not be reached.
OUTSIDE = "127.0.0.2"
ALLOWED = networks_of(OUTSIDE)
OK = answering("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")


async def send(url: str, names: Names | None = None, secrets: tuple[str, ...] = ()) -> Result:
    return await deliver(MESSAGE, WebTarget.of(url, secrets), NOW, allowed=ALLOWED, resolver=names)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "WHOLE_SECONDS", 0.3)


async def test_a_receiver_verifies_the_signature_with_the_old_and_the_new_secret_of_a_rotation() -> None:
    old, new = SigningSecret.new(), SigningSecret.new()
    async with serving(OK, OUTSIDE) as server:
        now = datetime.now(UTC)
        target = WebTarget.of(f"http://{OUTSIDE}:{server.port}/hook?a=1", (old.told(), new.told()))
        result = await deliver(MESSAGE, target, now, allowed=ALLOWED)
    assert (result.verdict, result.status, result.answer, result.reason) == (Verdict.DONE, 200, "ok", "")
    (request,) = server.requests
    assert request.line == "POST /hook?a=1 HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    for secret in (old, new):
        assert Webhook(secret.told()).verify(request.body, request.headers) == json.loads(MESSAGE.body)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "localhost.", "127.1", "0", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
        "017700000001", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::]", "[64:ff9b::7f00:1]", "①②⑦.⓪.⓪.①",
        "127。0。0。1", "127.0.0.1.",
    ],
)  # fmt: skip
async def test_no_spelling_of_this_machine_is_connected_to(host: str) -> None:
    async with serving(OK) as server:
        result = await send(f"http://{host}:{server.port}/")
    assert server.connections == 0
    # Not every name server knows `localhost.`.
    assert result.verdict is Verdict.GIVE_UP or "not found" in result.reason


async def test_a_refusal_names_the_setting_and_not_the_address_that_a_private_name_leads_to() -> None:
    result = await send("http://wiki.corp.example:1/secret", Names(["10.1.2.3"]))
    assert result.verdict is Verdict.GIVE_UP
    assert "SIGNALFLOW_ALERT_NETWORKS" in result.reason
    assert "10.1" not in result.reason


async def test_a_name_is_looked_up_once_and_its_judged_address_is_connected_to() -> None:
    names = Names([OUTSIDE], ["127.0.0.1"])
    async with serving(OK, OUTSIDE) as outside, serving(OK, "127.0.0.1", outside.port) as inside:
        first = await send(f"http://hooks.example:{outside.port}/", names)
        assert (first.verdict, names.asked) == (Verdict.DONE, 1)
        assert (outside.connections, inside.connections) == (1, 0)
        assert outside.requests[0].headers["host"] == f"hooks.example:{outside.port}"
        second = await send(f"http://hooks.example:{outside.port}/", names)
        assert (second.verdict, outside.connections, inside.connections) == (Verdict.GIVE_UP, 1, 0)


async def test_of_several_addresses_only_those_that_may_be_reached_are_connected_to() -> None:
    async with serving(OK, OUTSIDE) as outside, serving(OK, "127.0.0.1", outside.port) as inside:
        result = await send(f"http://hooks.example:{outside.port}/", Names(["127.0.0.1", "::1", OUTSIDE]))
    assert (result.verdict, outside.connections, inside.connections) == (Verdict.DONE, 1, 0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with serving(OK) as inside:
        say = answering(f"HTTP/1.1 {status} Moved\nLocation: http://127.0.0.1:{inside.port}/\nContent-Length: 0\n\n")
        async with serving(say, OUTSIDE) as outside:
            result = await send(f"http://{OUTSIDE}:{outside.port}/")
    assert (result.verdict, inside.connections, outside.connections) == (Verdict.LATER, 0, 1)
    assert "final address" in result.reason


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(OK) as proxy, serving(OK, OUTSIDE) as outside:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        result = await send(f"http://{OUTSIDE}:{outside.port}/")
    assert (result.verdict, proxy.connections, outside.connections) == (Verdict.DONE, 0, 1)


async def test_tls_names_and_checks_the_host_of_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    authority, told = trustme.CA(), []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("hooks.example").configure_cert(tls)
    tls.sni_callback = lambda _socket, name, _context: told.append(name)
    async with serving(OK, OUTSIDE, tls=tls) as server:
        unknown = await send(f"https://hooks.example:{server.port}/", Names([OUTSIDE]))
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)
        right = await send(f"https://hooks.example:{server.port}/", Names([OUTSIDE]))
        other = await send(f"https://other.example:{server.port}/", Names([OUTSIDE]))
        plain = await send(f"http://hooks.example:{server.port}/", Names([OUTSIDE]))
    assert told == ["hooks.example", "hooks.example", "other.example"]
    assert (unknown.verdict, right.verdict, other.verdict) == (Verdict.LATER, Verdict.DONE, Verdict.LATER)
    assert "certificate" in unknown.reason
    assert "certificate" in other.reason
    assert plain.verdict is Verdict.LATER
    assert len(server.requests) == 1


async def test_an_endless_answer_is_read_only_in_part() -> None:
    sent = 0

    async def say(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 10_000)
            await writer.drain()
            sent += 10_000

    async with serving(say, OUTSIDE) as server:
        result = await send(f"http://{OUTSIDE}:{server.port}/")
    assert (result.verdict, result.answer) == (Verdict.DONE, "x" * ANSWER_KEPT)
    # What the kernel buffers of both sides beside what was read.
    assert sent < 20_000_000


async def test_a_compressed_answer_is_not_unpacked() -> None:
    packed = gzip.compress(b"0" * 5_000_000)

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)

    async with serving(say, OUTSIDE) as server:
        result = await send(f"http://{OUTSIDE}:{server.port}/")
    assert result.verdict is Verdict.DONE
    assert "0000" not in result.answer
    assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nx-y: 1\r\n"])
async def test_a_target_that_does_not_answer_is_left_after_the_whole_time(beginning: bytes) -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(beginning)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(say, OUTSIDE) as server:
        result = await send(f"http://{OUTSIDE}:{server.port}/")
    assert (result.verdict, result.status) == (Verdict.LATER, None)
    assert result.seconds < 5


@pytest.mark.usefixtures("short")
async def test_a_slow_body_does_not_change_what_the_status_says() -> None:
    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(say, OUTSIDE) as server:
        result = await send(f"http://{OUTSIDE}:{server.port}/")
    assert (result.verdict, result.status) == (Verdict.DONE, 200)
    assert 0 < len(result.answer) < 1000
    assert result.seconds < 5


@pytest.mark.parametrize(
    "text",
    [
        "", "SSH-2.0-OpenSSH_9.2\n", "HTTP/1.1 abc OK\n\n", "HTTP/1.1 200 OK\nContent-Length: -5\n\n",
        "HTTP/1.1 200 OK\nx: " + "y" * 100_000 + "\n\n",
    ],
    ids=["hangs up", "ssh", "no status", "bad length", "long header"],
)  # fmt: skip
async def test_what_is_no_answer_of_http_is_tried_again_later(text: str) -> None:
    async with serving(answering(text), OUTSIDE) as server:
        result = await send(f"http://{OUTSIDE}:{server.port}/hush")
    assert (result.verdict, result.status, result.answer) == (Verdict.LATER, None, "")
    assert "hush" not in result.reason


async def test_nobody_who_listens_and_an_unknown_name_are_tried_again_later() -> None:
    async with serving(OK, OUTSIDE) as server:
        pass
    closed = await send(f"http://{OUTSIDE}:{server.port}/")
    assert (closed.verdict, closed.reason) == (
        Verdict.LATER,
        f"http://{OUTSIDE}:{server.port}: no connection (Connection refused)",
    )
    unknown = await send("https://hooks.invalid/", Names([]))
    assert (unknown.verdict, unknown.reason) == (
        Verdict.LATER,
        "https://hooks.invalid: its host was not found: check the name",
    )


async def test_a_name_server_that_is_silent_is_left_after_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "CONNECT_SECONDS", 0.1)

    class Silent(Names):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
            await asyncio.Event().wait()
            return []

    result = await send("https://hooks.example/", Silent())
    assert (result.verdict, result.seconds < 5) == (Verdict.LATER, True)
    assert "no answer within" in result.reason


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DONE), (202, Verdict.DONE), (204, Verdict.DONE), (299, Verdict.DONE),
        (302, Verdict.LATER), (400, Verdict.GIVE_UP), (401, Verdict.LATER), (403, Verdict.LATER),
        (404, Verdict.GONE), (408, Verdict.LATER), (410, Verdict.GONE), (413, Verdict.GIVE_UP),
        (422, Verdict.GIVE_UP), (425, Verdict.LATER), (429, Verdict.LATER), (500, Verdict.LATER),
        (503, Verdict.LATER), (999, Verdict.LATER),
    ],
)  # fmt: skip
def test_a_status_says_what_to_do(status: int, verdict: Verdict) -> None:
    assert verdict_of(status) is verdict


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0), ("0.5", 0.5), ("Sat, 31 Jan 2026 12:01:00 GMT", 60.0), ("Fri, 30 Jan 2026 12:00:00 GMT", 0.0),
        ("-1", None), ("nan", None), ("1e999", None), ("soon", None), ("", None),
        ("Mon, 99 Foo 2026 12:01:00 GMT", None),
    ],
)  # fmt: skip
async def test_retry_after_is_a_number_or_a_date_and_anything_else_is_unknown(
    header: str, seconds: float | None
) -> None:
    say = answering(f"HTTP/1.1 503 Busy\nRetry-After: {header}\nContent-Length: 0\n\n")
    async with serving(say, OUTSIDE) as server:
        result = await send(f"http://{OUTSIDE}:{server.port}/")
    assert (result.verdict, result.retry_after) == (Verdict.LATER, seconds)


SECRET = "whsec_" + "aHVzaGh1c2hodXNoaHVzaGh1c2hodXNo"
PATH = "/services/T0/hush?token=hush"


async def test_neither_url_nor_secret_is_in_results_logs_or_representations(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    # The server waits for a request while TLS waits for the server.
    monkeypatch.setattr(posting, "CONNECT_SECONDS", 0.2)
    async with serving(answering("HTTP/1.1 500 Oh\nContent-Length: 0\n\n"), OUTSIDE) as server:
        results = [
            await send(f"{start}{PATH}", names, (SECRET,))
            for start, names in (
                (f"http://{OUTSIDE}:{server.port}", None),
                (f"https://{OUTSIDE}:{server.port}", None),
                ("http://127.0.0.1:1", None),
                ("http://2130706433", None),
                (f"http://{OUTSIDE}:1", None),
                ("http://hooks.example", Names(["10.0.0.1"])),
                ("http://hooks.example", Names([])),
            )
        ]
    target = WebTarget.of(f"https://hooks.example{PATH}", (SECRET,))
    shown = repr((results, target, target.secrets, MESSAGE)) + caplog.text
    assert "hush" not in shown
    assert SECRET[6:] not in shown
    assert "aHVz" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "", "hush", "ftp://example.org/hush", "file:///hush", "http:///hush", "//example.org/hush", "http+unix://hush/",
        "https://me:hush@example.org/", "https://hush@example.org/", "https://example.org\\@hush/", "javascript:hush",
        "https://example.org/hush\r\nX-Evil: 1", "https://exa mple.org/hush", "https://example.org:99999/hush",
        "https://example.org:0/hush", "https://[::1/hush", "https://example.org/" + "hush" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_target_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        WebTarget.of(url)
    assert refused.value.field == "url"
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("secret", ["", "hush", "whsec_", "whsec_hush", "whsec_*hush*", "whsec_" + "aHVz" * 30])
def test_what_is_no_signing_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(Invalid) as refused:
        WebTarget.of("https://example.org", (secret,))
    assert refused.value.field == "secret"
    assert "hush" not in str(refused.value)
    assert "aHVz" not in str(refused.value)


@pytest.mark.parametrize("id_", ["", "a.b", "a b", "a\r\nx-evil: 1", "ä", "a" * 65, "a\n"])
async def test_an_id_that_could_add_a_header_or_move_the_dots_of_the_signed_text_is_refused(id_: str) -> None:
    async with serving(OK, OUTSIDE) as server:
        with pytest.raises(Invalid, match="id of a message"):
            await deliver(WebMessage(id_, b"{}"), WebTarget.of(f"http://{OUTSIDE}:{server.port}"), NOW, allowed=ALLOWED)
    assert server.connections == 0


async def test_encoded_line_ends_in_a_url_stay_encoded() -> None:
    async with serving(OK, OUTSIDE) as server:
        await send(f"http://{OUTSIDE}:{server.port}/a%0d%0aX-Evil:%201?b=%0d%0aX-Evil:1")
    (request,) = server.requests
    assert "x-evil" not in request.headers
    assert request.line.count("%0") == 4


async def test_the_time_of_a_try_is_signed() -> None:
    async with serving(OK, OUTSIDE) as server:
        target = WebTarget.of(f"http://{OUTSIDE}:{server.port}", (SECRET,))
        for now in (NOW, NOW + timedelta(hours=1)):
            await deliver(MESSAGE, target, now, allowed=ALLOWED)
    first, second = (request.headers for request in server.requests)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
    assert first["webhook-id"] == second["webhook-id"] == MESSAGE.id
    assert first["webhook-signature"] != second["webhook-signature"]
