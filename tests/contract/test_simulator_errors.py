"""OAuth, rate limits and faults, as recorded or described of Reddit (reference, sections A1, A5, A6 and F4)."""

import time

import aiohttp
import pytest

from signalflow.simulator.config import Config, Parameters
from tests.contract.simulator_api import EPOCH, simulated

LIMIT_HEADERS = ("x-ratelimit-used", "x-ratelimit-remaining", "x-ratelimit-reset")
INSTALLED = "https://oauth.reddit.com/grants/installed_client"


@pytest.mark.parametrize(
    ("client_id", "secret", "form", "status", "error"),
    [
        ("simulator", "simulator", {"grant_type": "client_credentials"}, 200, None),
        ("simulator", "wrong", {"grant_type": "client_credentials"}, 401, 401),
        ("stranger", "simulator", {"grant_type": "client_credentials"}, 401, 401),
        ("simulator", "simulator", {"grant_type": "nonsense"}, 200, "invalid_grant"),
        ("simulator", "simulator", {"grant_type": "authorization_code", "code": "x"}, 200, "invalid_grant"),
        (
            "simulator",
            "simulator",
            {"grant_type": "password", "username": "simulator", "password": "simulator"},
            200,
            None,
        ),
        (
            "simulator",
            "simulator",
            {"grant_type": "password", "username": "simulator", "password": "x"},
            200,
            "invalid_grant",
        ),
        ("simulator_installed", "", {"grant_type": INSTALLED, "device_id": "DO_NOT_TRACK_THIS_DEVICE"}, 200, None),
        ("simulator_installed", "", {"grant_type": "client_credentials"}, 200, "invalid_grant"),
    ],
)
async def test_a_token_is_given_for_the_right_credentials_and_grant(
    client_id: str, secret: str, form: dict[str, str], status: int, error: object
) -> None:
    async with simulated() as client:
        got, body = await client.token(client_id, secret, **form)
    assert got == status
    assert body.get("error") == error
    assert ("access_token" in body) == (error is None)


async def test_a_refresh_token_is_good_once() -> None:
    async with simulated() as client:
        form = {"grant_type": "password", "username": "simulator", "password": "simulator", "duration": "permanent"}
        _, first = await client.token(**form)
        again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        _, second = await client.token(**again)
        _, third = await client.token(**again)
    assert second["refresh_token"] != first["refresh_token"]
    assert third == {"error": "invalid_grant"}


async def test_an_expired_token_gets_html_and_the_header_that_clients_need() -> None:
    async with simulated() as client:
        assert (await client.get("/r/python/new"))[0] == 200
        client.running.clock.jump(86_401)
        status, headers, body = await client.get("/r/python/new")
        fresh = (await client.token())[1]["access_token"]
        again, _, _ = await client.get("/r/python/new", Authorization=f"bearer {fresh}")
        await client.ctl(expire_tokens=True)
        expired, _, _ = await client.get("/r/python/new", Authorization=f"bearer {fresh}")
    assert (status, again, expired) == (401, 200, 401)
    assert headers["WWW-Authenticate"] == 'Bearer realm="reddit", error="invalid_token"'
    assert body.startswith("<!doctype html>")
    assert LIMIT_HEADERS[0] not in headers


async def test_limit_headers_count_down_in_reddits_notation_and_start_anew_with_the_window() -> None:
    """A1: used "1" (int text), remaining "995.0" (float text), reset "576" (int text), in fixed windows of 600 s."""
    async with simulated() as client:
        _, first, _ = await client.get("/r/python/new")
        client.running.clock.jump(7)
        _, second, _ = await client.get("/r/python/new")
        client.running.clock.jump(600)
        _, third, _ = await client.get("/r/python/new")
    assert [headers["x-ratelimit-used"] for headers in (first, second, third)] == ["1", "2", "1"]
    assert [headers["x-ratelimit-remaining"] for headers in (first, second)] == ["999.0", "998.0"]
    assert int(first["x-ratelimit-reset"]) == int(600 - EPOCH % 600)
    assert int(second["x-ratelimit-reset"]) == int(first["x-ratelimit-reset"]) - 7


async def test_too_many_requests_say_when_to_come_back_without_limit_headers() -> None:
    config = Config(parameters=Parameters(epoch=EPOCH, history=600.0), speed=0.0, limit=2)
    async with simulated(config) as client:
        statuses = [(await client.get("/r/python/new"))[0] for _ in range(2)]
        status, headers, body = await client.get("/r/python/new")
        wait = float(headers["Retry-After"])
        client.running.clock.jump(wait + 1)
        later, _, _ = await client.get("/r/python/new")
    assert statuses == [200, 200]
    assert (status, later) == (429, 200)
    assert 0 < wait <= 600
    assert body.startswith("<!doctype html>")
    assert not set(LIMIT_HEADERS) & {name.lower() for name in headers}


@pytest.mark.parametrize("agent", ["python-requests/2.32", "Python/3.11 aiohttp/3.12", "curl/8.5", ""])
async def test_a_librarys_own_name_is_refused_without_a_hint(agent: str) -> None:
    async with simulated() as client:
        status, headers, body = await client.get("/r/python/new", **{"User-Agent": agent})
    assert (status, body) == (429, {"message": "Too Many Requests", "error": 429})
    assert "Retry-After" not in headers


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 522])
async def test_a_server_error_is_html_and_happens_as_often_as_asked(status: int) -> None:
    async with simulated() as client:
        await client.ctl(path="/r/", status=status, count=2)
        got = [await client.get("/r/python/new") for _ in range(3)]
        other, _, _ = await client.get("/subreddits/popular")
    assert [answer[0] for answer in got] == [status, status, 200]
    assert got[0][2].startswith("<!doctype html>")
    assert other == 200


async def test_faults_hit_the_right_requests_in_the_right_way() -> None:
    async with simulated() as client:
        await client.ctl(path="/r/", contains="worldnews", status=403)
        assert (await client.get("/r/python/new"))[0] == 200
        assert (await client.get("/r/news+worldnews/new"))[2]["reason"] == "private"

        await client.ctl(path="/r/", html=True)
        status, headers, _ = await client.get("/r/python/new")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=UTF-8")

        await client.ctl(path="/api/v1/access_token", status=429, ct="application/json")
        assert (await client.token()) == (429, {"message": "Too Many Requests", "error": 429})

        await client.ctl(path="/r/", rl=False)
        _, headers, body = await client.get("/r/python/new")
        assert body["kind"] == "Listing"
        assert LIMIT_HEADERS[0] not in headers

        await client.ctl(path="/r/", headers={"x-ratelimit-remaining": "soon"}, body="[]", ct="application/json")
        _, headers, body = await client.get("/r/python/new")
        assert (headers["x-ratelimit-remaining"], body) == ("soon", [])


async def test_a_truncated_answer_is_no_json() -> None:
    async with simulated() as client:
        await client.ctl(path="/r/", truncate=True)
        async with client.session.get(f"{client.running.url}/r/python/new") as response:
            with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
                await response.json()


async def test_a_dropped_connection_and_a_delay() -> None:
    async with simulated() as client:
        # aiohttp itself tries a kept-alive connection once more.
        await client.ctl(path="/r/", drop=True, count=2)
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.get("/r/python/new")
        await client.ctl(clear=True)
        await client.ctl(path="/r/", delay=0.2)
        begun = time.monotonic()
        assert (await client.get("/r/python/new"))[0] == 200
        assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize(
    "fault", [{"path": "/", "statsu": 500}, {"path": "/", "count": "1"}, {"path": "/", "status": 99}, {}]
)
async def test_a_misspelt_command_is_refused(fault: dict[str, object]) -> None:
    async with simulated() as client, client.session.post(f"{client.running.url}/__ctl", json=fault) as response:
        assert response.status == 400
        assert "error" in await response.json()
