"""Every address that clients use is routed: addresses.txt lists them, with a slash at the end and without."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from tests.api_clients import test_secret
from web.app import create_api

ADDRESSES = [line.split() for line in (Path(__file__).parent / "addresses.txt").read_text().splitlines()]
SOCKETS = [path for method, path in ADDRESSES if method == "WEBSOCKET"]
REQUESTS = [(method, re.sub(r"\{\w+\}", "1", path)) for method, path in ADDRESSES if method != "WEBSOCKET"]
HEADS = [("HEAD", path) for method, path in REQUESTS if method == "GET" and path != "/sign-in/link"]


@pytest.fixture
def app() -> FastAPI:
    """An API whose database is away."""
    away = SecretStr(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none")
    return create_api(Settings(database_url=away, database_timeout=1, api_secret=SecretStr(test_secret)))


async def test_every_address_is_routed_in_every_spelling_without_a_redirect(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        answers = {
            (method, path): (await client.request(method, path)).status_code for method, path in REQUESTS + HEADS
        }
    # Without a principal, a body or a database: 401, 422 and 503 come from the endpoint or from its dependencies.
    assert not {request: status for request, status in answers.items() if status not in (200, 401, 422, 503)}
    assert len(answers) > 100


@pytest.mark.slow
def test_no_two_documented_paths_differ_only_by_a_slash_at_the_end(app: FastAPI) -> None:
    paths = Counter(path.rstrip("/") for path in app.openapi()["paths"])
    assert len(paths) > 20
    assert [path for path, spellings in paths.items() if spellings > 1] == []


@pytest.mark.parametrize("path", SOCKETS)
async def test_the_socket_is_routed_in_both_spellings(app: FastAPI, path: str) -> None:
    messages: list[Any] = []
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"localhost")], "subprotocols": [], "client": ("127.0.0.1", 1), "root_path": "",
        "server": ("localhost", 80), "scheme": "ws", "extensions": {"websocket.http.response": {}},
    }  # fmt: skip

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        messages.append(message)

    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    # The endpoint's own refusal of a client that has not signed in; a socket that is not routed gets 404.
    assert (messages[0]["type"], messages[0]["status"]) == ("websocket.http.response.start", 401)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing/", 404),
        ("GET", "/api/posts//", 404),
        ("GET", "/api/posts/1/history//", 404),
        ("GET", "/static/", 404),
        ("GET", "/static/app.js", 200),
        ("HEAD", "/sign-in/link", 405),
        ("HEAD", "/sign-in/link/", 405),
        ("POST", "/api/posts", 405),
        ("DELETE", "/api/subreddits", 405),
    ],
)
async def test_no_other_address_is_routed(app: FastAPI, method: str, path: str, status: int) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        assert (await client.request(method, path)).status_code == status
