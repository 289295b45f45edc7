"""The API without a database: its answers while PostgreSQL is away, and its problems for wrong requests."""

import socket
from typing import Any
from uuid import UUID

import anyio.to_thread
import httpx
import pytest
import typer
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs
from typer.testing import CliRunner

from signalflow.cli.api import register
from signalflow.errors import SignalflowError
from signalflow.settings import Settings, get_settings
from tests.api_clients import test_secret
from web.app import create_api

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("path", ["/health", "/health/"])
async def test_health_answers_while_the_database_is_away(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


@pytest.mark.parametrize("path", ["/api/posts", "/api/posts/"])
async def test_posts_are_a_503_problem_while_the_database_is_away(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["type"] == "urn:signalflow:database-unavailable"
    assert int(answer.headers["retry-after"]) > 0


async def test_the_link_of_a_feed_stays_out_of_the_log_when_the_database_is_away(client: httpx.AsyncClient) -> None:
    token = "s" * 43
    with capture_logs() as lines:
        answer = await client.get(f"/api/alerts/feeds/{UUID(int=7)}/{token}/")
    assert answer.status_code == 503
    (line,) = (line for line in lines if line["event"] == "api_unavailable")
    assert line["path"] == "/api/alerts/feeds/{id}/{token}/"
    assert token not in str(lines)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("page_size", "0"),
        ("page_size", "201"),
        ("page_size", "-1"),
        ("page_size", "many"),
        ("page_size", "1e9"),
        ("cursor", ""),
        ("cursor", "x"),
        ("cursor", "é"),
        ("cursor", "a" * 4097),
        ("cursor", "MTIzLmFi="),
        ("cursor", "MTIz LmFi"),
        ("cursor", "Li4u"),
        ("cursor", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5LmE"),  # 999999999999999999999.a: beyond any date
        ("cursor", "MS4nOyBEUk9QIFRBQkxFIHBvc3Rz"),
    ],
)
async def test_a_bad_parameter_is_a_422_that_names_it(client: httpx.AsyncClient, parameter: str, value: str) -> None:
    answer = await client.get("/api/posts/", params={parameter: value})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["type"] == "urn:signalflow:invalid-parameter"
    assert [fault["parameter"] for fault in problem["errors"]] == [parameter]
    assert parameter in problem["detail"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/api/posts/", 405)])
async def test_other_errors_are_problems_too(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status


@pytest.mark.parametrize(
    ("path", "accept", "found"),
    [
        ("/nothing", "text/html", "There is no such page"),
        ("/posts/t3_abc/more", "text/html,*/*", "There is no such page"),
        ("/nothing", "application/json", "urn:signalflow:not-found"),
        ("/api/nothing/", "text/html", "urn:signalflow:not-found"),
    ],
)
async def test_a_person_gets_a_page_for_an_address_that_leads_nowhere(
    client: httpx.AsyncClient, path: str, accept: str, found: str
) -> None:
    del client.headers["authorization"]
    answer = await client.get(path, headers={"accept": accept})
    assert answer.status_code == 404
    assert found in answer.text


async def test_every_answer_and_problem_has_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    answers = [await client.get(path, headers={"X-Request-Id": "mine"}) for path in ("/health", "/nothing", "/nothing")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert "mine" not in ids
    assert [answer.json()["request_id"] for answer in answers[1:]] == ids[1:]


@pytest.mark.parametrize("path", ["/", "/health", "/api/posts/", "/static/app.js", "/nothing"])
async def test_every_answer_forbids_inline_scripts_and_framing(client: httpx.AsyncClient, path: str) -> None:
    policy = (await client.get(path)).headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_no_request_is_sent_through_a_thread(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads are few, and for what blocks: none of this does."""
    sent: list[Any] = []
    run_sync = anyio.to_thread.run_sync

    async def noted(function: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(function)
        return await run_sync(function, *arguments, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", noted)
    page = {"Accept": "text/html"}
    del client.headers["Authorization"]
    for path, headers, status in [
        ("/health", {}, 200),
        ("/nothing", {}, 404),
        ("/health?x=1", {}, 422),
        ("/api/posts/", {}, 401),
        ("/", page, 303),
    ]:
        assert (await client.get(path, headers=headers)).status_code == status
    assert sent == []


async def test_a_client_that_leaves_before_its_body_has_come_is_no_fault_of_ours() -> None:
    told: list[Any] = []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "path": "/api/token/",
        "raw_path": b"/api/token/", "query_string": b"", "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "headers": [(b"host", b"localhost"), (b"content-length", b"99")],
    }  # fmt: skip

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        told.append(message)

    app = create_api(Settings(api_secret=SecretStr(test_secret)))
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert told[0]["status"] == 400


async def test_the_openapi_document_names_every_error_of_the_posts(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    posts = document["paths"]["/api/posts/"]["get"]
    assert set(posts["responses"]) == {"200", "401", "403", "422", "429", "500", "503"}
    assert posts["security"] == [{"bearer": []}]


def test_a_taken_port_is_reported_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(cli(), ["--port", str(taken.getsockname()[1])])
    assert isinstance(result.exception, SignalflowError)
    assert "--port" in str(result.exception)


def test_without_a_secret_the_command_refuses_and_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALFLOW_API_SECRET", "")
    get_settings.cache_clear()
    result = CliRunner().invoke(cli(), ["--port", "0"])
    get_settings.cache_clear()
    assert isinstance(result.exception, SignalflowError)
    assert "SIGNALFLOW_API_SECRET is not set" in str(result.exception)
    assert "token_urlsafe" in str(result.exception)


def test_the_application_knows_the_address_that_the_command_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cookie is named after the port: two APIs of one host would sign each other's users out."""
    made: list[Settings] = []
    monkeypatch.setenv("SIGNALFLOW_API_SECRET", test_secret)
    monkeypatch.setattr("web.app.create_api", lambda settings: made.append(settings) or FastAPI())
    monkeypatch.setattr("web.server.ApiServer.run", lambda server, sockets: [bound.close() for bound in sockets])
    get_settings.cache_clear()
    result = CliRunner().invoke(cli(), ["--host", "localhost", "--port", "0"])
    get_settings.cache_clear()
    assert result.exit_code == 0, result.output
    assert (made[0].api_host, made[0].api_port) == ("localhost", int(result.output.strip().rpartition(":")[2]))


def cli() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_the_document_describes_every_error_as_a_problem(settings: Settings) -> None:
    document = create_api(settings).openapi()
    errors = [
        (path, status, response["content"])
        for path, item in document["paths"].items()
        for operation in item.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
    ]
    assert len(errors) > 100
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert not [error for error in errors if error[2] != problem]
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()
