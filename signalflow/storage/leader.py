"""The lock that a poller must hold: a PostgreSQL advisory lock on a connection of its own."""

from contextlib import suppress
from typing import Any

import asyncpg

from signalflow.errors import SignalflowError
from signalflow.settings import Settings
from signalflow.storage.advisory_locks import LOCK_SPACE, POLLER_LOCK
from signalflow.storage.pool import DATABASE_ERRORS, session_settings, translated

# A poller that does not learn within this many seconds whether it holds the lock must act as if it did not.
ANSWER_SECONDS = 5.0

_TRY = f"SELECT pg_try_advisory_lock({LOCK_SPACE}, {POLLER_LOCK})"
_HELD = f"""
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = {LOCK_SPACE} AND objid = {POLLER_LOCK} AND objsubid = 2
)
"""  # noqa: S608, constants


class PollerLock:
    """Held by at most one process per database. A process that loses the lock's connection loses the lock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Any = None

    async def acquire(self) -> bool:
        """Take the lock; returns False when another process holds it. Raises Retryable when the database is away."""
        if await self.still_held():
            return True
        try:
            self._connection = await asyncpg.connect(
                self._settings.database_url.get_secret_value(),
                timeout=ANSWER_SECONDS,
                command_timeout=ANSWER_SECONDS,
                server_settings=session_settings(ANSWER_SECONDS, "signalflow poller lock"),
            )
            held = bool(await self._connection.fetchval(_TRY))
        except DATABASE_ERRORS as error:
            self._drop()
            raise translated(error) from error
        if not held:
            await self.release()
        return held

    async def still_held(self) -> bool:
        """Whether this process holds the lock, answered within 5 s. False also when the database cannot be asked.

        `acquire` tells these two cases apart.
        """
        if self._connection is None:
            return False
        try:
            held = bool(await self._connection.fetchval(_HELD))
        except DATABASE_ERRORS:
            held = False
        if not held:
            self._drop()
        return held

    async def release(self) -> None:
        """Release the lock if this process holds it."""
        closing, self._connection = self._connection, None
        if closing is None:
            return
        # Even if closing fails, the connection is gone, and with it the lock.
        with suppress(*DATABASE_ERRORS, SignalflowError):
            await closing.close(timeout=ANSWER_SECONDS)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
