"""Errors of the database: rows that it refuses are rejected alone; all other errors are Retryable or Fatal."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest

from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.events import Enriched
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.storage.migrate import upgrade
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_batch, write_or_reject
from tests.integration.storage_rows import column, features_of, observation, pool_of
from tests.waiting import until

POISON: dict[str, dict[str, Any]] = {
    "integer overflow": {"current_score": 2**31},
    "negative comments": {"current_comments": -1},
    "NUL in a text": {"title": "nul \x00 inside"},
    "lone surrogate in a text": {"author": "half \ud83d"},
    "no title": {"title": None},
    "ratio above one": {"current_ratio": 1.5},
    "NUL in a keyword": {"nlp": features_of("nul \x00 inside")},
    "lone surrogate in a keyword": {"nlp": features_of("half \ud83d")},
    "observed before Reddit": {"observed_at": datetime(1999, 1, 1, tzinfo=UTC)},
    "observed in the far future": {"observed_at": datetime(9999, 12, 31, tzinfo=UTC)},
}


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Any]:
    """A second connection that disturbs the pool's."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def stored(pool: Pool, rows: list[Enriched]) -> bool:
    """Store the rows. False after an error that is Retryable."""
    try:
        await write_batch(pool, rows)
    except Retryable:
        return False
    return True


async def waiting_for_a_lock(other: Any) -> int:
    """Wait until a backend waits for a lock, and return its pid."""
    return int(
        await until(lambda: other.fetchval("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1"))
    )


@pytest.mark.parametrize("poison", POISON.values(), ids=list(POISON))
async def test_a_poison_row_is_rejected_alone(pool: Pool, poison: dict[str, Any]) -> None:
    rows = [observation(f"p{n:02}", n) for n in range(20)]
    rows[13] = observation("p13", 13, **poison)
    rejected = await write_or_reject(pool, rows)
    assert [rejection.index for rejection in rejected] == [13]
    assert await column(pool, "posts", "id") == [row.id for row in rows if row.id != "p13"]
    assert len(await column(pool, "post_metrics_history", "post_id")) == 19
    assert len(await column(pool, "post_nlp_features", "post_id")) == 19


async def test_every_poison_row_of_a_batch_is_rejected_with_its_own_error(pool: Pool) -> None:
    good = [observation(f"g{n}", n) for n in range(len(POISON))]
    bad = [observation(f"x{n}", n, **poison) for n, poison in enumerate(POISON.values())]
    rows = [row for pair in zip(good, bad, strict=True) for row in pair]
    rejected = {rejection.index: str(rejection.error) for rejection in await write_or_reject(pool, rows)}
    assert sorted(rejected) == [n * 2 + 1 for n in range(len(POISON))]
    said = dict(zip(POISON, (rejected[index] for index in sorted(rejected)), strict=True))
    assert "int32" in said["integer overflow"]
    assert "22021" in said["NUL in a text"]
    assert "surrogates" in said["lone surrogate in a text"]
    assert "23502" in said["no title"]
    assert "posts_current_ratio_check" in said["ratio above one"]
    assert "22P05" in said["NUL in a keyword"]
    assert "1999-01-01" in said["observed before Reddit"]
    assert await column(pool, "posts", "id") == sorted(row.id for row in good)


async def test_a_batch_with_a_poison_row_stores_nothing(pool: Pool) -> None:
    with pytest.raises(Invalid):
        await write_batch(pool, [observation("a"), observation("b", current_comments=-1)])
    assert await column(pool, "posts", "id") == []


async def test_the_refused_text_is_not_in_the_error(pool: Pool) -> None:
    with pytest.raises(Invalid) as caught:
        await write_batch(pool, [observation("a", title="secret \ud83d words")])
    assert "secret" not in str(caught.value)


async def test_a_missing_partition_is_made(pool: Pool) -> None:
    days = [observation("a", -86_400 * n) for n in range(3)] + [observation("a", 86_400)]
    await write_batch(pool, days)
    assert len(await column(pool, "post_metrics_history", "post_id")) == 4


async def test_two_writers_that_miss_the_same_partition_both_store(pool: Pool) -> None:
    await asyncio.gather(*(write_batch(pool, [observation(name, 0)]) for name in "abcdefgh"))
    assert await column(pool, "post_metrics_history", "post_id") == list("abcdefgh")


async def test_writers_of_the_same_posts_in_any_order_do_not_deadlock(pool: Pool) -> None:
    random = Random(3)

    async def writer(first: int) -> None:
        for n in range(8):
            rows = [observation(f"p{i:03}", first + n) for i in range(400)]
            random.shuffle(rows)
            await write_batch(pool, rows)

    await asyncio.gather(writer(0), writer(100), writer(200))
    assert len(await column(pool, "post_metrics_history", "post_id")) == 3 * 8 * 400


async def test_a_deadlock_is_retryable_and_leaves_nothing_half_done(pool: Pool, other: Any) -> None:
    await write_batch(pool, [observation("a", 0), observation("b", 0)])
    await other.execute("SET deadlock_timeout = '60s'")  # so that the writer detects it after its own 1 s
    blocking = other.transaction()
    await blocking.start()
    await other.execute("UPDATE posts SET flair = 'x' WHERE id = 'b'")
    writing = asyncio.create_task(write_batch(pool, [observation("a", 9), observation("b", 9)]))
    await waiting_for_a_lock(pool)
    await other.execute("UPDATE posts SET flair = 'x' WHERE id = 'a'")
    with pytest.raises(Retryable, match="40P01"):
        await writing
    await blocking.rollback()
    assert len(await column(pool, "post_metrics_history", "post_id")) == 2
    await write_batch(pool, [observation("a", 9), observation("b", 9)])
    assert len(await column(pool, "post_metrics_history", "post_id")) == 4


async def test_a_lock_that_is_not_given_in_time_is_retryable(database_url: str, other: Any) -> None:
    async with await pool_of(database_url, timeout=0.4) as pool:
        await write_batch(pool, [observation("a", 0)])
        async with other.transaction():
            await other.execute("UPDATE posts SET flair = 'x'")
            with pytest.raises(Retryable, match="55P03"):
                await write_batch(pool, [observation("a", 9)])


async def test_a_statement_that_takes_too_long_is_retryable(database_url: str, other: Any) -> None:
    await other.execute(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NEW; END'"
    )
    await other.execute("CREATE TRIGGER slow BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION slow()")
    async with await pool_of(database_url, timeout=0.4) as pool:
        with pytest.raises(Retryable, match="57014"):
            await write_batch(pool, [observation("a", 0)])


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("53100", Retryable),
        ("40001", Retryable),
        ("57P01", Retryable),
        ("08006", Retryable),
        ("58030", Fatal),
        ("XX001", Fatal),
    ],
)
async def test_an_error_of_the_server_says_what_to_do(pool: Pool, other: Any, sqlstate: str, kind: type) -> None:
    await other.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}'; END $$"
    )
    await other.execute("CREATE TRIGGER fail BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION fail()")
    with pytest.raises(kind, match=sqlstate):
        await write_or_reject(pool, [observation("a"), observation("b")])


async def test_a_read_only_server_is_retryable(database_url: str, other: Any) -> None:
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    async with await pool_of(database_url) as pool:
        with pytest.raises(Retryable, match="25006"):
            await write_or_reject(pool, [observation("a")])


async def test_a_missing_table_is_fatal(pool: Pool) -> None:
    await pool.execute("DROP TABLE post_nlp_features")
    with pytest.raises(Fatal, match="42P01"):
        await write_or_reject(pool, [observation("a"), observation("b")])


async def test_a_refused_password_is_fatal(database_url: str) -> None:
    user, _, rest = database_url.partition("@")
    async with await pool_of(f"{user}wrong@{rest}") as pool:
        with pytest.raises(Fatal, match=r"28P01.*check user and password in SIGNALFLOW_DATABASE_URL"):
            await write_batch(pool, [observation("a")])


async def test_an_unreachable_server_is_retryable() -> None:
    async with await pool_of(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none") as pool:
        with pytest.raises(Retryable):
            await write_batch(pool, [observation("a")])


async def test_a_server_that_does_not_answer_is_given_up_in_time() -> None:
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        pool = await pool_of(f"postgresql://nobody@127.0.0.1:{port}/none", timeout=0.3)
        async with asyncio.timeout(5):
            with pytest.raises(Retryable):
                await write_batch(pool, [observation("a")])
        pool.terminate()


async def test_a_connection_that_goes_silent_is_given_up_after_one_wait(database_url: str) -> None:
    async with await pool_of(database_url, timeout=0.3) as pool:
        await write_batch(pool, [observation("a", 0)])
        backend = await pool.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        try:
            async with asyncio.timeout(4):  # 0.3 s and 2 s grace; there is no time for a second wait
                with pytest.raises(Retryable):
                    await write_batch(pool, [observation("a", 9)])
        finally:
            os.kill(backend, signal.SIGCONT)
        await until(lambda: stored(pool, [observation("a", 9)]))


async def test_a_connection_that_goes_silent_inside_a_transaction_is_not_asked_to_roll_back(
    database_url: str, other: Any
) -> None:
    async with await pool_of(database_url, timeout=1) as pool:
        await write_batch(pool, [observation("a", 0)])
        async with other.transaction():
            await other.execute("UPDATE posts SET flair = 'x'")
            writing = asyncio.create_task(write_batch(pool, [observation("a", 9)]))
            backend = await waiting_for_a_lock(other)
            os.kill(backend, signal.SIGSTOP)
            try:
                async with asyncio.timeout(5):  # 1 s and 2 s grace
                    with pytest.raises(Retryable):
                        await writing
            finally:
                os.kill(backend, signal.SIGCONT)
        await until(lambda: stored(pool, [observation("a", 9)]))


async def test_a_terminated_backend_is_retryable_and_the_pool_recovers(pool: Pool, other: Any) -> None:
    await write_batch(pool, [observation("a", 0)])
    async with other.transaction():
        await other.execute("UPDATE posts SET flair = 'x'")
        writing = asyncio.create_task(write_batch(pool, [observation("a", 9)]))
        await other.execute("SELECT pg_terminate_backend($1)", await waiting_for_a_lock(other))
        with pytest.raises(Retryable):
            await writing
    await write_batch(pool, [observation("a", 9)])
    assert len(await column(pool, "post_metrics_history", "post_id")) == 2


async def test_backends_terminated_while_idle_cost_one_retry_each_at_most(pool: Pool, other: Any) -> None:
    await write_batch(pool, [observation("a", 0)])
    await other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tests'")
    await until(lambda: other.fetchval("SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'tests'"))
    await until(lambda: stored(pool, [observation("a", 9)]))
    assert len(await column(pool, "post_metrics_history", "post_id")) == 2


async def test_an_immediate_stop_of_the_server_loses_nothing_that_was_stored(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", free_ports(1)[0])
    await asyncio.to_thread(server.start)
    try:
        await upgrade(server.url())
        pool = await pool_of(server.url(), timeout=5)
        await write_batch(pool, [observation("a", 0)])
        blocking = await asyncpg.connect(server.url())
        transaction = blocking.transaction()
        await transaction.start()
        await blocking.execute("UPDATE posts SET flair = 'x'")
        writing = asyncio.create_task(write_batch(pool, [observation("a", 9), observation("b", 9)]))
        await waiting_for_a_lock(blocking)
        postmaster = server.pid
        assert postmaster is not None
        os.kill(postmaster, signal.SIGQUIT)
        with pytest.raises(Retryable):
            await writing
        blocking.terminate()
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        # The server may still be recovering.
        await until(lambda: stored(pool, [observation("c", 0)]))
        assert await column(pool, "posts", "id") == ["a", "c"]
        await write_batch(pool, [observation("a", 9), observation("b", 9)])
        assert await column(pool, "post_metrics_history", "post_id") == ["a", "a", "b", "c"]
        pool.terminate()
    finally:
        await asyncio.to_thread(server.stop)


async def test_every_session_bounds_its_waits(database_url: str) -> None:
    async with await pool_of(database_url, timeout=3) as pool, pool.acquire() as connection:
        shown = [await connection.fetchval(f"SHOW {name}") for name in ("statement_timeout", "lock_timeout")]
        assert shown == ["3s", "1500ms"]
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
