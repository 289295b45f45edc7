"""The client of Reddit goes through the proxy that the environment names."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import BasicAuth, web
from aiohttp.test_utils import TestServer

from signalflow.errors import Fatal, SignalflowError
from signalflow.reddit.sources import client_of
from signalflow.settings import Settings


class Proxy:
    """A proxy that answers each request itself, as Reddit would, and remembers whom it was for."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.credentials: list[str | None] = []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.hosts.append(request.headers["Host"])
        self.credentials.append(request.headers.get("Proxy-Authorization"))
        if request.path.endswith("access_token"):
            return web.json_response({"access_token": "t", "expires_in": 3600, "scope": "*", "token_type": "bearer"})
        return web.json_response({"kind": "Listing", "data": {"children": [], "after": None}})


@pytest.fixture
async def proxy(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    made = Proxy()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.answer)
    async with TestServer(app) as server:
        monkeypatch.setenv("HTTP_PROXY", str(server.make_url("/")))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        yield made


async def ask(base_url: str, **changes: Any) -> None:
    client = client_of(Settings(reddit_base_url=base_url, reddit_timeout=2, **changes))
    try:
        await client.listing(["python"])
    finally:
        await client.close()


FEEDS: dict[str, Any] = {"reddit_source": "feeds", "reddit_contact": "you@example.org"}


async def test_requests_for_reddit_go_through_the_proxy(proxy: Proxy) -> None:
    await ask("http://reddit.invalid")
    assert proxy.hosts == ["reddit.invalid", "reddit.invalid"]


@pytest.mark.parametrize("source", [{}, FEEDS], ids=["api", "feeds"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_without_scheme_and_with_a_password_is_used(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str, source: dict[str, Any]
) -> None:
    address = os.environ["HTTP_PROXY"].removeprefix("http://")
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.setenv(variable, f"me:p%40ss@{address}")
    with contextlib.suppress(SignalflowError):  # The proxy of these tests has no feed.
        await ask("http://reddit.invalid", **source)
    assert set(proxy.hosts) == {"reddit.invalid"}
    assert set(proxy.credentials) == {BasicAuth("me", "p@ss").encode()}


async def test_a_proxy_that_cannot_be_used_is_refused_before_anything_is_asked(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "socks5://127.0.0.1:1080")
    for source in ({}, FEEDS):
        with pytest.raises(Fatal, match="socks5"):
            client_of(Settings(reddit_base_url="http://reddit.invalid", **source))
    client_of(Settings(reddit_base_url="http://127.0.0.1:9"))


async def test_requests_for_hosts_of_no_proxy_do_not(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "reddit.invalid")
    with pytest.raises(Exception, match="no answer"):
        await ask("http://reddit.invalid")
    assert proxy.hosts == []


async def test_a_simulator_on_this_machine_is_asked_directly(proxy: Proxy) -> None:
    with pytest.raises(Exception, match="no answer"):
        await ask("http://127.0.0.1:9")
    assert proxy.hosts == []


@pytest.mark.parametrize(
    ("avoided", "asked"), [("other.invalid", ["CONNECT reddit.invalid:443 HTTP/1.1"]), ("reddit.invalid", [])]
)
async def test_the_proxy_is_asked_for_a_tunnel_to_an_https_address_unless_no_proxy_names_it(
    monkeypatch: pytest.MonkeyPatch, avoided: str, asked: list[str]
) -> None:
    requests: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readline()).decode().strip())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.setenv("NO_PROXY", avoided)
        with pytest.raises(Exception, match="no answer"):
            await ask("https://reddit.invalid")
    assert requests[:1] == asked
