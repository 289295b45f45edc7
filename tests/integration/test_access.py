"""Every route needs authentication, except for an explicit list of open routes."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import SecretStr
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from signalflow.errors import Fatal
from signalflow.settings import Settings
from signalflow.storage.pool import create_pool
from tests.api_clients import bearer
from tests.integration.accounts_api import client_of, make_user, running, settings_of, sign_in
from web.app import create_api

# Every other route needs authentication. A line added here opens a route to everybody.
OPEN = {
    ("GET", "/health"),
    ("GET", "/health/"),
    ("GET", "/ready"),
    ("GET", "/ready/"),
    ("GET", "/sign-in"),
    ("GET", "/sign-in/"),
    ("GET", "/sign-in/link"),
    ("GET", "/sign-in/link/"),
    ("POST", "/api/token"),
    ("POST", "/api/token/"),
    ("POST", "/api/token/refresh"),
    ("POST", "/api/token/refresh/"),
    ("POST", "/api/token/verify"),
    ("POST", "/api/token/verify/"),
    ("POST", "/api/session"),
    ("POST", "/api/session/"),
    # The link of a feed is its password.
    ("GET", "/api/alerts/feeds/x/x"),
    ("GET", "/api/alerts/feeds/x/x/"),
}
OPEN_MOUNTS = {"/static"}


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with running(settings_of(database_url)) as made:
        yield made


def flattened(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, including the routes inside of routers."""
    for route in routes:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is None:
            yield route
        else:
            yield from flattened(inner)


def requests(app: FastAPI) -> set[tuple[str, str]]:
    """Method and path of every route, with its parameters filled in, with and without a slash at the end."""
    found = set()
    for route in flattened(app.routes):
        if isinstance(route, Mount):
            assert route.path in OPEN_MOUNTS, f"{route.path} is mounted without authentication"
        elif isinstance(route, APIRoute | Route):
            path = re.sub(r"\{\w+(:\w+)?\}", "x", route.path)
            spellings = {path, path.removesuffix("/") or "/", f"{path.removesuffix('/')}/"}
            found |= {(method, spelling) for method in route.methods or () for spelling in spellings}
        else:
            assert isinstance(route, WebSocketRoute), f"{route!r} is a kind of route that this test does not know"
    return found


async def test_nothing_but_an_explicit_list_answers_without_authentication(app: FastAPI) -> None:
    asked = requests(app)
    assert ("GET", "/api/posts/") in asked
    assert ("GET", "/api/openapi.json") in asked
    async with client_of(app) as client:
        for method, path in sorted(asked - OPEN):
            answer = await client.request(method, path)
            assert answer.status_code == 401, f"{method} {path} answers {answer.status_code} without authentication"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_no_socket_opens_without_authentication(app: FastAPI) -> None:
    paths = [route.path for route in flattened(app.routes) if isinstance(route, WebSocketRoute)]
    for path in paths:
        assert await handshake(app, path) != "websocket.accept", f"{path} opens without authentication"


async def handshake(app: FastAPI, path: str, headers: dict[str, str] | None = None) -> str:
    """The type of the first message that the server sends to a socket."""
    told: list[Any] = []
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in {"host": "localhost", **(headers or {})}.items()],
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        "scheme": "ws",
        "root_path": "",
        "extensions": {"websocket.http.response": {}},
        "app": app,
        "state": {},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"} if not told else {"type": "websocket.disconnect", "code": 1000}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope, receive, send)
    return str(told[0]["type"])


@pytest.mark.parametrize("path", ["/", "/api/openapi.json"])
async def test_a_browser_is_sent_to_the_sign_in_page_and_back(app: FastAPI, path: str) -> None:
    async with client_of(app, headers={"Accept": "text/html,*/*"}) as client:
        answer = await client.get(f"{path}?window=24h")
        assert (answer.status_code, answer.headers["location"][:15]) == (303, "/sign-in?next=%")
        page = await client.get(answer.headers["location"])
    assert page.status_code == 200
    assert f'action="/api/session/?next={path.replace("/", "%2F")}%3Fwindow%3D24h"' in page.text


async def test_roles_include_the_lower_ones_and_no_higher(app: FastAPI, database_url: str) -> None:
    settings = settings_of(database_url)
    async with client_of(app) as client:
        answers = {
            role: (await client.get("/api/audit/", headers=bearer(settings, role))).status_code
            for role in ("reader", "operator", "admin")
        }
        assert answers == {"reader": 403, "operator": 403, "admin": 200}
        assert (await client.get("/api/session/", headers=bearer(settings, "admin"))).json()["role"] == "admin"


@pytest.mark.parametrize("secret", ["", "short", "x" * 64])
def test_the_api_does_not_start_without_a_good_secret(secret: str) -> None:
    with pytest.raises(Fatal, match=r"SIGNALFLOW_API_SECRET .*token_urlsafe"):
        create_api(Settings(api_secret=SecretStr(secret)))


async def test_no_page_of_another_site_may_read_answers_or_frame_them(app: FastAPI, database_url: str) -> None:
    headers = bearer(settings_of(database_url)) | {"Origin": "https://elsewhere.example"}
    async with client_of(app) as client:
        read = await client.get("/api/session/", headers=headers)
        preflight = await client.options("/api/session/", headers=headers | {"Access-Control-Request-Method": "DELETE"})
    for answer in (read, preflight):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert "frame-ancestors 'none'" in read.headers["content-security-policy"]
    assert preflight.status_code != 200


async def test_while_the_database_is_away_signed_in_users_read_and_nobody_operates(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(database_url)
    admin = bearer(settings, "admin")
    away = settings_of("postgresql://nobody@127.0.0.1:1/none", database_timeout=2)
    async with running(away) as app, client_of(app) as client:
        who = await client.get("/api/session/", headers=admin)
        assert (who.status_code, who.json()["role"]) == (200, "reader")
        assert (await client.get("/api/audit/", headers=admin)).status_code == 503
        assert (await client.get("/api/session/")).status_code == 401
        assert (await client.post("/api/token/", json={"username": "ada", "password": "x"})).status_code == 503


async def test_the_secret_and_passwords_and_tokens_are_never_logged_nor_answered(
    app: FastAPI, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of(database_url)
    async with await create_pool(settings, application_name="tests") as pool:
        await make_user(pool, "ada")
    async with client_of(app) as client:
        tokens = await sign_in(client)
        answers = [
            await client.post("/api/token/", json={"username": "ada", "password": "wrong-hush-hush"}),
            await client.post("/api/token/", json={"username": "ada", "password": {"hush": "wrong-hush-hush"}}),
            await client.post("/api/token/", content=b'{"username": "wrong-hush-hush'),
            await client.post("/api/token/refresh/", json={"refresh": tokens["refresh"] + "x"}),
            await client.get("/api/session/", headers={"Authorization": f"Bearer {tokens['access']}x"}),
        ]
    assert [answer.status_code for answer in answers] == [401, 422, 422, 401, 401]
    shown = "".join(capfd.readouterr()) + "".join(answer.text for answer in answers)
    hidden = ("wrong-hush-hush", tokens["refresh"], tokens["access"], settings.api_secret.get_secret_value())
    assert "sign_in_refused" in shown
    assert not [secret for secret in hidden if secret in shown]


async def test_only_host_names_of_this_api_and_ip_addresses_are_accepted(app: FastAPI, database_url: str) -> None:
    async def asked(host: str, **changes: Any) -> int:
        async with running(settings_of(database_url, **changes)) as other, client_of(other) as client:
            return (await client.get("/health", headers={"Host": host})).status_code

    for host in ("localhost:8000", "127.0.0.1:9400", "[::1]:9400", "10.1.2.3", "api"):
        assert await asked(host) == 200, host
    for host in ("rebound.example.org", "rebound.example.org:8000", "", "a b", "x@127.0.0.1", "127.0.0.1:port"):
        assert await asked(host) == 400, host
    assert await asked("Feed.Example.org:443", api_allowed_hosts="feed.example.org, other.org") == 200


@pytest.mark.parametrize("says", [True, False])
async def test_a_body_above_the_limit_is_a_413_problem(app: FastAPI, says: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 65_536

    async with client_of(app) as client:
        content: Any = b"x" * ((1 << 20) + 1) if says else pieces()
        answer = await client.post("/api/token/", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_unknown_paths_are_404_for_everybody(app: FastAPI) -> None:
    async with client_of(app) as client:
        answer: httpx.Response = await client.get("/nothing")
    assert answer.status_code == 404
