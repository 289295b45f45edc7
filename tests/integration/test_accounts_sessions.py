"""Signing in with a browser: cookie, CSRF token, one-time link."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from http.cookies import SimpleCookie

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from signalflow.clock import utcnow
from signalflow.storage.accounts import set_password
from signalflow.storage.pool import Pool
from signalflow.storage.sessions import add_link, use_link
from tests.integration.accounts_api import PASSWORD, client_of, make_user, running, settings_of
from tests.integration.test_access import handshake
from web.auth.paths import own_path

GIVEN = {"username": "ada", "password": PASSWORD}


@pytest.fixture
async def app(database_url: str, database_pool: asyncpg.Pool) -> AsyncIterator[FastAPI]:
    """An API with one user, the operator ada."""
    await make_user(database_pool, role="operator")
    async with running(settings_of(database_url)) as made:
        yield made


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies."""
    async with client_of(app) as made:
        yield made


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    (morsel,) = SimpleCookie(answer.headers["set-cookie"]).values()
    return {name: str(value) for name, value in morsel.items() if value} | {"name": morsel.key}


async def test_signing_in_gives_a_session_and_signing_out_ends_it(
    browser: httpx.AsyncClient, database_url: str
) -> None:
    answer = await browser.post("/api/session/", json=GIVEN)
    assert answer.status_code == 200
    session = answer.json()
    assert (session["name"], session["role"], session["kind"]) == ("ada", "operator", "session")
    assert (await browser.get("/api/session/")).json() == session
    stolen = dict(browser.cookies)
    out = await browser.delete("/api/session/", headers={"X-CSRF-Token": session["csrf_token"]})
    assert out.status_code == 204
    assert not browser.cookies
    # The cookie itself is void, and not only deleted in this browser. This process knows at once.
    browser.cookies.update(stolen)
    assert (await browser.get("/api/session/")).status_code == 401
    async with running(settings_of(database_url)) as other, client_of(other, cookies=stolen) as thief:
        assert (await thief.get("/api/session/")).status_code == 401


@pytest.mark.parametrize(("base_url", "secure"), [("http://localhost", None), ("https://localhost", "True")])
async def test_neither_scripts_nor_writes_from_other_sites_get_the_cookie(
    app: FastAPI, base_url: str, secure: str | None
) -> None:
    async with client_of(app, base_url) as browser:
        cookie = cookie_of(await browser.post("/api/session/", json=GIVEN))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == ("True", "lax", "/")
    assert cookie.get("secure") == secure
    assert int(cookie["max-age"]) == 7 * 86_400
    assert "domain" not in cookie


async def test_the_cookies_of_two_apis_on_one_host_do_not_replace_each_other(app: FastAPI, database_url: str) -> None:
    async with running(settings_of(database_url, api_port=8123)) as other:
        names = set()
        for one in (app, other):
            async with client_of(one) as browser:
                names.add(cookie_of(await browser.post("/api/session/", json=GIVEN))["name"])
    assert len(names) == 2


async def test_a_write_with_the_cookie_needs_the_sessions_csrf_token(browser: httpx.AsyncClient, app: FastAPI) -> None:
    session = (await browser.post("/api/session/", json=GIVEN)).json()
    async with client_of(app) as another:
        of_another = (await another.post("/api/session/", json=GIVEN)).json()["csrf_token"]
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": of_another}):
        for method, path in (("DELETE", "/api/session/"), ("POST", "/api/subreddits/")):
            answer = await browser.request(method, path, headers=headers)
            assert answer.status_code == 403, (method, path)
            assert "X-CSRF-Token" in answer.json()["detail"]
    assert (await browser.get("/api/session/")).status_code == 200
    right = await browser.post("/api/subreddits/", headers={"X-CSRF-Token": session["csrf_token"]})
    assert right.status_code == 422  # allowed, and refused only because it has no body


async def test_a_page_of_another_site_cannot_sign_anybody_in(browser: httpx.AsyncClient) -> None:
    for origin in ("https://elsewhere.example", "null", "http://localhost:81", "http://["):
        answer = await browser.post("/api/session/", data=GIVEN, headers={"Origin": origin})
        assert answer.status_code == 403, origin
        assert "set-cookie" not in answer.headers
    own = await browser.post("/api/session/", data=GIVEN, headers={"Origin": "http://localhost"})
    assert own.status_code == 303


async def test_the_form_leads_to_the_wanted_page_or_back_with_the_reason(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/sign-in", params={"next": "/analytics?window=7d"})
    assert "<script>" not in page.text
    assert "style=" not in page.text
    action = page.text.split('action="')[1].split('"')[0]
    wrong = await browser.post(action, data=GIVEN | {"password": "wrong"})
    assert wrong.status_code == 303
    again = await browser.get(wrong.headers["location"])
    assert "no such user with that password" in again.text
    assert action in again.text
    right = await browser.post(action, data=GIVEN)
    assert (right.status_code, right.headers["location"]) == (303, "/analytics?window=7d")
    assert (await browser.get("/api/session/")).status_code == 200


async def test_too_many_sign_ins_at_once_blame_neither_the_password_nor_the_database(
    browser: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.auth.passwords.MOST_WAITING", 0)
    answer = await browser.post("/api/session/", json=GIVEN)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "database" not in answer.text
    by_form = await browser.post("/api/session/", data=GIVEN)
    assert by_form.headers["location"].endswith("why=busy")


@pytest.mark.parametrize(
    "path",
    [
        "//elsewhere.example",
        "/\\elsewhere.example",
        "https://elsewhere.example",
        "/\t/elsewhere.example",
        "",
        "x",
        "/\n/x",
    ],
)
async def test_nobody_is_sent_to_another_site_after_signing_in(browser: httpx.AsyncClient, path: str) -> None:
    answer = await browser.post("/api/session/", data=GIVEN, params={"next": path})
    assert answer.headers["location"] == "/"
    assert own_path(path) == "/"


async def link(pool: asyncpg.Pool, token: str, minutes: float = 15, user: str = "ada") -> bool:
    return await add_link(pool, user, token, utcnow(), utcnow() + timedelta(minutes=minutes), who="tests")


async def test_a_link_signs_in_once_and_leaves_no_token_in_the_address(
    browser: httpx.AsyncClient, app: FastAPI, database_pool: asyncpg.Pool
) -> None:
    assert await link(database_pool, "t0ken")
    first = await browser.get("/sign-in/link", params={"token": "t0ken", "next": "/operations"})
    assert (first.status_code, first.headers["location"]) == (303, "/operations")
    assert first.headers["referrer-policy"] == "same-origin"
    assert (await browser.get("/api/session/")).json()["name"] == "ada"
    async with client_of(app) as second:
        answer = await second.get("/sign-in/link", params={"token": "t0ken"})
        assert answer.headers["location"] == "/sign-in?next=%2F&why=link"
        assert "set-cookie" not in answer.headers
        assert "used before" in (await second.get(answer.headers["location"])).text


async def test_a_head_request_does_not_use_up_a_link(browser: httpx.AsyncClient, database_pool: asyncpg.Pool) -> None:
    """Mail and chat programs check a link with HEAD before its user follows it."""
    await link(database_pool, "t0ken")
    checked = await browser.head("/sign-in/link", params={"token": "t0ken"})
    assert checked.status_code == 405
    assert "set-cookie" not in checked.headers
    assert (await browser.get("/sign-in/link", params={"token": "t0ken"})).headers["location"] == "/"
    assert (await browser.head("/sign-in")).status_code == 200


async def test_a_user_signs_in_from_an_address_that_is_too_long_to_return_to(
    browser: httpx.AsyncClient,
) -> None:
    sent = await browser.get("/?subreddits=" + "x," * 2000, headers={"Accept": "text/html"})
    assert sent.status_code == 303
    assert (await browser.get(sent.headers["location"])).status_code == 200


async def test_a_link_is_void_when_expired_without_a_user_or_older_than_the_password(
    browser: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    await link(database_pool, "old", minutes=-1)
    assert not await link(database_pool, "nobodys", user="nobody")
    await link(database_pool, "before")
    await set_password(database_pool, "ada", "a hash", now=utcnow(), who="tests")
    for token in ("old", "nobodys", "before", ""):
        answer = await browser.get("/sign-in/link", params={"token": token})
        assert answer.headers["location"].startswith("/sign-in?")
    assert not browser.cookies


async def test_a_password_change_while_a_link_is_followed_voids_the_link(
    browser: httpx.AsyncClient, database_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def changed_meanwhile(pool: Pool, token: str, now: datetime) -> object:
        used = await use_link(pool, token, now)
        await set_password(database_pool, "ada", "a hash", now=utcnow(), who="tests")
        return used

    await link(database_pool, "t0ken")
    monkeypatch.setattr("web.api.sign_in.sessions.use_link", changed_meanwhile)
    answer = await browser.get("/sign-in/link", params={"token": "t0ken"})
    assert answer.headers["location"].endswith("why=link")
    assert await database_pool.fetchval("SELECT count(*) FROM sessions") == 0


async def test_a_socket_opens_with_the_cookie_only_from_our_own_pages(browser: httpx.AsyncClient, app: FastAPI) -> None:
    """Every socket is admitted by the function that is tested here."""
    from starlette.websockets import WebSocket

    from web.access import principal_of_socket

    await browser.post("/api/session/", json=GIVEN)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())

    async def who(**headers: str) -> str | None:
        raw = [(name.encode(), value.encode()) for name, value in {"host": "localhost:8000", **headers}.items()]
        scope = {"type": "websocket", "headers": raw, "app": app, "subprotocols": []}
        principal = await principal_of_socket(WebSocket(scope, None, None))  # type: ignore[arg-type]
        return principal.name if principal else None

    assert await who(cookie=cookie, origin="http://localhost:8000") == "ada"
    assert await who(cookie=cookie, origin="https://elsewhere.example") is None
    assert await who(cookie=cookie, origin="http://[") is None
    assert await who(cookie=cookie) is None
    assert await who(origin="http://localhost:8000") is None
    assert await handshake(app, "/nothing") != "websocket.accept"
