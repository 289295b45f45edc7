"""The operations endpoint, while parts of the installation are away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from signalflow.storage.gaps import open_gap
from signalflow.storage.pool import create_pool
from signalflow.storage.workers import heartbeat
from tests.api_clients import bearer, test_secret
from web.app import create_api

METRICS = b"""# TYPE signalflow_consumer_lag gauge
signalflow_consumer_lag{topic="reddit.posts.raw"} 42.0
# TYPE signalflow_reddit_requests_last_minute gauge
signalflow_reddit_requests_last_minute 17.0
"""


@asynccontextmanager
async def views() -> AsyncIterator[str]:
    """A worker's web views: every path answers with its metrics."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(METRICS) + METRICS)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def operations(settings: Settings) -> dict[str, Any]:
    """The answer that a reader gets."""
    app = create_api(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=bearer(settings)
        ) as client,
    ):
        answer = await client.get("/api/operations")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def settings_of(url: str, **changes: Any) -> Settings:
    """Settings with this database and a Kafka that is away."""
    away = {"kafka": f"127.0.0.1:{free_ports(1)[0]}", "api_secret": SecretStr(test_secret), "database_timeout": 2.0}
    return Settings(database_url=SecretStr(url), **{**away, **changes})


async def report(settings: Settings, name: str, web_url: str, **changes: Any) -> None:
    """A heartbeat of a worker."""
    pool = await create_pool(settings, application_name="tests")
    async with pool:
        await heartbeat(
            pool, name=name, pid=len(name), web_url=web_url, state="running", **{"is_poller": False, **changes}
        )


async def test_a_worker_that_does_not_answer_hides_neither_lag_nor_budget_of_another(
    database_url: str,
) -> None:
    settings = settings_of(database_url)
    async with views() as url:
        await report(settings, "worker-1", url, is_poller=True)
        await report(settings, "worker-12", f"http://127.0.0.1:{free_ports(1)[0]}")
        found = await operations(settings)
    first, second = found["workers"]["items"]
    assert (first["name"], first["status"], first["metrics"]["lag"]) == (
        "worker-1",
        "running",
        {"reddit.posts.raw": 42},
    )
    assert not second["metrics"]["available"]
    assert "web views do not answer" in second["metrics"]["reason"]
    assert found["flow"]["lag"] == {"reddit.posts.raw": 42}
    assert not found["flow"]["complete"]
    assert (found["budget"]["poller"], found["budget"]["used"], found["budget"]["limit"]) == ("worker-1", 17.0, 60.0)


async def test_while_kafka_is_away_the_answer_says_so_and_has_the_database(database_url: str) -> None:
    settings = settings_of(database_url)
    pool = await create_pool(settings, application_name="tests")
    async with pool:
        await open_gap(
            pool, subreddits=["python"], anchor_ids=["a", "b"], since=utcnow(), after=None, opened_at=utcnow()
        )
    found = await operations(settings)
    assert not found["kafka"]["available"]
    assert "does not answer" in found["kafka"]["reason"]
    assert found["database"]["available"]
    assert found["database"]["mode"] == "native"
    assert (found["gaps"]["open"], found["gaps"]["items"][0]["subreddits"]) == (1, ["python"])
    assert found["dead_letters"] == {"available": True, "reason": None, "counts": {}, "oldest_dead": None}


@pytest.mark.usefixtures("kafka_server")
async def test_while_the_database_is_away_the_answer_says_so_and_has_the_brokers(settings: Settings) -> None:
    away = settings.model_copy(
        update={
            "database_url": SecretStr(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none"),
            "api_secret": SecretStr(test_secret),
            "database_timeout": 2.0,
        }
    )
    found = await operations(away)
    for part in ("workers", "flow", "dead_letters", "gaps", "database"):
        assert not found[part]["available"], part
        assert found[part]["reason"], part
    assert found["kafka"]["brokers"] == 1
    # The topics of this test were never created.
    assert "reddit.posts.raw" in " ".join(found["kafka"]["topics_missing"])
