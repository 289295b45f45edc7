"""The watched subreddits over the API: the poller reads what an operator changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.settings import Settings
from signalflow.storage.subreddits import active_subreddits, load_defaults, mark_polled, mark_state
from tests.api_clients import bearer, test_secret
from tests.integration.storage_rows import NOON
from tests.waiting import until
from web.app import create_api

DEFAULTS = [
    WatchedSubreddit("Python", 60, "fast"),
    WatchedSubreddit("rust", 180, "medium"),
    WatchedSubreddit("golang", 600, "slow"),
]


@pytest.fixture
async def client(database_url: str, database_pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    """The client of an operator. Three subreddits are watched."""
    await load_defaults(database_pool, DEFAULTS)
    settings = Settings(database_url=SecretStr(database_url), api_secret=SecretStr(test_secret))
    app = create_api(settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers=bearer(settings, "operator")
        ) as made,
    ):
        yield made


async def listed(client: httpx.AsyncClient, **parameters: Any) -> dict[str, dict[str, Any]]:
    answer = await client.get("/api/subreddits/", params=parameters)
    assert answer.status_code == 200, answer.text
    return {item["name"]: item for item in answer.json()["items"]}


async def polled(pool: asyncpg.Pool) -> list[str]:
    return [row.name for row in await active_subreddits(pool)]


async def test_the_list_says_what_reddit_says_when_it_was_polled_and_when_it_is_due(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    await mark_polled(database_pool, {"python": NOON})
    await mark_state(database_pool, "python", "ok", NOON)
    await mark_state(database_pool, "rust", "private", NOON)
    found = await listed(client)
    assert list(found) == ["golang", "Python", "rust"]
    assert {name: item["status"] for name, item in found.items()} == {
        "golang": "pending",
        "Python": "ok",
        "rust": "refused",
    }
    assert found["rust"]["state"] == "private"
    assert found["rust"]["next_poll_at"] is None
    assert found["Python"]["last_polled_at"] is not None
    assert found["Python"]["changed_by"] is None


@pytest.mark.parametrize(
    ("seen_since", "python", "rust"),
    [
        # r/Python has 11 posts that are less than 24 hours old, and one that is about 24 hours old.
        (timedelta(days=3), (round(11 / 24, 2), 0.5), (0.5,)),
        # The posts of 2 and 4 hours ago, and those of 1 and 3 hours ago.
        (timedelta(hours=4.5), (round(2 / 4.5, 2),), (round(2 / 4.5, 2),)),
        (timedelta(hours=1.5), (0,), (round(1 / 1.5, 2),)),
        # All that is known comes from the first answers, which tell no rate.
        (timedelta(seconds=10), (0,), (0,)),
    ],
)
async def test_posts_per_hour_are_the_mean_of_the_last_day_or_of_a_young_installations_age(
    client: httpx.AsyncClient,
    database_pool: asyncpg.Pool,
    seen_since: timedelta,
    python: tuple[float, ...],
    rust: tuple[float, ...],
) -> None:
    await database_pool.execute(
        """
        INSERT INTO posts (id, subreddit, title, over_18, is_self, created_utc, first_seen_at, last_polled_at,
            current_score, current_comments, trending_score, is_trending)
        SELECT 'p' || n, CASE WHEN n % 2 = 0 THEN 'PYTHON' ELSE 'rust' END, 'title', false, false,
            now() - n * interval '1 hour', now() - $1::interval, now(), 1, 0, 0, false FROM generate_series(1, 48) AS n
        """,
        seen_since,
    )
    found = await listed(client)
    assert found["Python"]["posts_per_hour"] in python
    assert found["rust"]["posts_per_hour"] in rust
    assert found["golang"]["posts_per_hour"] == 0


async def test_many_requests_count_posts_once_and_show_changes_at_once(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    async def count(pool: asyncpg.Pool, now: datetime) -> dict[str, float]:
        counted.append(now)
        return {"rust": 1.5}

    monkeypatch.setattr("web.api.subreddits.view.posts_per_hour", count)
    await asyncio.gather(*(listed(client) for _ in range(10)))
    changed = (await client.patch("/api/subreddits/rust/", json={"paused": True})).json()
    assert changed["paused"]
    assert (await listed(client))["rust"] == changed
    assert changed["posts_per_hour"] == 1.5
    assert len(counted) == 1


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ({"search": "PYTH"}, ["Python"]),
        ({"priority": "slow"}, ["golang"]),
        ({"status": "pending"}, ["golang", "Python", "rust"]),
        ({"status": "paused"}, []),
        ({"page_size": 2}, ["golang", "Python"]),
        ({"page_size": 2, "cursor": "python"}, ["rust"]),
    ],
)
async def test_the_list_can_be_searched_and_paged(
    client: httpx.AsyncClient, parameters: dict[str, Any], names: list[str]
) -> None:
    assert list(await listed(client, **parameters)) == names


async def test_an_added_subreddit_is_pending_and_the_poller_reads_it(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    answer = await client.post("/api/subreddits/", json={"names": ["r/aww", "https://www.reddit.com/r/europe/"]})
    assert answer.status_code == 200, answer.text
    assert [(row["name"], row["status"], row["interval_seconds"], row["changed_by"]) for row in answer.json()] == [
        ("aww", "pending", 180, "test-operator"),
        ("europe", "pending", 180, "test-operator"),
    ]
    assert {"aww", "europe"} <= set(await polled(database_pool))


async def test_a_paused_subreddit_is_not_polled_until_it_is_resumed(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    answer = await client.patch("/api/subreddits/python/", json={"paused": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "paused")
    assert answer.json()["effective_at"] > answer.json()["changed_at"]
    assert await polled(database_pool) == ["golang", "rust"]
    await client.patch("/api/subreddits/PYTHON", json={"paused": False})
    assert await polled(database_pool) == ["golang", "Python", "rust"]


async def test_many_subreddits_are_changed_together_or_none(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    answer = await client.patch("/api/subreddits/", json={"names": ["python", "golang"], "priority": "medium"})
    assert {row["name"]: row["interval_seconds"] for row in answer.json()} == {"Python": 180, "golang": 180}
    answer = await client.patch("/api/subreddits/", json={"names": ["python", "nosuch"], "paused": True})
    assert answer.status_code == 422
    assert "nosuch" in answer.json()["detail"]
    answer = await client.post("/api/subreddits/remove/", json={"names": ["python", "nosuch"]})
    assert answer.status_code == 422
    assert len(await polled(database_pool)) == 3
    assert (await client.post("/api/subreddits/remove", json={"names": ["python", "rust"]})).status_code == 204
    assert await polled(database_pool) == ["golang"]


@asynccontextmanager
async def held(pool: asyncpg.Pool, name: str) -> AsyncIterator[None]:
    """Lock the subreddit until the block ends."""
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM subreddit_config WHERE name = $1 FOR UPDATE", name)
        yield


async def waiting(pool: asyncpg.Pool, number: int) -> None:
    """Wait until this many transactions wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def wait() -> bool:
        return bool(await pool.fetchval(query) == number)

    await until(wait, f"{number} wait for a lock", 4)


async def test_of_two_changes_at_once_neither_undoes_the_other(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    async with held(database_pool, "rust"):
        changes = [
            asyncio.create_task(client.patch("/api/subreddits/rust/", json=body))
            for body in ({"paused": True}, {"priority": "fast"})
        ]
        await waiting(database_pool, 2)
    assert [answer.status_code for answer in await asyncio.gather(*changes)] == [200, 200]
    rust = (await listed(client))["rust"]
    assert (rust["paused"], rust["priority"]) == (True, "fast")


async def test_a_change_does_not_bring_back_a_subreddit_that_is_removed_meanwhile(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    async with held(database_pool, "rust"):
        removing = asyncio.create_task(client.delete("/api/subreddits/rust/"))
        await waiting(database_pool, 1)
        changing = asyncio.create_task(client.patch("/api/subreddits/", json={"names": ["rust"], "priority": "fast"}))
        await waiting(database_pool, 2)
    assert [(await removing).status_code, (await changing).status_code] == [204, 422]
    assert "rust" not in await listed(client)


async def test_a_removed_subreddit_is_gone_from_the_list(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/subreddits/rust")).json()["priority"] == "medium"
    assert (await client.delete("/api/subreddits/rust/")).status_code == 204
    for answer in [
        await client.get("/api/subreddits/rust/"),
        await client.delete("/api/subreddits/rust"),
        await client.patch("/api/subreddits/rust/", json={"paused": True}),
    ]:
        assert answer.status_code == 404
        assert "is not watched" in answer.json()["detail"]


async def test_an_exported_file_can_be_imported_and_changes_nothing(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    await client.patch("/api/subreddits/rust/", json={"paused": True})
    exported = await client.get("/api/subreddits.csv")
    assert exported.headers["content-type"].startswith("text/csv")
    answer = await client.post("/api/subreddits.csv", content=exported.content, headers={"Content-Type": "text/csv"})
    assert answer.json() == {"rows": 3, "added": [], "changed": [], "unchanged": 3, "dry_run": False}
    text = "name,interval_seconds,priority,paused\nrust,60,fast,false\nhaskell,60,fast,\n"
    for dry_run in (True, False):
        answer = await client.post(
            "/api/subreddits.csv", params={"dry_run": dry_run}, content=text, headers={"Content-Type": "text/csv"}
        )
        assert answer.json() == {
            "rows": 2,
            "added": ["haskell"],
            "changed": ["rust"],
            "unchanged": 0,
            "dry_run": dry_run,
        }
        assert ("haskell" in await polled(database_pool)) is not dry_run
    assert (await listed(client))["rust"]["priority"] == "fast"


async def test_comments_are_followed_by_a_change_or_by_a_file(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    assert (await client.patch("/api/subreddits/rust/", json={"comments": True})).json()["comments"]
    assert {name: item["comments"] for name, item in (await listed(client)).items()} == {
        "Python": False, "rust": True, "golang": False,
    }  # fmt: skip
    exported = (await client.get("/api/subreddits.csv")).text
    assert exported.splitlines()[0] == "name,interval_seconds,priority,paused,comments,post_sort"
    assert "rust,180,medium,false,true,new" in exported.splitlines()
    text = "name,interval_seconds,priority,comments\nrust,180,medium,false\nPython,60,fast,true\n"
    answer = await client.post("/api/subreddits.csv", content=text, headers={"Content-Type": "text/csv"})
    assert answer.json()["changed"] == ["rust", "Python"]
    assert [row["name"] for row in await database_pool.fetch("SELECT name FROM subreddit_config WHERE comments")] == [
        "Python"
    ]


async def test_listings_are_chosen_by_a_change_or_by_a_file(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    changed = await client.patch("/api/subreddits/rust/", json={"post_sort": ["top:week", "hot"]})
    assert changed.json()["post_sort"] == ["new", "hot", "top:week"]
    exported = (await client.get("/api/subreddits.csv")).text
    assert "rust,180,medium,false,false,new hot top:week" in exported.splitlines()
    text = "name,interval_seconds,priority,post_sort\nPython,60,fast,new rising\nrust,180,medium,new hot top:week\n"
    answer = await client.post("/api/subreddits.csv", content=text, headers={"Content-Type": "text/csv"})
    assert answer.json()["changed"] == ["Python"]
    assert {name: item["post_sort"] for name, item in (await listed(client)).items()} == {
        "Python": ["new", "rising"], "rust": ["new", "hot", "top:week"], "golang": ["new"],
    }  # fmt: skip
    refused = await client.patch("/api/subreddits/rust/", json={"post_sort": ["best"]})
    assert refused.status_code == 422


async def test_a_file_that_begins_with_a_byte_order_mark_can_be_imported(client: httpx.AsyncClient) -> None:
    """Spreadsheet programs write a byte order mark into their CSV files."""
    content = "name,interval_seconds,priority\r\nrust,60,fast\r\n".encode("utf-8-sig")
    answer = await client.post("/api/subreddits.csv", content=content, headers={"Content-Type": "text/csv"})
    assert (answer.status_code, answer.json().get("changed")) == (200, ["rust"])


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("POST", "/api/subreddits/", {"names": ["no name"]}, "names"),
        ("POST", "/api/subreddits/", {"names": ["all"]}, "names"),
        ("POST", "/api/subreddits/", {"names": []}, "names"),
        ("POST", "/api/subreddits/", {"names": ["aww"], "interval_seconds": 4}, "interval_seconds"),
        ("POST", "/api/subreddits/", {"names": ["aww"], "tier": "fast"}, "tier"),
        ("PATCH", "/api/subreddits/rust/", {}, "give paused"),
        ("PATCH", "/api/subreddits/rust/", {"priority": "quick"}, "priority"),
    ],
)
async def test_what_is_wrong_is_named(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any], named: str
) -> None:
    answer = await client.request(method, path, json=body)
    assert answer.status_code == 422
    assert named in answer.json()["detail"]


async def test_a_wrong_line_of_an_import_is_named_and_nothing_is_done(
    client: httpx.AsyncClient, database_pool: asyncpg.Pool
) -> None:
    text = "name,interval_seconds,priority\nhaskell,60,fast\nocaml,soon,fast\n"
    answer = await client.post("/api/subreddits.csv", content=text, headers={"Content-Type": "text/csv"})
    assert answer.status_code == 422
    assert "line 3, interval_seconds" in answer.json()["detail"]
    assert len(await polled(database_pool)) == 3


async def test_a_reader_changes_nothing(client: httpx.AsyncClient, database_url: str) -> None:
    reader = bearer(Settings(database_url=SecretStr(database_url), api_secret=SecretStr(test_secret)), "reader")
    assert (await client.get("/api/subreddits/", headers=reader)).status_code == 200
    answer = await client.patch("/api/subreddits/rust/", json={"paused": True}, headers=reader)
    assert answer.status_code == 403
