"""The API's posts on a real PostgreSQL."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from signalflow.clock import utcnow
from tests.integration.posts_api import api_of, store
from tests.waiting import until


async def pages(client: httpx.AsyncClient, page_size: int) -> AsyncIterator[list[dict[str, Any]]]:
    """All pages, from the newest post to the oldest."""
    cursor = None
    while True:
        parameters = {"page_size": page_size} | ({"cursor": cursor} if cursor else {})
        answer = await client.get("/api/posts/", params=parameters)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        yield body["items"]
        cursor = body["next"]
        if cursor is None:
            return


async def test_a_stored_post_comes_back_with_all_its_fields(database_url: str) -> None:
    await store(
        database_url, {"id": "abc", "title": "Kubernetes 1.31 is out", "current_score": 7, "score_velocity": 0.5}
    )
    async with api_of(database_url) as client:
        body = (await client.get("/api/posts")).json()
    (post,) = body["items"]
    assert (post["id"], post["title"], post["current_score"], post["score_velocity"]) == (
        "abc",
        "Kubernetes 1.31 is out",
        7,
        0.5,
    )
    assert post["comment_velocity"] is None
    assert set(post["nlp"]) == {"sentiment_score", "sentiment_label", "keywords", "topic_cluster", "sentiment_basis"}
    assert post["nlp"]["keywords"] == ["Kubernetes", "1.31", "is", "out"]
    assert datetime.fromisoformat(post["created_utc"]).tzinfo is not None
    assert body["next"] is None


async def test_an_empty_database_is_an_empty_page(database_url: str) -> None:
    async with api_of(database_url) as client:
        assert (await client.get("/api/posts/")).json() == {"items": [], "next": None, "search": None}


@pytest.mark.parametrize(("stored", "page_size", "expected"), [(4, 2, [2, 2]), (5, 2, [2, 2, 1]), (2, 200, [2])])
async def test_the_last_page_has_no_next(database_url: str, stored: int, page_size: int, expected: list[int]) -> None:
    await store(database_url, *({"id": f"p{number}"} for number in range(stored)))
    async with api_of(database_url) as client:
        assert [len(page) async for page in pages(client, page_size)] == expected


async def test_pages_walked_while_posts_arrive_repeat_none_and_lose_none(database_url: str) -> None:
    """Three posts share each second, so that the id decides their order. Between pages posts arrive and change."""
    base = utcnow().replace(microsecond=0) - timedelta(hours=6)
    rng = random.Random(5)
    there = [{"id": f"a{number:03}", "created_utc": base + timedelta(seconds=number // 3)} for number in range(150)]
    rng.shuffle(there)
    await store(database_url, *(dict(row) for row in there))
    seen: list[str] = []
    async with api_of(database_url) as client:
        arrived = 0
        async for page in pages(client, 7):
            seen += [post["id"] for post in page]
            moments = [base + timedelta(seconds=rng.randint(-100, 200)) for _ in range(5)]
            await store(
                database_url,
                *({"id": f"n{arrived + place}", "created_utc": moment} for place, moment in enumerate(moments)),
                {"id": "a010", "created_utc": base + timedelta(seconds=3), "current_score": arrived},
            )
            arrived += 5
    assert len(seen) == len(set(seen))
    assert {row["id"] for row in there} <= set(seen)


async def test_posts_are_newest_first_and_ties_by_id(database_url: str) -> None:
    base = utcnow().replace(microsecond=0) - timedelta(hours=6)
    await store(
        database_url,
        {"id": "old", "created_utc": base},
        {"id": "tie1", "created_utc": base + timedelta(seconds=1)},
        {"id": "tie2", "created_utc": base + timedelta(seconds=1)},
        {"id": "new", "created_utc": base + timedelta(seconds=2)},
    )
    async with api_of(database_url) as client:
        found = [post["id"] async for page in pages(client, 1) for post in page]
    assert found == ["new", "tie2", "tie1", "old"]


async def test_a_lost_connection_heals_without_a_restart(database_url: str) -> None:
    await store(database_url, {"id": "abc"})
    async with api_of(database_url) as client:
        assert (await client.get("/api/posts/")).status_code == 200
        killer = await asyncpg.connect(database_url)
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'signalflow-api'"
        )
        await killer.close()

        async def answers() -> bool:
            return (await client.get("/api/posts/")).status_code == 200

        await until(answers)


async def test_a_database_without_the_schema_is_a_problem_that_says_what_to_do(make_database: Any) -> None:
    async with api_of(make_database()) as client:
        answer = await client.get("/api/posts/")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "signalflow migrate" in answer.json()["detail"]
