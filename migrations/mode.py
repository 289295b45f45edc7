"""The two forms of the history. The first revision chooses one and records it in schema_info."""

from typing import Literal

import sqlalchemy as sa
from alembic import context, op

from signalflow.errors import Fatal

Mode = Literal["timescaledb", "native"]

# What every role may read. The settings of a library are in pg_settings only where it is loaded. CREATE EXTENSION ends
# the connection when the library is installed but not loaded, so both are checked before.
FOUND = """
SELECT EXISTS (SELECT FROM pg_settings WHERE starts_with(name, 'timescaledb.')) AS is_loaded,
    EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AS is_created,
    EXISTS (
        SELECT FROM pg_available_extension_versions AS v JOIN pg_roles AS r ON r.rolname = current_user
        WHERE v.name = 'timescaledb' AND has_database_privilege(current_database(), 'CREATE')
            AND (r.rolsuper OR v.trusted OR NOT v.superuser)
    ) AS may_create
"""


def choose_mode() -> Mode:
    """The mode of a new schema: what the caller asks for, else TimescaleDB when the server and the role can use it.

    Raises Fatal, with what to choose, when the database cannot have that mode.
    """
    given: Mode | None = context.config.attributes.get("mode")
    if context.is_offline_mode():
        return given or "native"
    is_loaded, is_created, may_create = op.get_bind().execute(sa.text(FOUND)).one()
    if is_created and not is_loaded:
        raise Fatal(
            "the database has the extension timescaledb, and the server does not load it: set shared_preload_libraries "
            "to timescaledb, or use a database without the extension"
        )
    usable = is_loaded and (is_created or may_create)
    if given == "timescaledb" and not usable:
        why = "this role may not create the extension" if is_loaded else "the server does not load it"
        raise Fatal(f"TimescaleDB cannot be used ({why}): choose --mode native")
    return given or ("timescaledb" if usable else "native")
