"""Which of the two forms the time series take: chosen once, by the first revision, and read from its table ever after."""

from typing import Literal

import sqlalchemy as sa
from alembic import context, op

Mode = Literal["timescaledb", "native"]

# CREATE EXTENSION while the library is present but not preloaded kills the connection, so both must be known before.
USABLE = """
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
    OR (EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
        AND 'timescaledb' = ANY (string_to_array(replace(current_setting('shared_preload_libraries'), ' ', ''), ',')))
"""


def choose_mode() -> Mode:
    """The mode for a new schema: the one that the caller demands, else TimescaleDB where the server can use it."""
    given: Mode | None = context.config.attributes.get("mode")
    if given is not None:
        return given
    if context.is_offline_mode():
        return "native"
    return "timescaledb" if op.get_bind().execute(sa.text(USABLE)).scalar_one() else "native"
