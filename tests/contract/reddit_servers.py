"""Small servers that stand in for Reddit: one gives recorded answers, one says whatever a test tells it to."""

import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

TOKEN_PATH = "/api/v1/access_token"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

EMPTY_LISTING: dict[str, Any] = {
    "kind": "Listing",
    "data": {"after": None, "before": None, "dist": 0, "modhash": None, "geo_filter": "", "children": []},
}


@dataclass
class Seen:
    """A request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    user_agent: str
    authorization: str


@dataclass
class RedditServer:
    """A running server: its base URL and what it was asked."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    @property
    def token_fetches(self) -> int:
        return sum(request.path == TOKEN_PATH for request in self.seen)

    @property
    def api_calls(self) -> list[Seen]:
        return [request for request in self.seen if request.path != TOKEN_PATH]


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[RedditServer]:
    """Serve every path with one handler on a free loopback port."""
    server = RedditServer()

    async def remembering(request: web.Request) -> web.StreamResponse:
        server.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                request.headers.get("User-Agent", ""),
                request.headers.get("Authorization", ""),
            )
        )
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", remembering)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


class Script:
    """A Reddit that answers well, unless `token` or `api` has an entry: the next entry answers the next request."""

    def __init__(self) -> None:
        self.token: list[Handler] = []
        self.api: list[Handler] = []
        self.tokens_given = 0
        self.valid_tokens: set[str] = set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == TOKEN_PATH:
            return await self.token.pop(0)(request) if self.token else self._new_token()
        if self.api:
            return await self.api.pop(0)(request)
        if request.headers.get("Authorization", "").removeprefix("bearer ") not in self.valid_tokens:
            return invalid_token()
        return web.json_response(EMPTY_LISTING)

    def _new_token(self) -> web.Response:
        self.tokens_given += 1
        token = f"token-{self.tokens_given}"
        self.valid_tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "bearer", "expires_in": 86400, "scope": "*"})


def invalid_token() -> web.Response:
    """Reddit's 401, as recorded."""
    return web.Response(
        status=401,
        text="<html>401</html>",
        content_type="text/html",
        headers={"WWW-Authenticate": 'Bearer realm="reddit", error="invalid_token"'},
    )


def says(
    status: int = 200,
    body: Any = None,
    headers: dict[str, str] | None = None,
    text: str | None = None,
    content_type: str = "text/html",
) -> Handler:
    """A handler that gives this answer: JSON when `body` is given, else `text`."""

    async def handler(_: web.Request) -> web.StreamResponse:
        if body is not None:
            return web.json_response(body, status=status, headers=headers)
        return web.Response(status=status, text=text or "", content_type=content_type, headers=headers)

    return handler


class Recorded:
    """Reddit's recorded answers, given to whoever asks for the same thing; ids are picked from all recorded posts."""

    def __init__(self, directory: Path) -> None:
        recorded = {path.name.split(".")[0]: _load(path) for path in sorted(directory.glob("*.json.gz"))}
        self.token = recorded["token"]
        self.new = recorded["subreddit_new"]
        self.info = [recorded["info_page1"], recorded["info_page2"]]

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if request.path == TOKEN_PATH:
            return _recorded_answer(self.token, self.token["body"])
        if request.path == "/api/info":
            wanted = set(request.query["id"].split(","))
            pages = [*self.info, self.new]
            items = [child for page in pages for child in page["body"]["data"]["children"]]
            return _recorded_answer(self.info[0], _listing(child for child in items if child["data"]["name"] in wanted))
        if "after" in request.query:
            return _recorded_answer(self.new, EMPTY_LISTING)
        children = self.new["body"]["data"]["children"][: int(request.query["limit"])]
        return _recorded_answer(self.new, _listing(children, after=children[-1]["data"]["name"]))


def _listing(children: Any, after: str | None = None) -> dict[str, Any]:
    return {"kind": "Listing", "data": EMPTY_LISTING["data"] | {"children": list(children), "after": after}}


def _recorded_answer(recorded: dict[str, Any], body: Any) -> web.Response:
    limits = {name: value for name, value in recorded["headers"].items() if name.startswith("x-ratelimit")}
    return web.json_response(body, status=recorded["status"], headers=limits)


def _load(path: Path) -> dict[str, Any]:
    with gzip.open(path, "rt") as file:
        recorded: dict[str, Any] = json.load(file)
    if isinstance(recorded["body"], str):
        recorded["body"] = json.loads(recorded["body"])
    return recorded
