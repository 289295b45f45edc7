"""A worker's web views: whoever lacks the token gets health and nothing else."""

import httpx
import pytest
from aiohttp import web
from pydantic import SecretStr

from signalflow.local.ports import LOOPBACK, free_ports
from signalflow.streams.web_access import closed_without

TOKEN = "a-token-of-this-test-with-enough-characters"


async def statuses(token: str, path: str, *headers: str) -> list[int]:
    """What a server with this token answers on one path, by the value of the header Authorization."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(middlewares=closed_without(SecretStr(token)))
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, LOOPBACK, port).start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", trust_env=False) as client:
            raw = [[("Authorization", header.encode())] if header else None for header in headers]
            return [(await client.get(path, headers=one)).status_code for one in raw]
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("path", ["/metrics", "/tables/post_state/abc", "/", "/router/", "/live/x", "/liveness"])
async def test_a_view_needs_the_token(path: str) -> None:
    wrong = ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", "Bearer é")
    assert await statuses(TOKEN, path, *wrong, f"Bearer {TOKEN}") == [401] * len(wrong) + [200]


@pytest.mark.parametrize("path", ["/live", "/ready", "/ready/"])
async def test_health_needs_none(path: str) -> None:
    assert await statuses(TOKEN, path, "", "Bearer wrong") == [200, 200]


async def test_without_a_token_all_is_open_because_it_is_on_loopback() -> None:
    assert await statuses("", "/metrics", "") == [200]
