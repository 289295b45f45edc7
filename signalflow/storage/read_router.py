"""Sends reads to a streaming replica whose lag is small enough, and otherwise to the primary."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import structlog

from signalflow.errors import Fatal, Retryable, SignalflowError
from signalflow.metrics import REPLICA_NOT_IN_USE
from signalflow.settings import Settings
from signalflow.storage.pool import Pool, TookTooLong, connection, create_pool

# Seconds between two looks at the replica, or a quarter of the allowed lag if that is less. What is read may be older
# than the allowed lag by this much.
LOOK_SECONDS = 0.5

# The byte of the write-ahead log at which a statement ran. It is taken after the statement's snapshot, so all that the
# statement saw was written before it.
POSITION = """(SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END
    - '0/0'::pg_lsn)::bigint AS position, (SELECT pg_is_in_recovery()) AS on_replica"""
_WRITTEN = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint"
_REPLAYED = """
SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END
"""

Row: TypeAlias = asyncpg.Record

log = structlog.get_logger()


class ReadRouter:
    """Chooses the server of each read. A process has one; `run` must run beside it when there is a replica."""

    def __init__(self, primary: Pool, replica: "Pool | None", max_lag: float) -> None:
        self._primary, self._replica, self._max_lag = primary, replica, max_lag
        # How many bytes of log the primary had written at which time (monotonic seconds, bytes), oldest first, for the
        # last `max_lag` seconds.
        self._written: deque[tuple[float, int]] = deque()
        self._replayed: int | None = None
        self._in_use: bool | None = None

    @property
    def replica_in_use(self) -> bool | None:
        """Whether reads go to the replica now; None without a replica."""
        return self._usable(0) if self._replica else None

    @property
    def primary(self) -> Pool:
        """The pool of the primary, for reads that must see the newest writes."""
        return self._primary

    async def fetch(self, statement: str, *parameters: Any, position: int = 0, from_primary: bool = False) -> list[Row]:
        """The rows of a statement. `position`: bytes of log that a replica must have replayed to be asked.

        When the replica fails, the primary is asked. Raises Retryable, Invalid or Fatal.
        """
        if self._replica is not None and not from_primary and self._usable(position):
            try:
                async with connection(self._replica) as reading:
                    return await reading.fetch(statement, *parameters)
            except TookTooLong:
                raise
            except (Retryable, Fatal) as error:
                self._note(in_use=False, reason=str(error))
        async with connection(self._primary) as reading:
            return await reading.fetch(statement, *parameters)

    async def run(self) -> None:
        """Keep measuring the replica's lag until cancelled."""
        while self._replica is not None:
            await self.look()
            await asyncio.sleep(min(LOOK_SECONDS, self._max_lag / 4))

    async def look(self) -> None:
        """Ask both servers for the end of their log.

        This measures the lag without their clocks and without privileges.
        """
        assert self._replica is not None
        # Taken before both are asked, so that no position seems younger than it is.
        now = time.monotonic()
        try:
            async with asyncio.timeout(self._max_lag):
                written, replayed = await asyncio.gather(
                    _number(self._primary, _WRITTEN), _number(self._replica, _REPLAYED)
                )
        except (SignalflowError, TimeoutError) as error:
            self._replayed = None
            self._note(in_use=False, reason=f"{type(error).__name__}: {error}")
            return
        if replayed is None:
            self._replayed = None
            self._note(in_use=False, reason="it is no replica (any more)")
            return
        assert written is not None
        self._written.append((now, written))
        while self._written[0][0] < now - self._max_lag:
            self._written.popleft()
        self._replayed = replayed
        self._note(in_use=self._usable(0), reason=f"it is more than {self._max_lag:g} s behind")

    def _usable(self, position: int) -> bool:
        """Whether the replica has replayed this position and what the primary wrote up to `max_lag` seconds ago."""
        if self._replayed is None or self._replayed < position:
            return False
        oldest = time.monotonic() - self._max_lag
        return any(at >= oldest and written <= self._replayed for at, written in self._written)

    def _note(self, *, in_use: bool, reason: str) -> None:
        if not in_use:
            self._replayed = None
        if in_use != self._in_use:
            self._in_use = in_use
            REPLICA_NOT_IN_USE.set(not in_use)
            if in_use:
                log.info("replica_in_use")
            else:
                log.warning("replica_not_in_use", reason=reason)


async def _number(pool: Pool, statement: str) -> int | None:
    async with connection(pool) as asking:
        number: int | None = await asking.fetchval(statement)
        return number


@asynccontextmanager
async def open_read_router(settings: Settings) -> AsyncIterator[ReadRouter]:
    """A read router with connections of its own, which end each statement after `read_timeout` seconds."""
    reading = settings.model_copy(update={"database_timeout": settings.read_timeout})
    primary = await create_pool(reading, application_name="signalflow-api-read")
    replica: Pool | None = None
    if settings.database_replica_url.get_secret_value():
        at_replica = reading.model_copy(update={"database_url": settings.database_replica_url})
        replica = await create_pool(at_replica, application_name="signalflow-api-read")
    router = ReadRouter(primary, replica, settings.replica_max_lag)
    watching = asyncio.create_task(router.run())
    try:
        yield router
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError, Retryable):
            await watching
        # A statement that hangs must not delay the shutdown.
        for pool in (primary, replica):
            if pool is not None:
                pool.terminate()
