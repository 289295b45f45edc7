"""The schema's revisions: run, shown, checked. One run at a time, whoever starts it."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from signalflow.errors import Fatal
from signalflow.storage.locks import LOCK_SPACE, MIGRATION_LOCK
from signalflow.storage.pool import DATABASE_ERRORS, Pool, connection, session_settings, translated

Mode = Literal["timescaledb", "native"]

# A revision may rewrite a table; waiting for a run that another process has begun counts as well.
MIGRATION_SECONDS = 600.0
CONNECT_SECONDS = 10.0

_VERSION_TABLE_EXISTS = "SELECT to_regclass('alembic_version') IS NOT NULL"
_REVISION = "SELECT version_num FROM alembic_version"
_MODE = "SELECT mode FROM schema_info"


@dataclass(frozen=True)
class SchemaStatus:
    """The recorded revision (None: no schema yet), the newest one known, those still to run in order, and the mode."""

    revision: str | None
    head: str
    pending: list[str]
    mode: Mode | None


def _config(**attributes: object) -> Config:
    config = Config(output_buffer=io.StringIO())
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


@lru_cache(maxsize=1)
def _revisions() -> tuple[str, ...]:
    """All revisions that this code knows, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return tuple(script.revision for script in scripts.walk_revisions())[::-1]


async def upgrade(database_url: str, *, mode: Mode | None = None) -> SchemaStatus:
    """Bring the schema to the newest revision; does nothing when it is there. `mode` forces the mode of a new schema.

    Raises Retryable when the database is away or another run takes too long, Fatal when the schema is newer than this code.
    """
    async with _migration_connection(database_url) as migrating:
        await _status(migrating)  # refuses a revision that is not ours before anything is touched
        await migrating.run_sync(_run, mode)
        return await _status(migrating)


async def status(database_url: str) -> SchemaStatus:
    """What the database records and what is still to run. Raises like `upgrade`."""
    async with _plain_connection(database_url) as reading:
        return await _status(reading)


def sql(mode: Mode) -> str:
    """The statements of all revisions, for a database that someone else migrates by hand."""
    output = io.StringIO()
    config = _config(mode=mode)
    config.output_buffer = output
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


async def check_schema(pool: Pool) -> Mode:
    """The mode of the schema. Raises Fatal when it is missing, older or newer than this code: writing would fail or damage."""
    async with connection(pool) as reading:
        exists = await reading.fetchval(_VERSION_TABLE_EXISTS)
        found = _status_of(await reading.fetchval(_REVISION) if exists else None, None)
    if found.pending:
        raise Fatal(f"the database lacks revision {found.pending[0]} of the schema: run `signalflow migrate`")
    return await schema_mode(pool)


async def schema_mode(pool: Pool) -> Mode:
    """The mode that the first revision recorded."""
    async with connection(pool) as reading:
        recorded: Mode = await reading.fetchval(_MODE)
    return recorded


def _status_of(revision: str | None, mode: Mode | None) -> SchemaStatus:
    known = _revisions()
    if revision is not None and revision not in known:
        raise Fatal(
            f"the database's schema has revision {revision}, which this version does not know: install a newer one"
        )
    done = 0 if revision is None else known.index(revision) + 1
    return SchemaStatus(revision, known[-1], list(known[done:]), mode)


async def _status(reading: AsyncConnection) -> SchemaStatus:
    exists = (await reading.execute(text(_VERSION_TABLE_EXISTS))).scalar_one()
    revision = (await reading.execute(text(_REVISION))).scalar() if exists else None
    mode: Mode | None = (await reading.execute(text(_MODE))).scalar() if revision else None
    await reading.commit()
    return _status_of(revision, mode)


def _run(migrating: Connection, mode: Mode | None) -> None:
    command.upgrade(_config(connection=migrating, mode=mode), "head")


@asynccontextmanager
async def _plain_connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(
            database_url,
            timeout=CONNECT_SECONDS,
            server_settings=session_settings(MIGRATION_SECONDS, "signalflow migrate"),
        )

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as opened:
            yield opened
    except DBAPIError as error:
        # SQLAlchemy wraps its adapter's error, which wraps the driver's: the innermost has the SQLSTATE.
        raise translated(_innermost(error)) from error
    except DATABASE_ERRORS as error:
        raise translated(error) from error
    finally:
        await engine.dispose()


@asynccontextmanager
async def _migration_connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that holds the lock of migrations until it is closed. Waits for another run to end."""
    async with _plain_connection(database_url) as opened:
        await opened.execute(text(f"SELECT pg_advisory_lock({LOCK_SPACE}, {MIGRATION_LOCK})"))
        await opened.commit()
        yield opened


def _innermost(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = cause
    return error
