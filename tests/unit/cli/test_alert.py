"""`signalflow alert test`: one alert that is sent now."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from standardwebhooks import Webhook
from typer import Typer
from typer.testing import CliRunner

from signalflow.alerts.signing import SigningSecret
from signalflow.cli import alert
from signalflow.errors import Invalid
from signalflow.settings import get_settings
from tests.unit.alerts.servers import Server, answering, serving
from tests.unit.alerts.test_mail import Postbox, post_office

OK = answering("HTTP/1.1 200 OK\nContent-Length: 7\n\n\x1b[2Jok\n")


@pytest.fixture(autouse=True)
def loopback_is_allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SIGNALFLOW_ALERT_NETWORKS", "127.0.0.1")
    yield
    get_settings.cache_clear()


async def command(*arguments: str) -> Result:
    get_settings.cache_clear()
    app = Typer()
    alert.register(app)
    return await asyncio.to_thread(CliRunner().invoke, app, ["alert", "test", *arguments])


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/hush"


async def test_the_test_alert_is_signed_with_a_new_secret_that_is_shown() -> None:
    async with serving(OK) as server:
        result = await command(address(server), "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["verdict"], told["status"]) == (0, "done", 200)
    (request,) = server.requests
    assert Webhook(told["secret"]).verify(request.body, request.headers)["data"]["rule"] == "Test"


async def test_the_secret_of_a_file_signs_and_is_not_shown(tmp_path: Path) -> None:
    secret = SigningSecret.new().told()
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    async with serving(OK) as server:
        result = await command(address(server), "--secret-file", str(file))
    (request,) = server.requests
    Webhook(secret).verify(request.body, request.headers)
    assert secret not in result.output
    assert "done: status 200" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize(("shape", "part"), [("slack", "blocks"), ("discord", "embeds")])
async def test_chats_get_their_body_without_a_signature(shape: str, part: str) -> None:
    async with serving(OK) as server:
        result = await command(address(server), "--shape", shape)
    (request,) = server.requests
    assert part in json.loads(request.body)
    assert "webhook-signature" not in request.headers
    assert result.exit_code == 0


async def test_what_was_not_taken_is_said_with_status_1() -> None:
    async with serving(answering("HTTP/1.1 410 Gone\nContent-Length: 4\n\nbye\n")) as server:
        result = await command(address(server))
    assert result.exit_code == 1
    assert "gone: status 410" in result.output
    assert "nobody is there; check its address" in result.output
    assert "hush" not in result.output


@pytest.mark.parametrize("url", ["ftp://example.org/hush", "example.org/hush", "https://me:hush@example.org"])
async def test_a_url_that_cannot_be_one_is_wrong_usage_and_is_not_shown(url: str) -> None:
    result = await command(url)
    assert result.exit_code == 2
    assert "the URL of the target" in result.output
    assert "hush" not in result.output


async def test_an_address_that_is_not_allowed_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGNALFLOW_ALERT_NETWORKS")
    async with serving(OK) as server:
        result = await command(address(server))
    assert (result.exit_code, server.connections) == (1, 0)
    assert "SIGNALFLOW_ALERT_NETWORKS" in result.output


async def test_a_test_alert_goes_by_e_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = await command("mailto:you@example.org")
    assert isinstance(missing.exception, Invalid)
    assert "set SIGNALFLOW_SMTP_HOST" in str(missing.exception)
    box = Postbox()
    async with post_office(box) as port:
        given = {"HOST": "127.0.0.1", "PORT": str(port), "SECURITY": "none", "FROM": "flow@flow.example"}
        for name, value in given.items():
            monkeypatch.setenv(f"SIGNALFLOW_SMTP_{name}", value)
        result = await command("mailto:you@example.org")
    assert result.exit_code == 0
    assert box.envelopes == [("flow@flow.example", ["you@example.org"])]
