"""The two forms of the time series. The first revision chooses one and records it in schema_info."""

from typing import Literal

import sqlalchemy as sa
from alembic import context, op

Mode = Literal["timescaledb", "native"]

# CREATE EXTENSION ends the connection when the library is installed but not preloaded, so both are checked before.
USABLE = """
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
    OR (EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
        AND 'timescaledb' = ANY (string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ',')))
"""


def choose_mode() -> Mode:
    """The mode of a new schema: what the caller asks for, else TimescaleDB when the server can use it."""
    given: Mode | None = context.config.attributes.get("mode")
    if given is not None:
        return given
    if context.is_offline_mode():
        return "native"
    return "timescaledb" if op.get_bind().execute(sa.text(USABLE)).scalar_one() else "native"
