"""The lock of the poller: it has one holder, ends with its connection, and counts only while the server answers."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import asyncpg
import pytest

from signalflow.errors import Retryable
from signalflow.local.ports import free_ports
from signalflow.storage import leader
from signalflow.storage.leader import PollerLock
from tests.integration.storage_rows import settings_of

BACKEND = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE application_name = 'signalflow poller lock' AND datname = current_database()"
)


@pytest.fixture
async def lock(database_url: str) -> AsyncIterator[PollerLock]:
    """A poller's lock."""
    made = PollerLock(settings_of(database_url))
    yield made
    await made.release()


@pytest.fixture
async def successor(database_url: str) -> AsyncIterator[PollerLock]:
    """The lock of another poller on the same database."""
    made = PollerLock(settings_of(database_url))
    yield made
    await made.release()


async def test_one_poller_holds_the_lock(lock: PollerLock, successor: PollerLock) -> None:
    assert await lock.acquire()
    assert await lock.acquire()
    assert await lock.still_held()
    assert not await successor.acquire()
    assert not await successor.still_held()
    await lock.release()
    assert await successor.acquire()
    assert not await lock.still_held()


async def test_pollers_of_different_databases_do_not_exclude_each_other(lock: PollerLock, database_url: str) -> None:
    base, _, _ = database_url.rpartition("/")
    elsewhere = PollerLock(settings_of(f"{base}/postgres"))
    assert await lock.acquire()
    assert await elsewhere.acquire()
    await elsewhere.release()


async def test_a_terminated_connection_loses_the_lock(
    lock: PollerLock, successor: PollerLock, database_url: str
) -> None:
    assert await lock.acquire()
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_terminate_backend($1)", await other.fetchval(BACKEND))
    await other.close()
    assert not await lock.still_held()
    assert await successor.acquire()
    assert not await lock.acquire()


async def test_a_server_that_does_not_answer_in_time_is_as_good_as_a_lost_lock(
    lock: PollerLock, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "ANSWER_SECONDS", 0.5)
    assert await lock.acquire()
    other = await asyncpg.connect(database_url)
    backend = await other.fetchval(BACKEND)
    await other.close()
    os.kill(backend, signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            assert not await lock.still_held()
    finally:
        os.kill(backend, signal.SIGCONT)


async def test_a_database_that_is_away_is_not_taken_for_another_holder() -> None:
    with pytest.raises(Retryable):
        await PollerLock(settings_of(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none")).acquire()
