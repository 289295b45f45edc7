"""What the API says of itself: whether it is ready, and its metrics."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import httpx
import pytest
from prometheus_client import CONTENT_TYPE_LATEST

from signalflow.clock import utcnow
from signalflow.errors import Retryable
from signalflow.storage.pool import Pool
from signalflow.storage.schema import check_schema
from signalflow.storage.workers import heartbeat
from tests.integration.accounts_api import client_of, running, settings_of
from tests.integration.posts_api import NO_KAFKA, api_of
from web.services import services_of
from web.worker_client import WorkerClient

STANDSTILL = {"since": "2026-01-01T00:00:00Z", "reason": "status_403", "what_to_do": "Ask Reddit."}


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
            "what_to_do": None,
            "replica_in_use": None,
            "live_stale_since": None,
            "workers_reading": 0,
            "reddit_answers_nothing": None,
        }
    async with api_of(make_database()) as client:
        answer = await client.get("/ready")
        assert answer.status_code == 503
        assert answer.json() | {"replica_in_use": None, "live_stale_since": None} == {
            "ready": False,
            "database": True,
            "schema_fits": False,
            "what_to_do": "the database lacks revision 0001 of the schema: run `signalflow migrate`",
            "replica_in_use": None,
            "live_stale_since": None,
            "workers_reading": None,
            "reddit_answers_nothing": None,
        }


async def test_ready_says_how_many_workers_read_as_long_as_the_database_can_tell(
    database_url: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, state in (("reads", "running"), ("silent", "running"), ("restores", "recovering")):
        await heartbeat(pool, name=name, pid=1, web_url="", state=state, is_poller=False)
    await pool.execute("UPDATE workers SET heartbeat_at = now() - interval '1 minute' WHERE name = 'silent'")
    async with api_of(database_url, kafka=NO_KAFKA) as client:
        answer = await client.get("/ready")
        assert (answer.status_code, answer.json()["workers_reading"]) == (200, 1)

    async def away(_: Pool) -> str:
        raise Retryable("the database is away")

    monkeypatch.setattr("web.api.health.endpoints.check_schema", away)
    async with api_of(database_url, kafka=NO_KAFKA) as client:
        answer = await client.get("/ready")
        said = answer.json()
        assert (answer.status_code, said["workers_reading"], said["database"]) == (503, None, False)
        assert said["what_to_do"] == "the database does not answer: `signalflow doctor` says why"


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
            await slow.enter_async_context(services_of(app).reads.primary.acquire())
        answers = await asyncio.gather(*(client.get("/ready") for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(checked) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, json={"ready": True, "reddit_answers_nothing": STANDSTILL}), STANDSTILL),
        (httpx.Response(503, json={"ready": False, "reddit_answers_nothing": STANDSTILL}), STANDSTILL),
        (httpx.Response(200, json={"ready": True, "reddit_answers_nothing": None}), None),
        (httpx.Response(200, json={"reddit_answers_nothing": {"since": "yesterday"}}), None),
        (httpx.Response(200, text="<html>"), None),
        (httpx.ConnectError("gone"), None),
    ],
)
async def test_ready_says_since_when_reddit_answers_nothing_and_stays_ready(
    database_url: str,
    pool: Pool,
    answer: httpx.Response | Exception,
    said: dict[str, str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def worker(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("web.services.WorkerClient", lambda token: WorkerClient(token, httpx.MockTransport(worker)))
    for name, is_poller in (("first", False), ("polls", True), ("third", False)):
        await heartbeat(pool, name=name, pid=1, web_url=f"http://{name}:6066", state="running", is_poller=is_poller)
    async with api_of(database_url, kafka=NO_KAFKA) as client:
        found = await client.get("/ready")
    assert (found.status_code, found.json()["reddit_answers_nothing"]) == (200, said)
    assert asked == ["http://polls:6066/ready"]


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
