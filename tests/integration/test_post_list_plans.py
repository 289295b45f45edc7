"""The query plans of the post list, on a table of a realistic size."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from signalflow.clock import utcnow
from signalflow.domain.queries.language import parse
from signalflow.storage.pool import Pool
from signalflow.storage.post_filters import Filters
from signalflow.storage.post_list import Cursor, page_statement
from signalflow.storage.post_orders import ORDERS, OrderName
from signalflow.storage.query_sql import post_condition
from tests.bench.posts import make_posts
from tests.integration.storage_rows import pool_of

POSTS = 20_000
LIMIT = 100
NOW = utcnow()
WINDOW = timedelta(hours=24)
INDEXES: dict[OrderName, str] = {
    "newest": "posts_newest",
    "score": "posts_by_score",
    "comments": "posts_by_comments",
    "score_velocity": "posts_by_score_velocity",
    "trend_velocity": "posts_by_trend_velocity",
    "trending_score": "posts_by_trending_score",
}


@pytest.fixture(scope="module")
def large_template(postgres_server: Any, migrated_template: str) -> str:
    """A database with many posts, which is copied for each test."""
    import asyncio

    async def make() -> None:
        admin = await asyncpg.connect(postgres_server.url("postgres"))
        await admin.execute(f"CREATE DATABASE large_template TEMPLATE {migrated_template}")
        await admin.close()
        connection = await asyncpg.connect(postgres_server.url("large_template"))
        await make_posts(connection, POSTS, NOW)
        await connection.close()

    asyncio.run(make())
    return "large_template"


@pytest.fixture
async def pool(large_template: str, postgres_server: Any) -> AsyncIterator[Pool]:
    async with await pool_of(postgres_server.url(large_template)) as opened:
        yield opened


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


async def plan_of(pool: Pool, order: OrderName, filters: Filters, after: Cursor | None = None) -> list[dict[str, Any]]:
    """The nodes of the executed plan of a page."""
    statement, parameters = page_statement(order, filters, limit=LIMIT, as_of=NOW, window=WINDOW, after=after)
    text = await pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *parameters)
    return nodes(orjson.loads(text)[0]["Plan"])


def read_rows(plan: list[dict[str, Any]]) -> float:
    """The rows of posts that a plan read, whether returned or filtered out."""
    scans = [node for node in plan if node.get("Relation Name") == "posts"]
    return sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)


@pytest.mark.parametrize("order", INDEXES)
async def test_every_fixed_order_walks_its_index_and_reads_a_page(pool: Pool, order: OrderName) -> None:
    """The first page, and a page from the middle: after the median of the key."""
    statement, parameters = page_statement(order, Filters(), limit=LIMIT, as_of=NOW, window=WINDOW, after=None)
    middle = (await pool.fetch(statement, POSTS // 2, *parameters[1:]))[-1]
    key = tuple(middle[f"key_{place}"] for place in range(len(ORDERS[order].key)))
    snapshot = await pool.fetchval("SELECT pg_current_snapshot()::text")
    cursor = Cursor(key, middle["id"], NOW, 0, None if ORDERS[order].is_fixed else snapshot)
    for after in (None, cursor):
        plan = await plan_of(pool, order, Filters(), after)
        assert INDEXES[order] in {node.get("Index Name") for node in plan}
        assert read_rows(plan) <= LIMIT + 1
        assert not any(node["Node Type"] == "Seq Scan" for node in plan)


@pytest.mark.parametrize("order", ["momentum", "engagement"])
async def test_orders_that_change_with_the_clock_read_their_window_only(pool: Pool, order: OrderName) -> None:
    plan = await plan_of(pool, order, Filters())
    assert read_rows(plan) <= 1.1 * POSTS / 30
    assert "posts_newest" in {node.get("Index Name") for node in plan}


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(subreddits=("Subreddit7",)), "posts_of_subreddit"),
        (Filters(author="Author11"), "posts_of_author"),
        (Filters(words='"post 11111"'), "post_words_words"),
        (Filters(words="11111 score>=0 -signal:viral"), "post_words_words"),
        (Filters(words="subreddit:Subreddit7 score<5"), "posts_of_subreddit"),
        (Filters(words="author:Author11 (flair:x OR score>0)"), "posts_of_author"),
        (Filters(keyword="no such keyword"), "post_nlp_features_keywords"),
        (Filters(trending=True), "posts_trending"),
    ],
)
async def test_selective_filters_have_an_index(pool: Pool, filters: Filters, index: str) -> None:
    plan = await plan_of(pool, "newest", replace(filters))
    assert index in {node.get("Index Name") for node in plan}


@pytest.mark.parametrize("text", ['"post 11111"', "post 11111 score>=0 -toy"])
async def test_a_query_that_needs_words_asks_their_index(pool: Pool, text: str) -> None:
    parameters: list[object] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    condition = post_condition(parse(text), bound)
    rows = "SELECT p.id FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id"
    statement = f"{rows} WHERE {condition} ORDER BY p.created_utc DESC, p.id DESC LIMIT {LIMIT}"
    plan = nodes(
        orjson.loads(await pool.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *parameters))[0]["Plan"]
    )
    assert "post_words_words" in {node.get("Index Name") for node in plan}
    assert read_rows(plan) <= LIMIT
