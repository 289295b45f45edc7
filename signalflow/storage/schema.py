"""The state of the schema, for the start of a process.

Alembic is not imported: that takes a second, and only migrations need it.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from signalflow.domain.words import SchemaMode
from signalflow.errors import Fatal, Retryable
from signalflow.storage.pool import Pool, connection

VERSION_TABLE_EXISTS = "SELECT to_regclass('alembic_version') IS NOT NULL"
REVISION = "SELECT version_num FROM alembic_version"
MODE = "SELECT mode FROM schema_info"
# The settings of a library are in pg_settings only where it is loaded, and every role may read this.
TIMESCALEDB_IS_LOADED = "SELECT EXISTS (SELECT FROM pg_settings WHERE starts_with(name, 'timescaledb.'))"
NOT_LOADED = (
    "the history of this database needs TimescaleDB, which the server does not load: set shared_preload_libraries to "
    "timescaledb"
)


class Misfit(Fatal):
    """The schema is missing, older or newer than this code."""


class NotLoaded(Retryable):
    """The history needs TimescaleDB, which the server does not load."""

    def __init__(self) -> None:
        super().__init__(NOT_LOADED)


@dataclass(frozen=True)
class SchemaStatus:
    """The recorded revision (None: no schema), the newest known one, the revisions still to run, and the mode."""

    revision: str | None
    head: str
    pending: list[str]
    mode: SchemaMode | None


@lru_cache(maxsize=1)
def known_revisions() -> tuple[str, ...]:
    """All revisions that this code knows, oldest first.

    Revision 0001 is the module migrations/versions/r0001_<what it makes>.
    """
    modules = (entry.name for entry in files("migrations").joinpath("versions").iterdir())
    return tuple(
        sorted(name[1:].partition("_")[0] for name in modules if name.startswith("r") and name.endswith(".py"))
    )


def status_of(revision: str | None, mode: SchemaMode | None) -> SchemaStatus:
    """The status of a database with this revision. Raises Misfit for a revision that this code does not know."""
    known = known_revisions()
    if revision is not None and revision not in known:
        raise Misfit(
            f"the database's schema has revision {revision}, which this version does not know: install a newer one"
        )
    done = 0 if revision is None else known.index(revision) + 1
    return SchemaStatus(revision, known[-1], list(known[done:]), mode)


async def check_schema(pool: Pool) -> SchemaMode:
    """The mode of the schema.

    Raises Misfit when the schema is missing, older or newer than this code: writes would fail or do harm. Raises
    NotLoaded when the server does not load TimescaleDB and the schema needs it.
    """
    async with connection(pool) as reading:
        exists = await reading.fetchval(VERSION_TABLE_EXISTS)
        found = status_of(await reading.fetchval(REVISION) if exists else None, None)
    if found.pending:
        raise Misfit(f"the database lacks revision {found.pending[0]} of the schema: run `signalflow migrate`")
    return await schema_mode(pool)


async def schema_mode(pool: Pool) -> SchemaMode:
    """The mode that the first revision recorded.

    Raises NotLoaded when the server does not load TimescaleDB and the schema needs it: compressed rows would be
    invisible, and new ones lost once it is loaded again.
    """
    async with connection(pool) as reading:
        recorded: SchemaMode = await reading.fetchval(MODE)
        if recorded == "timescaledb" and not await reading.fetchval(TIMESCALEDB_IS_LOADED):
            raise NotLoaded
    return recorded
