"""The OpenAPI document against the API: every route answers any request as documented."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from tests.integration.accounts_api import HASHER, PasswordHash
from tests.integration.posts_api import store
from tests.integration.workers import eventually
from web.app import create_api

SECONDS = 40.0
EXAMPLES = 25
# The checks of schemathesis that concern what the API answers, not how well it guesses what a client meant.
CHECKS = (status_code_conformance, content_type_conformance, response_schema_conformance)
# Seconds. The first request for it makes the whole document.
WRITTEN_WITHIN = 60.0
# The generator has no type for Atom, nor for a body of CSV.
NOT_GENERATED = ["GET /api/alerts/feeds/{id}/{token}/", "POST /api/subreddits.csv"]
METHODS = ("get", "head", "post", "put", "patch", "delete")


@pytest.fixture
async def served(database_url: str) -> Any:
    """The address of an API with some posts but without workers and brokers, and the headers of an administrator."""
    await store(database_url, *({"id": f"p{n}", "body": "text", "score_velocity": n / 7} for n in range(5)))
    settings = Settings(
        database_url=SecretStr(database_url),
        api_secret=SecretStr(test_secret),
        rate_limit_per_minute=1_000_000,
        kafka=f"127.0.0.1:{free_ports(1)[0]}",
        read_timeout=20,
    )
    port = free_ports(1)[0]
    server = uvicorn.Server(uvicorn.Config(create_api(settings, PasswordHash((HASHER,))), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    await eventually(lambda: server.started, 30)
    yield f"http://127.0.0.1:{port}", bearer(settings, "admin")
    server.should_exit = True
    thread.join(20)


def operations(document: dict[str, Any], address: str) -> Iterator[Any]:
    """Every operation that answers at once. Reads come first, because a write may end the session."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=address)
    found = [result.ok() for result in schema.get_all_operations()]
    streams = {
        (path, method)
        for path, item in document["paths"].items()
        for method in METHODS
        if "text/event-stream" in str(item.get(method, {}).get("responses", {}))
    }
    yield from sorted(
        (one for one in found if (one.path, one.method.lower()) not in streams),
        key=lambda one: one.method.lower() != "get",
    )


class Examination:
    """Sends one operation requests that its description allows, and some that it does not, until its time is over."""

    def __init__(self, operation: Any, headers: dict[str, str], seconds: float) -> None:
        self.name = f"{operation.method.upper()} {operation.path}"
        self.answered = 0
        self._operation, self._headers = operation, headers
        self._end = time.monotonic() + seconds

    def run(self) -> None:
        """Raises what is wrong with an answer."""
        settings = hypothesis_settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )

        @settings
        @given(case=self._operation.as_strategy())
        def ask_each(case: Any) -> None:
            self._ask(case)

        ask_each()

    def _ask(self, case: Any) -> None:
        if self.answered and time.monotonic() > self._end:
            return
        response = case.call(headers=self._headers, timeout=30)
        self.answered += 1
        assert response.status_code != 500, response.text
        if response.status_code == 503:
            # Workers and brokers are missing here, the database is not.
            assert "database" not in response.json().get("type", ""), response.text
        case.validate_response(response, checks=CHECKS)


async def test_every_operation_answers_as_documented_whatever_it_is_asked(served: Any) -> None:
    address, headers = served
    async with httpx.AsyncClient(headers=headers, timeout=WRITTEN_WITHIN) as client:
        document = (await client.get(f"{address}/api/openapi.json")).json()
    found = list(operations(document, address))
    assert len(found) > 10
    end = time.monotonic() + SECONDS
    failures: list[str] = []
    for number, operation in enumerate(found):
        # Later operations share the time that earlier ones did not use.
        share = max(end - time.monotonic(), 0) / (len(found) - number)
        examination = Examination(operation, headers, share)
        try:
            await asyncio.to_thread(examination.run)
        except Exception as error:
            failures.append(f"{examination.name}: {error}")
        assert examination.answered
    assert not failures, "\n\n".join(failures)


async def test_a_generated_client_understands_every_operation_and_its_errors(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, headers = served
    async with httpx.AsyncClient(headers=headers, timeout=WRITTEN_WITHIN) as plain:
        (tmp_path / "openapi.json").write_bytes((await plain.get(f"{address}/api/openapi.json")).content)
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*generator, "--path", "openapi.json", "--output-path", "generated_client"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"parsing (\w+ /\S+)", done.stderr) == NOT_GENERATED
    monkeypatch.syspath_prepend(tmp_path)
    client_of = import_module("generated_client").AuthenticatedClient
    client, stranger = (client_of(address, token) for token in (headers["Authorization"].split()[1], "nonsense"))
    list_posts, show_post = (
        import_module(f"generated_client.api.posts.{name}")
        for name in ("list_posts_api_posts_get", "post_api_posts_id_get")
    )

    async def answer_of(operation: Any, *arguments: str, client: Any, **parameters: Any) -> Any:
        return (await asyncio.to_thread(operation.sync_detailed, *arguments, client=client, **parameters)).parsed

    assert len((await answer_of(list_posts, client=client)).items) == 5
    wrong = await answer_of(list_posts, client=client, window="24h")
    assert (wrong.status, wrong.type_) == (422, "urn:signalflow:invalid-parameter")
    assert [(fault.parameter, "orders" in fault.message) for fault in wrong.errors] == [("window", True)]
    unknown = await answer_of(show_post, "zzzzzz", client=client)
    assert (unknown.status, "zzzzzz" in unknown.detail) == (404, True)
    refused = await answer_of(list_posts, client=stranger)
    assert (refused.status, "ign in" in refused.detail) == (401, True)
    assert len({problem.request_id for problem in (wrong, unknown, refused)}) == 3


def test_every_field_and_parameter_of_the_reading_endpoints_is_described() -> None:
    document = create_api(Settings(api_secret=SecretStr(test_secret))).openapi()
    reading = [
        path
        for path in document["paths"]
        if path.split("/")[1] == "api" and path.split("/")[2] in ("posts", "stats", "keywords", "tables")
    ]
    assert len(reading) >= 6
    undescribed = [
        f"{path} {parameter['name']}"
        for path in reading
        for parameter in document["paths"][path]["get"].get("parameters", [])
        if not parameter.get("description")
    ]
    ours = {
        "PostOut",
        "PostPage",
        "PostDetail",
        "RawHistory",
        "HourlyHistory",
        "Observation",
        "Hour",
        "Nlp",
        "PostStats",
        "Overview",
    }
    ours |= {"Keyword", "Keywords", "PostState", "Readiness", "Health", "Problem", "RankedPost", "TimelineHour"}
    undescribed += [
        f"{name}.{field}"
        for name in ours
        for field, schema in document["components"]["schemas"][name]["properties"].items()
        if not schema.get("description") and "$ref" not in schema
    ]
    assert undescribed == []
    for path in reading:
        assert {"401", "403", "422", "429", "500", "503"} <= set(document["paths"][path]["get"]["responses"])
