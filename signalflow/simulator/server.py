"""The simulator over HTTP: log, faults, OAuth and rate limits around API and feeds. It works only while it answers."""

import asyncio
import zlib
from dataclasses import asdict, dataclass
from email.utils import formatdate
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from aiohttp import web

from signalflow.simulator.answers import (
    Answer,
    not_found,
    too_many_by_address,
    too_many_plain,
    too_many_with_wait,
    unauthorized,
    uri_too_long,
)
from signalflow.simulator.config import Config
from signalflow.simulator.control import Control
from signalflow.simulator.faults import Fault
from signalflow.simulator.feeds import feed_path
from signalflow.simulator.limiter import LimitState
from signalflow.simulator.simclock import SimClock
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.store import Store
from signalflow.simulator.world import World

# Reddit accepts a URL with 468 names of subreddits, and refuses one with 936.
MAX_URL = 8_192
TOKEN_PATH = "/api/v1/access_token"  # noqa: S105 a path, not a password
# What libraries send when nobody has chosen a user agent; Reddit refuses them.
LIBRARY_AGENTS = (
    "aiohttp",
    "curl/",
    "feedparser",
    "go-http-client",
    "java/",
    "okhttp",
    "python-httpx",
    "python-requests",
    "python-urllib",
    "python/",
    "wget/",
)
ANONYMOUS = "anonymous"
log = structlog.get_logger()


class Handler:
    """Answers every HTTP request to a simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._control = Control(simulator)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, and log it unless it is for the control interface."""
        simulator = self._simulator
        path = request.path.rstrip("/") or "/"
        is_without_token = path.startswith("/__") or feed_path(path) is not None
        if is_without_token and not _is_from_here(request.remote):
            return _response(not_found(), None, simulator.clock.now(), request)
        if path.startswith("/__"):
            return _response(await self._control.handle(path, request), None, simulator.clock.now(), request)
        fault = simulator.faults.take(feed_path(path) or path, request.path_qs)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault is not None and fault.drop:
            self._log(request, None, 0)
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        client = simulator.tokens.client_of(request.headers.get("Authorization"), simulator.limits_now())
        answer, limit = await self._answer(path, request, client, fault)
        self._log(request, client, answer.status)
        return _response(answer, limit, simulator.clock.now(), request)

    async def _answer(
        self, path: str, request: web.Request, client: str | None, fault: Fault | None
    ) -> tuple[Answer, LimitState | None]:
        """The answer and, where Reddit would send them, the numbers of the rate limit."""
        if fault is not None and fault.replaces_answer:
            answer = fault.answer()
            return answer, self._count(path, request, client) if answer.limits else None
        answer, limit = await self._right_answer(path, request, client)
        if fault is not None:
            answer = fault.change(answer)
        return answer, limit if answer.limits else None

    async def _right_answer(
        self, path: str, request: web.Request, client: str | None
    ) -> tuple[Answer, LimitState | None]:
        """The answer without a fault."""
        simulator = self._simulator
        agent = request.headers.get("User-Agent", "").lower()
        if not agent or agent.startswith(LIBRARY_AGENTS):
            return too_many_plain(), None
        if len(request.path_qs) > MAX_URL:
            return uri_too_long(), None
        if path == TOKEN_PATH and request.method == "POST":
            form = await _form(request)
            return simulator.tokens.issue(request.headers.get("Authorization"), form, simulator.limits_now()), None
        feed = feed_path(path)
        if feed is not None and request.method == "GET":
            # Nobody needs a token for a feed.
            limit = self._count(path, request, client)
            if not limit.allowed:
                return too_many_by_address(), limit
            return simulator.feeds.answer(feed, dict(request.query), simulator.clock.now()), limit
        if client is None:
            return unauthorized(), None
        limit = self._count(path, request, client)
        if not limit.allowed:
            return too_many_with_wait(limit.reset), None
        return await self._from_api(path, request), limit

    def _count(self, path: str, request: web.Request, client: str | None) -> LimitState:
        """The rate limit after this request: by address and user for a feed, by client id for anything else."""
        simulator = self._simulator
        if feed_path(path) is not None:
            return simulator.feed_limits.take(request.remote or ANONYMOUS, request.query, simulator.limits_now())
        return simulator.limiter.take(client or ANONYMOUS, simulator.limits_now())

    async def _from_api(self, path: str, request: web.Request) -> Answer:
        query = dict(request.query)
        if request.method == "POST" and path in ("/api/morechildren", "/api/info"):
            query |= await _form(request)
        elif request.method != "GET":
            return not_found()
        return self._simulator.api.answer(path, query, self._simulator.clock.now())

    def _log(self, request: web.Request, client: str | None, status: int) -> None:
        agent = request.headers.get("User-Agent", "")
        self._simulator.log_request(request.method, request.path_qs, agent, client, status)


@dataclass(slots=True)
class RunningSimulator:
    """A simulator that listens at `url` (without a slash at the end). Tests may use its parts directly."""

    url: str
    world: World
    clock: SimClock
    simulator: Simulator
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening. Requests that are not answered within a second are cut off."""
        await self._runner.cleanup()


async def start(config: Config, port: int = 0) -> RunningSimulator:
    """Listen on `config.host` at `port` (0: a free one).

    Raises OSError when the port is taken, Fatal when the data directory cannot be used, and Invalid for a corpus
    without posts.
    """
    store = Store(config.data_dir)
    world, clock = store.open(config)
    simulator = await asyncio.to_thread(Simulator, config, store, world, clock)
    await asyncio.to_thread(world.advance, clock.now())
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", Handler(simulator).handle)
    runner = web.AppRunner(app, access_log=None, max_line_size=2**16, max_field_size=2**16, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, config.host, port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    url = f"http://{config.host}:{runner.addresses[0][1]}"
    log.info("simulator listens", url=url, **{k: v for k, v in asdict(world.parameters).items() if k != "corpus"})
    return RunningSimulator(url, world, clock, simulator, runner)


def _is_from_here(remote: str | None) -> bool:
    """Whether a request comes from this machine."""
    try:
        address = ip_address(remote or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


async def _form(request: web.Request) -> dict[str, str]:
    return {key: value for key, value in (await request.post()).items() if isinstance(value, str)}


def _response(answer: Answer, limit: LimitState | None, now: float, request: web.Request) -> web.Response:
    """The Date header carries the simulated time, as Reddit's carries Reddit's."""
    headers: dict[str, Any] = {"Content-Type": answer.content_type, "Date": formatdate(now, usegmt=True)}
    if limit is not None:
        headers |= limit.headers()
    headers |= answer.headers
    body = answer.body
    if len(body) > 1_024 and "gzip" in request.headers.get("Accept-Encoding", ""):
        # Level 1 packs a page of 100 posts to a fifth of its size in 3 ms.
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(body) + packer.flush()
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=body, status=answer.status, headers=headers)
