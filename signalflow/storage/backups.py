"""What a backup asks the database, and what a restored database needs before and after its rows."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import asyncpg

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
    status_of,
)

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_CONNECT_SECONDS = 10.0
# A dump takes as long as it takes, and its snapshot must stay open meanwhile.
_NO_LIMITS = {"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
_SERVER = "SELECT current_setting('server_version_num')::int / 10000"
_USES_TLS = "SELECT COALESCE((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false)"
_TIMESCALEDB = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_TIMESCALEDB_TO_INSTALL = "SELECT version FROM pg_available_extension_versions WHERE name = 'timescaledb'"
# Everybody's tables but those of the server and of extensions. A partition is counted with its parent.
_TABLES = """
SELECT format('%I.%I', n.nspname, c.relname) AS quoted, c.relname FROM pg_class c JOIN pg_namespace n
    ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname <> 'information_schema'
    AND n.nspname !~ '^(pg|_timescaledb)_'
    AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    )
ORDER BY 1
"""
_TOPICS = """
SELECT topic_id, topic, partition, next_offset FROM stored_positions LEFT JOIN topics_read USING (topic_id)
ORDER BY topic, topic_id, partition
"""
# Schemas before revision 0015 do not have it.
_TOPICS_ARE_KNOWN = "SELECT to_regclass('topics_read') IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Server:
    """A server: its major version, and whether the session has TLS."""

    version: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What a database is. `positions`: by id and name of a topic that fills it (None: not noted), by partition,
    the offset of the next record that is not stored.
    """

    revision: str
    mode: SchemaMode
    timescaledb: str | None
    positions: Mapping[tuple[UUID, str | None], Mapping[int, int]]


@asynccontextmanager
async def session(database_url: str, name: str) -> AsyncIterator[Session]:
    """A session whose statements may take any time. Errors of the database are raised as those of ours."""
    try:
        opened = await asyncpg.connect(
            database_url, timeout=_CONNECT_SECONDS, server_settings=session_settings(1, name) | _NO_LIMITS
        )
        try:
            await refuse_shared_session(opened, database_url)
            yield opened
            await opened.close()
        finally:
            opened.terminate()
    except DATABASE_ERRORS as error:
        raise translated(error) from error


async def server_of(asked: Session) -> Server:
    """The server of a session."""
    return Server(await asked.fetchval(_SERVER), await asked.fetchval(_USES_TLS))


async def facts_of(asked: Session) -> Facts:
    """What the database is. Raises Fatal when it has no schema of ours, or one that is newer than this code."""
    revision = await asked.fetchval(REVISION) if await asked.fetchval(VERSION_TABLE_EXISTS) else None
    if revision is None:
        raise Fatal("the database has no schema of signalflow, so there is nothing to back up")
    status_of(revision, None)
    positions: dict[tuple[UUID, str | None], dict[int, int]] = {}
    if await asked.fetchval(_TOPICS_ARE_KNOWN):
        for topic_id, topic, partition, offset in await asked.fetch(_TOPICS):
            positions.setdefault((topic_id, topic), {})[partition] = offset
    return Facts(revision, await asked.fetchval(MODE), await asked.fetchval(_TIMESCALEDB), positions)


async def row_counts(asked: Session) -> dict[str, int]:
    """How many rows each table has. It reads all of them."""
    return {
        name: await asked.fetchval(f"SELECT count(*) FROM {quoted}")  # noqa: S608, quoted by the server
        for quoted, name in await asked.fetch(_TABLES)
    }


async def refuse_unless_empty(asked: Session) -> None:
    """Raises Fatal when the database has tables, or is being migrated. Nobody migrates it while the session lasts."""
    if not await asked.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_SPACE, MIGRATION_LOCK):
        raise Fatal("the database is being migrated, or another backup is being restored into it")
    tables = [name for _, name in await asked.fetch(_TABLES)]
    if tables:
        some = ", ".join(tables[:3]) + (" ..." if len(tables) > 3 else "")
        raise Fatal(
            f"the database is not empty, it has {len(tables)} tables ({some}): make another one with "
            "CREATE DATABASE ... TEMPLATE template0, or give --state-dir of a directory without a database"
        )


async def begin_timescaledb(asked: Session, version: str) -> None:
    """Make the extension in the version that the backup has, and let it take rows as they were dumped.

    Without this, rows of compressed days are not restored. Raises Retryable when the server does not load TimescaleDB,
    Fatal when it has another version.
    """
    if not await asked.fetchval(TIMESCALEDB_IS_LOADED):
        raise Retryable(NOT_LOADED)
    present = await asked.fetchval(_TIMESCALEDB)
    to_install = [found for (found,) in await asked.fetch(_TIMESCALEDB_TO_INSTALL)]
    if version not in ([present] if present else to_install):
        raise Fatal(
            f"the backup is of TimescaleDB {version}, which this server does not have (it has "
            f"{present or ', '.join(to_install)}): install {version}, restore, then ALTER EXTENSION timescaledb UPDATE"
        )
    if not present:
        await asked.execute(f"CREATE EXTENSION timescaledb VERSION '{version}'")
    await asked.execute("SELECT timescaledb_pre_restore()")


async def end_timescaledb(asked: Session) -> None:
    """Let TimescaleDB work as usual again."""
    await asked.execute("SELECT timescaledb_post_restore()")


async def analyze(asked: Session) -> None:
    """Count what the planner must know; a dump has none of it."""
    await asked.execute("ANALYZE")
