"""A simulator whose clock stands still, and a plain HTTP client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start

# 2026-05-05 14:13:20 UTC.
EPOCH = 1_777_990_400.0
AGENT = "linux:signalflow-tests:0.1 (by /u/tester)"


@dataclass
class Client:
    """Asks with a good token."""

    running: RunningSimulator
    session: aiohttp.ClientSession

    async def get(self, path: str, **headers: str) -> tuple[int, Any, Any]:
        """Status, headers and body: decoded where it is JSON, text otherwise."""
        async with self.session.get(self.running.url + path, headers=headers, allow_redirects=False) as response:
            if response.content_type == "application/json":
                return response.status, response.headers, await response.json()
            return response.status, response.headers, await response.text()

    async def listing(self, path: str) -> Any:
        """The data of a Listing."""
        status, _, body = await self.get(path)
        assert status == 200, body
        assert body["kind"] == "Listing"
        return body["data"]

    async def ctl(self, **command: Any) -> Any:
        """Send a command; its answer."""
        async with self.session.post(f"{self.running.url}/__ctl", json=command) as response:
            body = await response.json()
            assert response.status == 200, body
            return body

    async def token(self, client: str = "simulator", secret: str = "simulator", **form: str) -> tuple[int, Any]:
        """Status and body of a request for a token."""
        basic = aiohttp.BasicAuth(client, secret).encode()
        async with self.session.post(
            f"{self.running.url}/api/v1/access_token",
            data=form or {"grant_type": "client_credentials"},
            headers={"Authorization": basic},
        ) as response:
            return response.status, await response.json()


@asynccontextmanager
async def simulated(config: Config | None = None) -> AsyncIterator[Client]:
    """A client with a token for a running simulator, by default with two hours of history and the clock at EPOCH."""
    config = config or Config(parameters=Parameters(epoch=EPOCH, history=7_200.0), speed=0.0)
    running = await start(config)
    try:
        async with aiohttp.ClientSession(headers={"User-Agent": AGENT}) as session:
            client = Client(running, session)
            _, body = await client.token()
            session.headers["Authorization"] = f"bearer {body['access_token']}"
            yield client
    finally:
        await running.close()


def names(listing: Any) -> list[str]:
    """Fullnames of a Listing's things."""
    return [child["data"]["name"] for child in listing["children"]]
