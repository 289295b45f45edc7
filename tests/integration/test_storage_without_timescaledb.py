"""A database whose history is a hypertable, on a server that does not load TimescaleDB: nothing may be written.

An embedded PostgreSQL has no TimescaleDB, so it is what a dump of such a database finds when it is restored there.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from signalflow.domain.words import SchemaMode
from signalflow.errors import Retryable
from signalflow.storage.jobs import compress_old, drop_old, ensure_partitions, refresh_rollup, refresh_touched
from signalflow.storage.migrate import sql, upgrade
from signalflow.storage.pool import Pool
from signalflow.storage.schema import check_schema
from signalflow.storage.writer import write_or_reject
from signalflow.verify import compare, expected
from tests.integration.posts_api import NO_KAFKA, api_of
from tests.integration.storage_rows import NOON, observation, pool_of
from web.worker.views import wrong_with_database

OF_THE_EXTENSION = re.compile(r"CREATE EXTENSION [^;]*;|SELECT create_hypertable\([^;]*;")


@pytest.fixture
def database_mode() -> SchemaMode:
    """All databases of this module are on a server without TimescaleDB."""
    return "native"


@pytest.fixture
async def restored(make_database: Callable[..., str]) -> str:
    """The URL of a database that was migrated in TimescaleDB mode elsewhere."""
    url = make_database()
    connection = await asyncpg.connect(url)
    await connection.execute(OF_THE_EXTENSION.sub("", sql("timescaledb")))
    await connection.close()
    return url


@pytest.fixture
async def restored_pool(restored: str) -> AsyncIterator[Pool]:
    """The application's pool on that database."""
    async with await pool_of(restored) as opened:
        yield opened


async def test_the_start_and_a_migration_are_refused_until_the_library_is_loaded(
    restored: str, restored_pool: Pool
) -> None:
    with pytest.raises(Retryable, match="shared_preload_libraries"):
        await check_schema(restored_pool)
    with pytest.raises(Retryable, match="shared_preload_libraries"):
        await upgrade(restored)


async def test_a_worker_is_not_ready_and_says_why(restored_pool: Pool, database_pool: Pool) -> None:
    assert await wrong_with_database(database_pool) is None
    assert "set shared_preload_libraries to timescaledb" in str(await wrong_with_database(restored_pool))


async def test_an_api_is_not_ready_and_says_why(restored: str) -> None:
    async with api_of(restored, kafka=NO_KAFKA) as client:
        answer = await client.get("/ready")
    said = answer.json()
    assert (answer.status_code, said["ready"], said["database"], said["schema_fits"]) == (503, False, True, False)
    assert "set shared_preload_libraries to timescaledb" in said["what_to_do"]


async def test_each_write_is_refused_and_none_becomes_a_dead_letter(restored_pool: Pool) -> None:
    for rows in ([observation("a", 0), observation("b", 0)], [observation("c", 0, mode="backfill")]):
        for _ in range(2):
            with pytest.raises(Retryable, match="57P03"):
                await write_or_reject(restored_pool, rows)
    for table in ("post_metrics_history", "posts", "rollup_touched"):
        assert await restored_pool.fetch(f"SELECT * FROM {table}") == []


async def test_a_leftover_setting_of_the_library_does_not_count_as_loaded(restored: str) -> None:
    connection = await asyncpg.connect(restored)
    await connection.execute(f"ALTER DATABASE {restored.rpartition('/')[2]} SET timescaledb.license = 'timescale'")
    await connection.close()
    async with await pool_of(restored) as pool:
        assert await pool.fetchval("SELECT current_setting('timescaledb.license')") == "timescale"
        with pytest.raises(Retryable, match="shared_preload_libraries"):
            await check_schema(pool)
        with pytest.raises(Retryable, match="57P03"):
            await write_or_reject(pool, [observation("a", 0)])


@pytest.mark.parametrize(
    "job",
    [
        lambda pool: ensure_partitions(pool, NOON, 3),
        lambda pool: drop_old(pool, NOON, 2),
        lambda pool: compress_old(pool, NOON),
        lambda pool: refresh_rollup(pool, NOON, NOON),
        refresh_touched,
    ],
    ids=["partitions", "retention", "compression", "window", "touched hours"],
)
async def test_no_job_reads_or_drops_a_history_of_which_it_sees_a_part(
    restored_pool: Pool, job: Callable[[Pool], Awaitable[int]]
) -> None:
    await restored_pool.execute("INSERT INTO rollup_touched VALUES ($1)", NOON)
    with pytest.raises(Retryable, match="shared_preload_libraries"):
        await job(restored_pool)
    assert await restored_pool.fetchval("SELECT bucket FROM rollup_touched") == NOON


async def test_verify_does_not_judge_a_history_of_which_it_sees_a_part(restored: str) -> None:
    with pytest.raises(Retryable, match="TimescaleDB"):
        await compare(expected([]), restored)
