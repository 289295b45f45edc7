"""Fixtures of several modules of this folder."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from signalflow.kafka.admin import create_topics
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings, get_settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.storage.pool import Pool
from tests.integration.posts_api import api_of
from tests.integration.storage_rows import pool_of
from tests.integration.workers import WorkerProcess


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """The application's pool on a fresh database."""
    async with await pool_of(database_url) as opened:
        yield opened


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh database, which the commands of this process work on."""
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", database_url)
    get_settings.cache_clear()
    yield database_url
    get_settings.cache_clear()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """A Kafka of one broker that the test may stop and damage."""
    broker, controller = free_ports(2)
    server = EmbeddedKafka(tmp_path / "kafka", [broker], [controller])
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that the test may stop and damage."""
    server = EmbeddedPostgres(tmp_path / "postgres", free_ports(1)[0])
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def ordinary_role(database_server: Any) -> AsyncIterator[str]:
    """A role that may log in with the password `secret`. It outlives the databases that the test makes after it."""
    name = f"owner_{uuid.uuid4().hex[:12]}"
    async with await pool_of(database_server.url("postgres")) as everything:
        await everything.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        yield name
        await everything.execute(f"DROP ROLE {name}")


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A reader's client of an API on a fresh database."""
    async with api_of(database_url) as opened:
        yield opened


@pytest.fixture
async def topics(settings: Settings) -> TopicNames:
    """The topics, created before any worker starts."""
    await create_topics(settings)
    return TopicNames.of(settings)


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A simulated Reddit with many posts, whose scores change fast."""
    running = await start(Config(Parameters(seed=11, activity=20, growth=40, fuzz=0)))
    yield running
    await running.close()


@pytest.fixture
async def worker(settings: Settings, topics: TopicNames, tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    """One ready worker with short flush times."""
    process = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    process.start()
    try:
        await process.ready()
        yield process
    finally:
        process.ensure_stopped()
