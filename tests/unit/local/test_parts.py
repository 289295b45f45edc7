"""Questions of the supervisor to its parts are cheap: it asks several a second, all day."""

import ssl

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from signalflow.local.parts import http_ok


@pytest.mark.parametrize("status", [200, 503])
async def test_a_question_reads_no_certificates(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading them took ten times as long as the question."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status)

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("certificates are read")

    app = web.Application()
    app.router.add_get("/ready", answer)
    async with TestServer(app) as server:
        monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", refused)
        monkeypatch.setattr(ssl.SSLContext, "load_default_certs", refused)
        assert await http_ok(str(server.make_url("/ready"))) is (status == 200)


async def test_a_closed_port_is_not_ready() -> None:
    assert not await http_ok("http://127.0.0.1:9/ready")


async def test_a_broken_answer_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise httpx.RemoteProtocolError("no HTTP")

    monkeypatch.setattr(httpx.AsyncClient, "get", broken)
    assert not await http_ok("http://127.0.0.1:9/ready")
