"""The metrics of the database's clients: which statements take long, and how long a connection is waited for."""

import asyncio

import asyncpg
import pytest

from signalflow.errors import Retryable
from signalflow.metrics import API_REGISTRY, REGISTRY
from signalflow.storage import pool as pools
from signalflow.storage.pool import Pool, connection, create_pool, transaction
from signalflow.storage.statement_names import TABLES
from tests.integration.storage_rows import settings_of


def measured(metric: str, sample: str, **labels: str) -> float:
    """Of an API process and of a worker: both ask the database."""
    found = {registry.get_sample_value(f"{metric}_{sample}", labels) or 0.0 for registry in (REGISTRY, API_REGISTRY)}
    assert len(found) == 1
    return found.pop()


def statements(name: str, sample: str) -> float:
    return measured("signalflow_database_statement_seconds", sample, statement=name)


def waits(sample: str) -> float:
    return measured("signalflow_database_wait_seconds", sample)


async def test_each_statement_is_measured_by_its_name_on_every_use_of_a_connection(pool: Pool) -> None:
    reads, seconds, commits = (
        statements("select workers", "count"),
        statements("other", "sum"),
        statements("commit", "count"),
    )
    for _ in range(3):
        async with transaction(pool) as asking:
            await asking.fetch("SELECT name FROM workers")
            await asking.execute("SELECT pg_sleep(0.1)")
    # asyncpg tells of a statement in the next turn of the loop.
    await asyncio.sleep(0)
    assert statements("select workers", "count") == reads + 3
    assert statements("commit", "count") == commits + 3
    assert 0.3 <= statements("other", "sum") - seconds < 3
    async with connection(pool) as asking:
        with pytest.raises(asyncpg.UndefinedColumnError):
            await asking.fetch("SELECT no_such_column FROM workers")
    await asyncio.sleep(0)
    assert statements("select workers", "count") == reads + 4, "one that fails takes time too"


async def test_the_wait_for_a_connection_is_measured_also_when_it_is_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(database_url).model_copy(update={"database_pool_size": 1})
    async with await create_pool(settings, application_name="tests") as pool:
        async with connection(pool):
            pass
        count, seconds = waits("count"), waits("sum")
        async with connection(pool):
            assert waits("count") == count + 1
            monkeypatch.setattr(pools, "ACQUIRE_SECONDS", 0.3)
            with pytest.raises(Retryable):
                async with connection(pool):
                    pass
        assert waits("count") == count + 2
        assert 0.3 <= waits("sum") - seconds < 3


async def test_every_table_of_the_schema_has_a_name(pool: Pool) -> None:
    async with connection(pool) as asking:
        rows = await asking.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition AND relname <> 'alembic_version'"
        )
    assert {row["relname"] for row in rows} == TABLES
