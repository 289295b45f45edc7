"""A client and a Reddit that says whatever a test tells it to."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from signalflow.reddit.client import AsyncprawClient
from signalflow.settings import Settings
from tests.contract.reddit_servers import RedditServer, Script, serve


def settings_for(url: str, timeout: float = 5.0) -> Settings:
    """Settings that poll the server at this address, with the simulator's credentials."""
    return Settings(
        reddit_base_url=url, reddit_timeout=timeout, reddit_client_id="", reddit_client_secret=SecretStr("")
    )


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def server(script: Script) -> AsyncIterator[RedditServer]:
    async with serve(script) as running:
        yield running


@pytest.fixture
async def client(server: RedditServer) -> AsyncIterator[AsyncprawClient]:
    client = AsyncprawClient.of(settings_for(server.url))
    yield client
    await client.close()
