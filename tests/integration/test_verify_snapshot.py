"""The snapshot of the database that `signalflow verify` compares with."""

import asyncpg
import pytest

from signalflow.storage.pool import Pool
from signalflow.verify.compare import snapshot
from tests.waiting import until


async def end_the_connection_in_a_snapshot(pool: Pool, database_url: str) -> None:
    async with snapshot(database_url) as connection:
        await pool.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await until(connection.is_closed)
        await connection.fetchval("SELECT count(*) FROM posts")


async def test_a_database_that_goes_away_in_the_middle_is_told_as_that(pool: Pool, database_url: str) -> None:
    with pytest.raises(asyncpg.InterfaceError, match=r"^connection is closed$"):
        await end_the_connection_in_a_snapshot(pool, database_url)
