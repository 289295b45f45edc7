"""The metrics of an API process and of a worker: requests by route, the process, and no series of the other."""

from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr

from signalflow.local.ports import free_ports
from signalflow.metrics import API_REGISTRY, REGISTRY
from signalflow.settings import Settings
from tests.api_clients import bearer, test_secret
from web.app import create_api

TOKEN = "the-token-of-this-installation-of-tests"


def without_database(token: str = "") -> Settings:
    url = SecretStr(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none")
    return Settings(
        database_url=url, database_timeout=2, api_secret=SecretStr(test_secret), worker_token=SecretStr(token)
    )


async def statuses(token: str, path: str, *authorization: str) -> list[int]:
    """What an API with this token, whose database is away, answers on one path to these headers."""
    app = create_api(without_database(token))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as made:
        return [(await made.get(path, headers={"Authorization": one})).status_code for one in authorization]


async def test_prometheus_is_let_in_by_the_token_of_workers_even_while_the_database_is_away() -> None:
    assert await statuses(TOKEN, "/metrics", f"Bearer {TOKEN}") == [200]
    assert await statuses(TOKEN, "/metrics", "", TOKEN, f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer") == [401] * 5


async def test_the_token_of_workers_opens_nothing_else_and_an_empty_one_nothing() -> None:
    assert await statuses(TOKEN, "/api/posts/", f"Bearer {TOKEN}") == [401]
    assert await statuses(TOKEN, "/api/operations/", f"Bearer {TOKEN}") == [401]
    assert await statuses("", "/metrics", "Bearer ", "Bearer") == [401, 401]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A reader's client of an API whose database port is closed."""
    settings = without_database()
    app = create_api(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", headers=bearer(settings)) as made,
    ):
        yield made


def requests(route: str, status: str, method: str = "GET") -> float:
    labels = {"method": method, "route": route, "status": status}
    return API_REGISTRY.get_sample_value("signalflow_http_requests_total", labels) or 0.0


def timed(route: str, method: str = "GET") -> float:
    return API_REGISTRY.get_sample_value("signalflow_http_seconds_count", {"method": method, "route": route}) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/health", "/health", "200"),
        ("GET", "/health/", "/health", "200"),
        ("GET", "/dlq/17", "/dlq/{letter_id}", "503"),
        ("GET", "/dlq/none", "/dlq/{letter_id}", "422"),
        ("HEAD", "/health", "/health", "200"),
        ("GET", "/no/such/page", "none", "404"),
        ("BREW", "/no/such/page", "none", "404"),
        ("POST", "/health", "/health", "405"),
    ],
)
async def test_requests_are_counted_and_timed_by_route_and_not_by_address(
    client: httpx.AsyncClient, method: str, path: str, route: str, status: str
) -> None:
    shown = method if method != "BREW" else "other"
    before = requests(route, status, shown), timed(route, shown)
    answer = await client.request(method, path)
    assert str(answer.status_code) == status
    assert (requests(route, status, shown), timed(route, shown)) == (before[0] + 1, before[1] + 1)


async def test_an_unexpected_error_counts_as_500(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("web.api.metrics.endpoints.generate_latest", fail)
    before = requests("/metrics", "500")
    assert (await client.get("/metrics")).status_code == 500
    assert requests("/metrics", "500") == before + 1


async def test_an_api_process_shows_its_build_and_process_and_no_series_of_a_worker(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    for name in (
        "signalflow_build_info{",
        "process_cpu_seconds_total ",
        "process_open_fds ",
        "signalflow_live_clients ",
    ):
        assert f"\n{name}" in text, name
    for name in ("signalflow_is_poller", "signalflow_rows_written", "signalflow_records_total"):
        assert name not in text


@pytest.mark.parametrize(
    "series",
    [
        'signalflow_dead_letters_total{stage="write"}',
        'signalflow_dead_letters_stored_total{outcome="refused"}',
        'signalflow_records_total{agent="sink"}',
        "signalflow_offset_holes_total",
        "process_resident_memory_bytes",
        "signalflow_build_info{",
    ],
)
def test_a_worker_has_its_series_from_the_start_and_none_of_the_api(series: str) -> None:
    text = generate_latest(REGISTRY).decode()
    assert f"\n{series}" in text
    assert "signalflow_live" not in text
    assert "signalflow_http" not in text
