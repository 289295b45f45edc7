"""Poolers between us and PostgreSQL. One that shares a session between clients is refused.

Timeouts, prepared statements and the lock of migrations belong to a session. In PgBouncer's transaction mode the next
transaction may be in another session, which lacks them.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from signalflow.errors import Fatal

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

AnyConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

# A statement that was just prepared is unknown (26000), or another client prepared one of that name (42P05).
_OF_SHARED_SESSIONS = frozenset({"26000", "42P05"})
# PgBouncer's words, which it does not translate. Their SQLSTATE, 08P01, also stands for failures that pass.
_REFUSED_SETTING = "unsupported startup parameter"
_REFUSED_TRANSACTION = "not allowed in statement pooling mode"
_BACKEND = "SELECT pg_backend_pid()"
# Longest wait for a session of the pooler, which may have none left.
_SESSION_SECONDS = 2.0
# Other clients of a busy pooler may take the session that this one was to be tried with.
_TRIES = 3


class UnusablePooler(Fatal):
    """The pooler between this program and PostgreSQL breaks what a session must keep."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"a pooler between this program and PostgreSQL {fault}: let SIGNALFLOW_DATABASE_URL (of a replica, "
            "SIGNALFLOW_DATABASE_REPLICA_URL) name the server itself, or a pooler in session mode"
        )


SHARES_SESSIONS = "gives each transaction another session, which cannot work"
REFUSES_SETTINGS = "refuses the settings of our sessions"


def unusable_pooler(error: asyncpg.PostgresError) -> UnusablePooler | None:
    """What this error says about the pooler, if anything."""
    if error.sqlstate in _OF_SHARED_SESSIONS or _REFUSED_TRANSACTION in str(error):
        return UnusablePooler(SHARES_SESSIONS)
    if _REFUSED_SETTING in str(error):
        return UnusablePooler(f"{REFUSES_SETTINGS} ({error})")
    return None


async def refuse_shared_session(connected: AnyConnection, database_url: str) -> None:
    """Raises UnusablePooler when a pooler gives the transactions of this connection different sessions."""
    backend = await connected.fetchval(_BACKEND)
    # Poolers tell a client a number of their own instead of the backend's.
    if backend == connected.get_server_pid():
        return
    # A pooler that has no session left for another client does not share this one.
    with contextlib.suppress(TimeoutError):
        for _ in range(_TRIES):
            if await _moves(connected, backend, database_url):
                raise UnusablePooler(SHARES_SESSIONS)


async def _moves(connected: AnyConnection, backend: int, database_url: str) -> bool:
    """Whether this connection leaves its session when another client holds a transaction open.

    A pooler that shares sessions gives the other client the one that was used last, which is this connection's. Raises
    TimeoutError when the other client gets none.
    """
    other = await asyncpg.connect(database_url, timeout=_SESSION_SECONDS)
    try:
        await asyncio.wait_for(other.execute("BEGIN"), _SESSION_SECONDS)
        try:
            return bool(await asyncio.wait_for(connected.fetchval(_BACKEND), _SESSION_SECONDS) != backend)
        except TimeoutError:
            return True
    finally:
        other.terminate()
