"""Reads from a real streaming replica, which is used only while its lag is small."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from pydantic import SecretStr

from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.metrics import API_REGISTRY
from signalflow.settings import Settings
from signalflow.storage.post_filters import Filters
from signalflow.storage.post_list import Cursor, Page, page_of_posts
from signalflow.storage.post_orders import OrderName
from signalflow.storage.read_router import ReadRouter, open_read_router
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import observation, pool_of
from tests.integration.test_post_list_walk import NOW, WINDOW
from tests.integration.workers import eventually
from tests.replica import REPLICATION_RULE, Replica

MAX_LAG = 1.0
ON_REPLICA = "SELECT pg_is_in_recovery() AS replica"


@pytest.fixture(scope="module")
def replica(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    rules = postgres_server.data_dir / "cluster" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(before + REPLICATION_RULE)
    asyncio.run(_execute(postgres_server.url("postgres"), "SELECT pg_reload_conf()"))
    server = Replica(
        tmp_path_factory.mktemp("replica") / "data",
        free_ports(1)[0],
        {"max_connections": "200", "hot_standby_feedback": "off"},
    )
    server.follow(postgres_server)
    server.start()
    yield server
    server.stop()
    rules.write_text(before)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def settings(database_url: str, replica: Replica) -> Settings:
    database = database_url.rpartition("/")[2]
    return Settings(
        database_url=SecretStr(database_url),
        database_replica_url=SecretStr(replica.url(database)),
        replica_max_lag=MAX_LAG,
    )


@pytest.fixture
async def router(settings: Settings) -> AsyncIterator[ReadRouter]:
    async with open_read_router(settings) as opened:
        await eventually(lambda: _is(opened, on_replica=True), 30)
        yield opened


async def _is(router: ReadRouter, *, on_replica: bool) -> bool:
    (row,) = await router.fetch(ON_REPLICA)
    return bool(row["replica"] is on_replica)


def _not_in_use() -> float | None:
    return API_REGISTRY.get_sample_value("signalflow_replica_not_in_use")


async def _page(router: ReadRouter, order: OrderName, after: Cursor | None = None) -> Page:
    return await page_of_posts(router, order, Filters(), limit=2, now=NOW, window=WINDOW, after=after)


async def test_reads_leave_a_replica_that_is_behind_and_come_back(router: ReadRouter, settings: Settings) -> None:
    replica = await asyncpg.connect(settings.database_replica_url.get_secret_value())
    async with await pool_of(settings.database_url.get_secret_value()) as pool:
        await replica.execute("SELECT pg_wal_replay_pause()")
        await write_batch(pool, [observation("new", 0)])
        await eventually(lambda: _is(router, on_replica=False), 30)
        assert [row["id"] for row in (await _page(router, "newest")).rows] == ["new"]
        assert router.replica_in_use is False
        await eventually(lambda: _not_in_use() == 1, 30)
        await replica.execute("SELECT pg_wal_replay_resume()")
        await eventually(lambda: _is(router, on_replica=True), 30)
        await eventually(lambda: _not_in_use() == 0, 30)
        assert [row["id"] for row in (await _page(router, "newest")).rows] == ["new"]
    await replica.close()


async def test_a_stopped_replica_costs_no_read(router: ReadRouter, replica: Replica) -> None:
    replica.stop()
    try:
        # Before the next look at the replica: it fails, so the primary is asked.
        assert await _is(router, on_replica=False)
        assert router.replica_in_use is False
    finally:
        replica.start()
    await eventually(lambda: _is(router, on_replica=True), 30)


@pytest.mark.parametrize("order", ["newest", "score"])
async def test_a_walk_that_began_at_the_primary_waits_for_no_replica(
    router: ReadRouter, settings: Settings, order: OrderName
) -> None:
    """The replica is within its lag, but has not replayed what the first page showed: the primary answers."""
    replica = await asyncpg.connect(settings.database_replica_url.get_secret_value())
    async with await pool_of(settings.database_url.get_secret_value()) as pool:
        await write_batch(pool, [observation(f"p{n}", 0, current_score=1) for n in range(2)])
        at_primary = ReadRouter(pool, None, MAX_LAG)
        await replica.execute("SELECT pg_wal_replay_pause()")
        try:
            await write_batch(pool, [observation(f"p{n}", 1, current_score=9 - n) for n in range(6)])
            first = await _page(at_primary, order)
            second = await _page(router, order, first.next)
        finally:
            await replica.execute("SELECT pg_wal_replay_resume()")
    await replica.close()
    expected = [f"p{n}" for n in range(6)] if order == "score" else [f"p{n}" for n in reversed(range(6))]
    assert [row["id"] for page in (first, second) for row in page.rows] == expected[:4]


async def test_a_walk_that_began_at_the_replica_goes_on_at_the_primary(router: ReadRouter, settings: Settings) -> None:
    async with await pool_of(settings.database_url.get_secret_value()) as pool:
        await write_batch(pool, [observation(f"p{n}", 0, current_score=9 - n) for n in range(6)])
        await eventually(lambda: _sees(router, 6), 30)
        first = await _page(router, "score")
        # A post of the first page falls and a later post rises: neither may be on the next page.
        await write_batch(pool, [observation("p0", 1, current_score=0), observation("p3", 1, current_score=6)])
        second = await _page(ReadRouter(pool, None, MAX_LAG), "score", first.next)
    assert [row["id"] for row in first.rows] == ["p0", "p1"]
    assert [row["id"] for row in second.rows] == ["p2", "p4"]


async def _sees(router: ReadRouter, posts: int) -> bool:
    (row,) = await router.fetch("SELECT count(*) AS posts, pg_is_in_recovery() AS replica FROM posts")
    return bool(row["posts"] == posts and row["replica"])
