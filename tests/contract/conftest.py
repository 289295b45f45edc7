"""A client and a Reddit that says whatever a test tells it to; a world for a poller, and its pace."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from signalflow.domain import budget
from signalflow.domain.backoff import Backoff
from signalflow.reddit.client import AsyncprawClient
from signalflow.settings import Settings
from tests.contract.poller_run import BREAKER_SECONDS, PUBLISH_SPACING, World
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


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules at a pace for tests."""
    monkeypatch.setattr(budget, "MAX_PER_MINUTE", 6000.0)
    monkeypatch.setattr(budget, "BREAKER_SECONDS", BREAKER_SECONDS)
    monkeypatch.setattr(budget, "FAILURE_WAITS", Backoff(first=BREAKER_SECONDS, most=BREAKER_SECONDS))
    monkeypatch.setattr(budget, "UNNAMED_WAITS", Backoff(first=0.15, most=budget.PUBLISHED_WINDOW))
    monkeypatch.setattr(budget, "SHORTEST_WAIT", 0.1)
    monkeypatch.setattr("signalflow.domain.known.PUBLISH_SPACING", PUBLISH_SPACING)
    monkeypatch.setattr("signalflow.domain.watchlist.SHORTEST_INTERVAL", 0.2)
    monkeypatch.setattr("signalflow.domain.watchlist.LONGEST_RETRY", 0.2)
    monkeypatch.setattr("signalflow.domain.watchlist.EXCLUSIONS", Backoff(first=0.5, most=60.0))
    monkeypatch.setattr("signalflow.domain.batches.RETRIES", Backoff(first=0.2, most=0.2))
    monkeypatch.setattr("signalflow.domain.batches.SET_ASIDE", Backoff(first=0.5, most=60.0))
    monkeypatch.setattr("signalflow.domain.gaps.PAGE_RETRY", 0.2)
    monkeypatch.setattr("signalflow.domain.refresh.SHORTEST_REPEAT", 0.1)
    monkeypatch.setattr("signalflow.domain.refresh.EMPTY_WAIT", 0.1)
    monkeypatch.setattr("signalflow.reddit.poller.WHILE_AWAY", Backoff(first=0.1, most=0.1))
    monkeypatch.setattr("signalflow.reddit.poller.LEDGER_PATIENCE", 0.5)
    monkeypatch.setattr("signalflow.reddit.gap_writer.WHILE_AWAY", Backoff(first=0.1, most=0.1))


@pytest.fixture
def world() -> World:
    return World()
