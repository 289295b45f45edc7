"""The dashboard's files as the API serves them. What they do in a browser is tested in tests/browser."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from web.dashboard import endpoints

STATIC = endpoints.HERE / "static"
OURS = sorted(path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts)
MODULES = [path for path in OURS if path.suffix == ".js"]
MOST_CHARACTERS = 120


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an app that serves only the pages, which need neither database nor Kafka."""
    app = FastAPI(openapi_url=None, docs_url=None)
    app.include_router(endpoints.router)
    endpoints.mount_static(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        yield client


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/posts/1abc2d", "/signals", "/topics", "/topics/1abc2d", "/digest"),
        *("/alerts", "/analytics", "/subreddits", "/operations", "/docs"),
    ],
)
async def test_every_page_has_an_address_that_can_be_opened_directly(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert 'src="/static/app.js"' in answer.text


async def test_the_shell_loads_everything_from_its_own_address(client: httpx.AsyncClient) -> None:
    shell = (await client.get("/")).text
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', shell)
    assert len(loaded) >= 5
    for path in loaded:
        assert (await client.get(path)).status_code == 200, path
    assert "http://" not in shell
    assert "https://" not in shell


async def test_the_shell_has_nothing_that_the_content_security_policy_forbids(client: httpx.AsyncClient) -> None:
    shell = (await client.get("/")).text
    assert "<style" not in shell
    assert "style=" not in shell
    assert re.search(r"\son[a-z]+=", shell) is None
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", shell))


async def test_a_browser_asks_for_every_module_again_so_that_versions_never_mix(client: httpx.AsyncClient) -> None:
    answer = await client.get("/static/app.js")
    assert answer.headers["cache-control"] == "no-cache"
    again = await client.get("/static/app.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_parses_a_string_as_html_or_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|"
        r"\beval\(|new Function"
    )
    assert re.search(forbidden, text) is None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_imports_only_files_of_the_dashboard(path: Path) -> None:
    for imported in re.findall(r"""(?:\bfrom|\bimport\()\s*["']([^"']+)["']""", path.read_text(encoding="utf-8")):
        assert imported.startswith("."), imported
        assert (path.parent / imported).resolve().is_file(), imported


@pytest.mark.parametrize(
    "path", [*MODULES, *STATIC.glob("*.css"), endpoints.HERE / "index.html"], ids=lambda path: path.name
)
def test_no_line_is_longer_than_the_formatter_allows_for_code(path: Path) -> None:
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    assert [number for number, line in lines if len(line) > MOST_CHARACTERS] == []
