"""Fixtures of all tests: one real Kafka and one real PostgreSQL per run, a database and topics per test."""

import asyncio
import gc
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import hypothesis
import pytest
import structlog
from pydantic import SecretStr

from signalflow.domain.words import SchemaMode
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.storage.migrate import upgrade
from tests.api_clients import test_secret
from tests.recorded_data import VARIABLE, recorded_data

# The time that examples take depends on the machine, not on the code.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

# A shell has what it starts in the background ignore Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What is imported and collected lives until the end. Python's search for reference cycles would go through it again and
# again: that was a third of the time of collecting, and a tenth of the time of the tests.
gc.disable()

T = TypeVar("T")
TEMPLATE = "signalflow_template"
# A server with TimescaleDB, for the suites of both modes; without one they run in native mode alone.
TIMESCALE_DSN = os.environ.get("SIGNALFLOW_TEST_TIMESCALE_DSN", "")
SUITES_BY_MODE = ("test_storage_", "test_path_", "test_verify")
# A session in a database that is to be copied holds up the copy.
COPY_SECONDS = 30.0
# These tests do not crash the server, and without fsync they run much faster.
UNSAFE_BUT_FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "200"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a fixture of the servers, so that `make test-unit` does not start servers.

    Modules with slow tests come first, in their order: at the end of a run no process waits for another's long module.
    """
    for item in items:
        if {"postgres_server", "kafka_server"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("chaos")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Look for reference cycles from here on, among what the tests make."""
    gc.freeze()
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the suites of storage, path and verify in both modes where there is a server with TimescaleDB.

    A test of another suite does so when it is marked `by_mode`. A module with a fixture `database_mode` has one mode.
    """
    if not TIMESCALE_DSN or "database_mode" not in metafunc.fixturenames or hasattr(metafunc.module, "database_mode"):
        return
    suite = metafunc.module.__name__.rpartition(".")[2]
    if suite.startswith(SUITES_BY_MODE) or metafunc.definition.get_closest_marker("by_mode"):
        metafunc.parametrize("database_mode", ["native", "timescaledb"], indirect=True)


@pytest.fixture(autouse=True)
def _logs_of_one_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo a test's logging setup: its loggers would write to its captured output, which is closed by then."""
    configure = structlog.configure
    monkeypatch.setattr(
        structlog, "configure", lambda **given: configure(**given | {"cache_logger_on_first_use": False})
    )
    yield
    structlog.reset_defaults()


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop of its own, even while another loop runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of the recorded inputs. Skips the test where there is none."""
    directory = recorded_data()
    if not directory.is_dir():
        pytest.skip(f"no recorded inputs at {directory}: set {VARIABLE} to their directory")
    return directory


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL server of this run."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), free_ports(1)[0], UNSAFE_BUT_FAST)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """The Kafka of this run, with one broker that accepts a proxy in front of it.

    The first run on a machine downloads Kafka.
    """
    broker, controller, *relayed = free_ports(4)
    server = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), [broker], [controller], relayed=[(relayed[0], relayed[1])])
    server.start()
    yield server
    server.stop()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with the current schema and no rows, which is copied for each test."""
    run_sync(_execute(postgres_server.url("postgres"), f"CREATE DATABASE {TEMPLATE}"))
    run_sync(upgrade(postgres_server.url(TEMPLATE)))
    return TEMPLATE


class TimescaleServer:
    """The server of SIGNALFLOW_TEST_TIMESCALE_DSN."""

    def url(self, database: str) -> str:
        return TIMESCALE_DSN if database == "postgres" else f"{TIMESCALE_DSN.rpartition('/')[0]}/{database}"


@pytest.fixture(scope="session")
def timescale_template() -> Iterator[str]:
    """The name of a database like `migrated_template` on the server with TimescaleDB."""
    server, name = TimescaleServer(), f"{TEMPLATE}_{uuid.uuid4().hex[:12]}"
    run_sync(_execute(server.url("postgres"), f"CREATE DATABASE {name}"))
    run_sync(upgrade(server.url(name)))
    run_sync(_execute(server.url("postgres"), f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
    # TimescaleDB's scheduler holds up each copy by seconds. It does not come back where nobody may connect.
    ending = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'"
    run_sync(_execute(server.url("postgres"), ending))
    yield name
    run_sync(_execute(server.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


async def _copy(admin_url: str, template: str, name: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        async with asyncio.timeout(COPY_SECONDS):
            while True:
                try:
                    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
                except asyncpg.ObjectInUseError:
                    await asyncio.sleep(0.1)
                else:
                    return
    finally:
        await connection.close()


@pytest.fixture
def database_mode(request: pytest.FixtureRequest) -> SchemaMode:
    """The mode of this test's databases."""
    mode: SchemaMode = getattr(request, "param", "native")
    return mode


@pytest.fixture
def database_server(postgres_server: EmbeddedPostgres, database_mode: SchemaMode) -> EmbeddedPostgres | TimescaleServer:
    """The server of this test's databases."""
    return TimescaleServer() if database_mode == "timescaledb" else postgres_server


@pytest.fixture
def make_database(database_server: EmbeddedPostgres | TimescaleServer) -> Iterator[Callable[..., str]]:
    """Makes databases and returns their URLs: `make_database()` an empty one, `make_database(template)` a copy."""
    made: list[str] = []

    def make(template: str = "template1") -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        run_sync(_copy(database_server.url("postgres"), template, name))
        made.append(name)
        return database_server.url(name)

    yield make
    for name in made:
        run_sync(_execute(database_server.url("postgres"), f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def database_url(
    make_database: Callable[..., str], migrated_template: str, database_mode: SchemaMode, request: pytest.FixtureRequest
) -> str:
    """The URL of a fresh database with the current schema."""
    if database_mode == "timescaledb":
        return make_database(request.getfixturevalue("timescale_template"))
    return make_database(migrated_template)


@pytest.fixture
async def database_pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on a fresh database with the current schema."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4) as pool:
        yield pool


@pytest.fixture
def settings(kafka_server: EmbeddedKafka, database_url: str, tmp_path: Path) -> Settings:
    """Settings of an installation on this run's servers, with its own topics, group, database and state directory."""
    unique = uuid.uuid4().hex[:8]
    return Settings(
        kafka=kafka_server.bootstrap,
        database_url=SecretStr(database_url),
        state_dir=tmp_path / "state",
        app_id=f"signalflow-{unique}",
        topic_prefix=f"test-{unique}-",
        topic_partitions=4,
        worker_web_port=free_ports(1)[0],
        api_secret=SecretStr(test_secret),
    )
