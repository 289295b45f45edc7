"""Connections to PostgreSQL. Every wait has a limit, and every error says what the caller can do."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg.connection import LoggedQuery
from asyncpg.pool import PoolConnectionProxy

from signalflow.errors import Fatal, Invalid, Retryable, SignalflowError
from signalflow.metrics import DATABASE_STATEMENT_SECONDS, DATABASE_WAIT_SECONDS
from signalflow.settings import Settings
from signalflow.storage.poolers import AnyConnection, UnusablePooler, refuse_shared_session, unusable_pooler
from signalflow.storage.statement_names import name_of

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# Seconds by which the client's timeout of a statement is longer than the server's. So the server ends a statement
# first, with a SQLSTATE. The client's timeout is for a server that does not answer.
CLIENT_GRACE_SECONDS = 2.0
# Longest wait for a free connection of the pool, and for giving it back.
ACQUIRE_SECONDS = 15.0
# A start does not wait longer for a database that does not answer. The pooler may take this long to be found out.
START_SECONDS = 5.0

# 08 connection, 40 rollback (deadlock, serialization), 53 resources (disk full, too many connections), 57 operator
# (shutdown, statement timeout); 25006 a read-only server (failover), 25P03 and 25P04 a transaction that a stopped
# process left open, 55P03 our own lock timeout. Nothing is wrong with the row in any of them.
RETRYABLE_CLASSES = frozenset({"08", "40", "53", "57"})
RETRYABLE_STATES = frozenset({"25006", "25P03", "25P04", "55P03"})
STATEMENT_TIMEOUT = "57014"
# 22 data exception, 23 integrity constraint violation: the row itself is wrong.
INVALID_CLASSES = frozenset({"22", "23"})
# SQLSTATE class of a refused user or password.
REFUSED_CLASS = "28"

_URLS = "SIGNALFLOW_DATABASE_URL (of a replica, in SIGNALFLOW_DATABASE_REPLICA_URL)"
_NOT_TRUSTED = f"the database's certificate is not trusted: check host name and sslrootcert in {_URLS}"

# asyncpg raises InternalClientError when the server ends a connection just as a statement begins.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    EOFError,
    TimeoutError,
)


class TookTooLong(Retryable):
    """The server ended a statement that reached its timeout.

    The same statement may be faster later. A statement over fewer rows certainly is.
    """


def session_settings(timeout: float, application_name: str) -> dict[str, str]:
    """Settings of a session whose statements take at most `timeout` seconds.

    Waiting for a lock may take half, so that the error names the lock.
    """
    milliseconds = str(max(int(timeout * 1000), 2))
    return {
        "application_name": application_name[:63],
        "statement_timeout": milliseconds,
        "lock_timeout": str(max(int(timeout * 500), 1)),
        "idle_in_transaction_session_timeout": milliseconds,
        "timezone": "UTC",
        "jit": "off",
        # What the server acknowledged must survive its crash, whatever its own setting or the role's says.
        "synchronous_commit": "on",
        # Plans for arrays need the arrays' real lengths: the generic plan assumes ten elements and joins batches by
        # nested loops.
        "plan_cache_mode": "force_custom_plan",
        # A client that vanished must not keep its locks: the server gives it up after 5 + 3 * 3 s.
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "3",
        "tcp_keepalives_count": "3",
    }


async def create_pool(settings: Settings, *, application_name: str) -> Pool:
    """A pool that connects when first used, so that a server that is away stops nothing before."""
    timeout = settings.database_timeout
    url = settings.database_url.get_secret_value()

    async def check(connected: AnyConnection) -> None:
        await refuse_shared_session(connected, url)
        await _check_durability(connected)
        connected.add_query_logger(_measure)

    return await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=settings.database_pool_size,
        timeout=timeout,
        command_timeout=timeout + CLIENT_GRACE_SECONDS,
        # There are few statements, and they never change: preparing them again every five minutes has no use.
        max_cached_statement_lifetime=0,
        server_settings=session_settings(timeout, application_name),
        init=check,
    )


def _measure(statement: LoggedQuery) -> None:
    DATABASE_STATEMENT_SECONDS.labels(statement=name_of(statement.query)).observe(statement.elapsed)


async def _check_durability(connected: AnyConnection) -> None:
    """Raises Fatal when the session's setting for commits did not arrive: poolers may drop what a session asks for."""
    found = await connected.fetchval("SHOW synchronous_commit")
    if found in ("off", "local"):
        raise Fatal(
            f"the database's sessions have synchronous_commit={found} although they ask for on: a crash would lose "
            "rows that count as stored. Let the pooler pass it on, or set it for the role: "
            "ALTER ROLE ... SET synchronous_commit = on"
        )


async def refuse_unusable_pooler(settings: Settings) -> None:
    """Raises UnusablePooler when the database is behind one. Says nothing of a database that is away."""
    pool = await create_pool(settings, application_name="signalflow start")
    try:
        async with asyncio.timeout(START_SECONDS), connection(pool):
            pass
    except UnusablePooler:
        raise
    except (SignalflowError, TimeoutError):
        pass  # Whoever uses the database says so.
    finally:
        pool.terminate()


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool. Database errors inside the block are raised as Retryable, Invalid or Fatal."""
    try:
        with DATABASE_WAIT_SECONDS.time():
            acquired = await pool.acquire(timeout=ACQUIRE_SECONDS)
        try:
            with _dropped_on_timeout(acquired):
                yield acquired
        finally:
            await pool.release(acquired)
    except DATABASE_ERRORS as error:
        raise translated(error) from error


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """A connection inside a transaction that commits at the end of the block. Raises like `connection`."""
    async with connection(pool) as acquired, acquired.transaction():
        with _dropped_on_timeout(acquired):
            yield acquired


@contextmanager
def _dropped_on_timeout(acquired: Connection) -> Iterator[None]:
    """Drop the connection when the server did not answer in time, or the caller was cancelled.

    A rollback or a reset would only wait for the same server once more.
    """
    try:
        yield
    except (TimeoutError, asyncio.CancelledError):
        acquired.terminate()
        raise


def values_of(row: "asyncpg.Record") -> dict[str, Any]:
    """The columns of a row by their names. Ids are of Python's own type: orjson refuses that of asyncpg."""
    return {name: _own(value) for name, value in row.items()}


def _own(value: Any) -> Any:
    if isinstance(value, list):
        return [_own(one) for one in value]
    return UUID(bytes=value.bytes) if isinstance(value, UUID) else value


def translated(error: BaseException) -> SignalflowError:
    """The error of ours that says what to do about a database error.

    Its message has the SQLSTATE, and never the row's values.
    """
    if isinstance(error, asyncpg.PostgresError):
        return _by_sqlstate(error)
    if isinstance(error, asyncpg.InterfaceError):
        # asyncpg has one class for a closed connection and for wrong use of a connection. Only a closed connection is
        # worth another try.
        closed = any(word in str(error) for word in ("closed", "closing", "released"))
        return Retryable(f"database: {error}") if closed else Fatal(f"database: {error}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Fatal(f"{_NOT_TRUSTED} ({error.verify_message})")
    if isinstance(error, ConnectionError) and "rejected SSL" in str(error):
        return Fatal(f"the database does not speak TLS, which sslmode asks for in {_URLS}")
    if isinstance(error, OSError | EOFError | asyncpg.InternalClientError):  # TimeoutError is an OSError
        return Retryable(f"database: {type(error).__name__}: {error}")
    return Fatal(f"database: {type(error).__name__}: {error}")


def _by_sqlstate(error: asyncpg.PostgresError) -> SignalflowError:
    pooler = unusable_pooler(error)
    if pooler is not None:
        return pooler
    state = str(getattr(error, "sqlstate", None) or "")
    # When asyncpg itself refuses a value, its message shows the value; the cause has the same reason without it.
    reason = error.__cause__ or (error.args[0] if error.args else "")
    message = f"database: {type(error).__name__} {state}: {reason}"
    if state == STATEMENT_TIMEOUT:
        return TookTooLong(message)
    if state[:2] in RETRYABLE_CLASSES or state in RETRYABLE_STATES:
        return Retryable(message)
    if state[:2] in INVALID_CLASSES:
        column = getattr(error, "column_name", None) or getattr(error, "constraint_name", None)
        return Invalid(message, field=column)
    if state[:2] == REFUSED_CLASS:
        return Fatal(f"{message}: check user and password in {_URLS}")
    return Fatal(message)
