"""A database that stops, ends its sessions, has a deadlock, is slow or has a full disk."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from tests.chaos.faults.base import Fault, Run
from tests.chaos.waiting import happens

DOWN_SECONDS = 1.5
# In a run, the workers' statements time out after 4 s.
SLOW_SECONDS = 6.0
FULL_SECONDS = 3.0
DEADLOCK_SECONDS = 20.0

# A trigger that disturbs every statement that stores posts. A sequence counts them, because it is never rolled back.
_OBSTACLE = """
CREATE SEQUENCE IF NOT EXISTS chaos_met;
CREATE OR REPLACE FUNCTION chaos_obstacle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('chaos_met');
    {action};
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_obstacle BEFORE INSERT ON posts FOR EACH STATEMENT EXECUTE FUNCTION chaos_obstacle();
"""
_REMOVE = "DROP TRIGGER IF EXISTS chaos_obstacle ON posts"
_MET = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM chaos_met"
_DISK_FULL = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'"
_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'signalflow%'
"""
_WAITING = """
SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'signalflow%')
"""
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
# The sink locks posts in the order of their ids: holding a high one makes it wait while it holds lower ones.
_LOCK_HIGH = "SELECT count(*) FROM (SELECT FROM posts WHERE id LIKE 'k%' AND id >= 'k7' FOR UPDATE) AS locked"
_LOCK_LOW = "SELECT count(*) FROM (SELECT FROM posts WHERE id LIKE 'k%' AND id < 'k7' ORDER BY id FOR UPDATE) AS locked"


@asynccontextmanager
async def _session(run: Run) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(run.cluster.settings.database_url.get_secret_value(), timeout=30)
    try:
        yield connection
    finally:
        connection.terminate()


async def immediate_stop(run: Run) -> None:
    """The server stops at once, and recovers from its write-ahead log."""
    async with run.gate.together():
        async with run.injecting("PostgreSQL stops at once") as injection:
            await run.cluster.database.stop_at_once()
            await asyncio.sleep(DOWN_SECONDS * run.rnd.random())
            await run.cluster.database.start()
        await run.recovered(injection)


async def terminate_backends(run: Run) -> None:
    """The server ends all sessions of ours in the middle of their work."""
    async with run.gate.together(), _session(run) as session:
        async with run.injecting("all backends terminated") as injection:
            ended = await session.fetchval(_TERMINATE)
            injection.detail = f"{ended} backends"
            assert ended, "there was no session"
        await run.recovered(injection)


async def deadlock(run: Run) -> None:
    """A transaction of another client and one of the sink wait for each other; the server ends the sink's."""
    async with run.gate.together(), _session(run) as other, _session(run) as looking:
        async with run.injecting("a deadlock") as injection:
            before = await looking.fetchval(_DEADLOCKS)
            met = await happens(lambda: _one_deadlock(other, looking, before), DEADLOCK_SECONDS)
            assert met, "no transaction of the sink met it"
        await run.recovered(injection)


async def _one_deadlock(other: Any, looking: Any, before: int) -> bool:
    with contextlib.suppress(asyncpg.DeadlockDetectedError, asyncpg.QueryCanceledError):
        async with other.transaction():
            # The sink checks for a deadlock first, after the server's default of 1 s, so its transaction is ended.
            await other.execute("SET LOCAL deadlock_timeout = '10s'; SET LOCAL statement_timeout = '12s'")
            await other.fetchval(_LOCK_HIGH)
            await happens(lambda: looking.fetchval(_WAITING), 2.0)
            await other.fetchval(_LOCK_LOW)
    deadlocks: int = await looking.fetchval(_DEADLOCKS)
    return deadlocks > before


async def statement_timeout(run: Run) -> None:
    """Statements take longer than their timeout."""
    await _obstacle(run, "a statement timeout", "PERFORM pg_sleep(30)", SLOW_SECONDS)


async def disk_full(run: Run) -> None:
    """The server's disk is full for a while."""
    await _obstacle(run, "a full disk", _DISK_FULL, FULL_SECONDS)


async def _obstacle(run: Run, kind: str, action: str, seconds: float) -> None:
    async with run.gate.together(), _session(run) as session:
        async with run.injecting(kind) as injection:
            await session.execute(_OBSTACLE.format(action=action))
            before = await session.fetchval(_MET)
            await asyncio.sleep(seconds)
            met = await session.fetchval(_MET) - before
            await session.execute(_REMOVE)
            injection.detail = f"{met} statements"
            assert met, "no statement met it"
        await run.recovered(injection)


FAULTS = (
    Fault("PostgreSQL stops at once", "servers", 4, immediate_stop),
    Fault("all backends terminated", "servers", 4, terminate_backends),
    Fault("a deadlock", "servers", 4, deadlock),
    Fault("a statement timeout", "servers", 4, statement_timeout, in_short_form=False),
    Fault("a full disk", "servers", 4, disk_full),
)
