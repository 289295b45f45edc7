"""Runs the revisions of the schema, and shows which are due. An advisory lock allows one run at a time."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import asyncpg
import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from signalflow.domain.words import SchemaMode
from signalflow.errors import Fatal, Retryable
from signalflow.storage.advisory_locks import LOCK_SPACE, MIGRATION_LOCK
from signalflow.storage.pool import DATABASE_ERRORS, session_settings, translated
from signalflow.storage.poolers import refuse_shared_session
from signalflow.storage.schema import (
    MODE,
    NOT_LOADED,
    REVISION,
    TIMESCALEDB_IS_LOADED,
    VERSION_TABLE_EXISTS,
    SchemaStatus,
    status_of,
)

log = structlog.get_logger()

# A revision may rewrite a table. The time includes waiting for a run that another process has begun.
MIGRATION_SECONDS = 600.0
CONNECT_SECONDS = 10.0


def _config(**attributes: object) -> Config:
    config = Config(output_buffer=io.StringIO())
    config.set_main_option("script_location", str(files("migrations")).replace("%", "%%"))
    config.attributes.update(attributes)
    return config


async def upgrade(database_url: str, *, mode: SchemaMode | None = None) -> SchemaStatus:
    """Bring the schema to the newest revision. `mode` forces the mode of a new schema.

    Raises Retryable when the database is away, does not load TimescaleDB though the schema needs it, or another run
    takes too long; Fatal when the schema is newer than this code, or the database cannot have the mode or is not UTF-8.
    """
    async with _migration_connection(database_url) as migrating:
        encoding = (await migrating.execute(text("SHOW server_encoding"))).scalar_one()
        if encoding != "UTF8":
            raise Fatal(
                f"the database has the encoding {encoding}, which cannot hold every title: make another with "
                "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )
        if (await migrating.execute(text("SELECT lower('É')"))).scalar_one() != "é":
            log.warning(
                "searches_mind_the_case_of_letters_beyond_a_to_z",
                reason="the locale of the database knows no other letters",
                what_to_do="make another with CREATE DATABASE ... LOCALE 'C.UTF-8' TEMPLATE template0",
            )
        found = await _status(migrating)  # Refuses an unknown revision before anything is changed.
        if found.mode == "timescaledb" and not (await migrating.execute(text(TIMESCALEDB_IS_LOADED))).scalar_one():
            raise Retryable(NOT_LOADED)
        await migrating.run_sync(_run, mode)
        return await _status(migrating)


async def status(database_url: str) -> SchemaStatus:
    """The recorded revision and the revisions still to run. Raises like `upgrade`."""
    async with _plain_connection(database_url) as reading:
        return await _status(reading)


def sql(mode: SchemaMode) -> str:
    """The statements of all revisions, for a database that is migrated by hand."""
    output = io.StringIO()
    config = _config(mode=mode)
    config.output_buffer = output
    command.upgrade(config, "head", sql=True)
    return output.getvalue()


async def _status(reading: AsyncConnection) -> SchemaStatus:
    exists = (await reading.execute(text(VERSION_TABLE_EXISTS))).scalar_one()
    revision = (await reading.execute(text(REVISION))).scalar() if exists else None
    mode: SchemaMode | None = (await reading.execute(text(MODE))).scalar() if revision else None
    await reading.commit()
    return status_of(revision, mode)


def _run(migrating: Connection, mode: SchemaMode | None) -> None:
    command.upgrade(_config(connection=migrating, mode=mode), "head")


@asynccontextmanager
async def _plain_connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    async def connect() -> "asyncpg.Connection[asyncpg.Record]":
        connected = await asyncpg.connect(
            database_url,
            timeout=CONNECT_SECONDS,
            server_settings=session_settings(MIGRATION_SECONDS, "signalflow migrate"),
        )
        try:
            await refuse_shared_session(connected, database_url)
        except BaseException:
            connected.terminate()
            raise
        return connected

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    try:
        async with engine.connect() as opened:
            yield opened
    except DBAPIError as error:
        # SQLAlchemy wraps its adapter's error, which wraps the driver's error. The innermost has the SQLSTATE.
        raise translated(_innermost(error)) from error
    except DATABASE_ERRORS as error:
        raise translated(error) from error
    finally:
        await engine.dispose()


@asynccontextmanager
async def _migration_connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection that holds the lock of migrations until it is closed. It waits until another run has ended."""
    async with _plain_connection(database_url) as opened:
        await opened.execute(text(f"SELECT pg_advisory_lock({LOCK_SPACE}, {MIGRATION_LOCK})"))
        await opened.commit()
        yield opened


def _innermost(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or getattr(error, "orig", None)) is not None:
        error = cause
    return error
