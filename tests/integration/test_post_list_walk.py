"""Walks through all pages while other transactions write: no post comes twice, no unchanged post is lost."""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from signalflow.storage.pool import Pool
from signalflow.storage.post_filters import Filters
from signalflow.storage.post_list import Cursor, page_of_posts
from signalflow.storage.post_orders import ORDERS, OrderName
from signalflow.storage.read_router import ReadRouter
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import NOON, observation
from tests.waiting import until

POSTS = 240
PAGE = 13
NOW = NOON + timedelta(hours=1)
WINDOW = timedelta(hours=24)


@pytest.fixture
def router(pool: Pool) -> ReadRouter:
    return ReadRouter(pool, None, 5.0)


async def newest_write(pool: Pool) -> datetime | None:
    newest: datetime | None = await pool.fetchval("SELECT max(last_polled_at) FROM posts")
    return newest


async def is_written_after(pool: Pool, before: datetime | None) -> bool:
    return await newest_write(pool) != before


def numbers(rng: random.Random) -> dict[str, Any]:
    """Random numbers of a post, with many equal and many unknown ones. A feed tells none at all."""
    if rng.random() < 0.2:
        return {"current_score": None, "current_comments": None, "trending_score": rng.choice([0.0, 0.2])}
    return {
        "current_score": rng.choice([None, *range(-3, 13)]),
        "current_comments": rng.randint(0, 5),
        "score_velocity": rng.choice([None, None, -0.5, 0.0, 0.25, 7.5]),
        "trend_velocity": rng.choice([None, None, -0.5, 0.0, 0.25, 7.5]),
        "trending_score": rng.choice([0.0, 0.2, 0.4]),
    }


def key_of(order: OrderName, row: dict[str, Any]) -> tuple[Any, ...]:
    """The key by which a row is ordered, computed without the database. The highest comes first."""
    score, comments = row["current_score"], row["current_comments"]
    engagement = None if score is None or comments is None else score + 2 * comments
    minutes = (NOW - row["created_utc"]).total_seconds() / 60
    velocity, trend = row.get("score_velocity"), row.get("trend_velocity")
    unknown = -math.inf
    first: dict[OrderName, tuple[Any, ...]] = {
        "newest": (row["created_utc"],),
        "score": (unknown if score is None else score,),
        "comments": (unknown if comments is None else comments,),
        "score_velocity": (velocity is not None, velocity or 0.0),
        "trend_velocity": (trend is not None, trend or 0.0),
        "trending_score": (row["trending_score"], row["created_utc"]),
        "engagement": (unknown if engagement is None else engagement,),
        "momentum": (unknown if engagement is None else engagement / (minutes + 1),),
    }
    return (*first[order], row["id"])


async def walk(router: ReadRouter, order: OrderName, page_size: int = PAGE) -> AsyncIterator[Sequence[str]]:
    """The ids of each page."""
    after: Cursor | None = None
    while True:
        page = await page_of_posts(router, order, Filters(), limit=page_size, now=NOW, window=WINDOW, after=after)
        yield [row["id"] for row in page.rows]
        if page.next is None:
            return
        after = page.next


async def stored(pool: Pool, rng: random.Random) -> dict[str, dict[str, Any]]:
    """Posts of the last six hours, three for each moment."""
    rows = {
        f"p{n:03}": {"created_utc": NOON - timedelta(minutes=n // 3), **numbers(rng)}
        for n in rng.sample(range(POSTS), POSTS)
    }
    await write_batch(pool, [observation(name, 0, **row) for name, row in rows.items()])
    return {name: {"id": name, **row} for name, row in rows.items()}


@pytest.mark.parametrize("order", ORDERS)
async def test_a_walk_under_concurrent_writes_repeats_no_post_and_loses_no_unchanged_one(
    pool: Pool, router: ReadRouter, order: OrderName
) -> None:
    rng = random.Random(order)
    rows = await stored(pool, rng)
    changing = rng.sample(sorted(rows), POSTS // 2)
    stopped = asyncio.Event()

    async def write(writer: int, mine: Sequence[str]) -> int:
        """Keep changing some posts and adding others."""
        writes = 0
        while not stopped.is_set():
            writes += 1
            new = [
                (f"n{writer}x{writes}", {"created_utc": NOON - timedelta(minutes=rng.randint(0, 90)), **numbers(rng)})
            ]
            known = [(name, {"created_utc": rows[name]["created_utc"], **numbers(rng)}) for name in rng.sample(mine, 8)]
            await write_batch(pool, [observation(name, writes, **changes) for name, changes in new + known])
        return writes

    writers = [asyncio.create_task(write(number, changing[number::2])) for number in (0, 1)]
    seen: list[str] = []
    async for page in walk(router, order):
        seen += page
        # Every writer commits some changes before the next page is read.
        await until(partial(is_written_after, pool, await newest_write(pool)), pause=0.001)
    stopped.set()
    assert min(await asyncio.gather(*writers)) > 0
    assert len(seen) == len(set(seen))
    unchanged = [row for name, row in rows.items() if name not in changing]
    expected = [row["id"] for row in sorted(unchanged, key=lambda row: key_of(order, row), reverse=True)]
    known = {row["id"] for row in unchanged}
    assert [name for name in seen if name in known] == expected


@pytest.mark.parametrize("order", ORDERS)
async def test_a_quiet_walk_has_every_post_once_in_order(pool: Pool, router: ReadRouter, order: OrderName) -> None:
    rows = await stored(pool, random.Random(3))
    expected = [row["id"] for row in sorted(rows.values(), key=lambda row: key_of(order, row), reverse=True)]
    assert [name async for page in walk(router, order, 50) for name in page] == expected


async def test_a_post_that_falls_below_the_cursor_is_not_given_again(pool: Pool, router: ReadRouter) -> None:
    """The transaction that moves it was already running at the first page."""
    await write_batch(pool, [observation(f"p{n}", 0, current_score=10 - n) for n in range(6)])
    connection = await pool.acquire()
    moving = connection.transaction()
    await moving.start()
    await connection.execute("UPDATE posts SET current_score = -5 WHERE id = 'p0'")
    # Later transactions end before the first page, so the snapshot lists this one as running.
    await write_batch(pool, [observation("p5", 1, current_score=5)])
    pages = walk(router, "score", 2)
    first = await anext(pages)
    await moving.commit()
    await pool.release(connection)
    rest = [name async for page in pages for name in page]
    assert list(first) == ["p0", "p1"]
    assert rest == ["p2", "p3", "p4", "p5"]


async def test_windowed_orders_give_young_posts_only(pool: Pool, router: ReadRouter) -> None:
    old = NOW - WINDOW - timedelta(seconds=1)
    await write_batch(pool, [observation("old", 0, created_utc=old), observation("young", 0)])
    for order in ("momentum", "engagement"):
        assert [name async for page in walk(router, order) for name in page] == ["young"]  # type: ignore[arg-type]


async def test_a_page_is_one_statement(pool: Pool, router: ReadRouter) -> None:
    await write_batch(pool, [observation(f"p{n}", 0) for n in range(5)])
    statements: list[str] = []
    async with pool.acquire() as one:

        def note(query: asyncpg.connection.LoggedQuery) -> None:
            statements.append(query.query)

        class OneConnection(ReadRouter):
            async def fetch(self, statement: str, *parameters: Any, **_: Any) -> list[asyncpg.Record]:
                return await one.fetch(statement, *parameters)

        one.add_query_logger(note)
        page = await page_of_posts(OneConnection(pool, None, 5), "score", Filters(), limit=3, now=NOW, window=WINDOW)
        one.remove_query_logger(note)
    assert len(page.rows) == 3
    assert len(statements) == 1
