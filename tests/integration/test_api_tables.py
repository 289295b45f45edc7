"""The live state of a post over HTTP: a worker has it."""

import httpx
import pytest

from signalflow.storage.pool import Pool
from signalflow.storage.workers import heartbeat
from tests.integration.posts_api import api_of
from web.worker_client import WorkerClient

PROBLEM = "application/problem+json"


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
    monkeypatch.setattr("web.services.WorkerClient", lambda token: WorkerClient(token, httpx.MockTransport(workers)))
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
    monkeypatch.setattr("web.services.WorkerClient", lambda token: WorkerClient(token, httpx.MockTransport(workers)))
    for n, url in enumerate(
        ["file:///etc/passwd", "http://u:p@host/", "http://host/admin?x=", "http://host:bad/", "", "http:///"]
    ):
        await heartbeat(pool, name=str(n), pid=1, web_url=url, state="running", is_poller=False)
    async with api_of(database_url) as client:
        assert (await client.get("/api/tables/post_state/abc")).status_code == 503
    assert workers.asked == []
