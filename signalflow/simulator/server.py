"""The simulator over HTTP: log, faults, OAuth and rate limits around the API. It only ever works while it answers."""

import asyncio
import zlib
from collections import deque
from dataclasses import asdict, dataclass
from email.utils import formatdate
from typing import Any

import structlog
from aiohttp import web

from signalflow.simulator.answers import (
    Answer,
    not_found,
    too_many_plain,
    too_many_with_wait,
    unauthorized,
    uri_too_long,
)
from signalflow.simulator.api import Api
from signalflow.simulator.config import Config
from signalflow.simulator.control import Control
from signalflow.simulator.faults import Fault, Faults
from signalflow.simulator.limiter import Limiter, Verdict
from signalflow.simulator.oauth import Tokens
from signalflow.simulator.shapes import PostShapes
from signalflow.simulator.simclock import SimClock
from signalflow.simulator.store import Store
from signalflow.simulator.text import Texts
from signalflow.simulator.world import World

# 468 names of subreddits in one URL are accepted, 936 are not.
MAX_URL = 8_192
LOG_LENGTH = 20_000
TOKEN_PATH = "/api/v1/access_token"  # noqa: S105 a path, not a password
# What libraries send when nobody has given them a name.
LIBRARY_AGENTS = (
    "aiohttp",
    "curl/",
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


@dataclass(frozen=True, slots=True)
class Entry:
    """One request in the log. Times in epoch seconds, real and simulated."""

    real: float
    sim: float
    method: str
    path: str
    user_agent: str
    client: str | None
    status: int


class Simulator:
    """Takes requests apart and puts answers together. `entries` is the log, oldest first."""

    def __init__(self, config: Config, store: Store, world: World, clock: SimClock) -> None:
        self.store = store
        self.world = world
        self.clock = clock
        self.texts = Texts(world.parameters.corpus)
        self.requests = 0
        self.faults = Faults()
        self.limiter = Limiter(config.limit, config.window)
        self.tokens = Tokens(config.clients, config.accounts, config.token_seconds)
        self.entries: deque[Entry] = deque(maxlen=LOG_LENGTH)
        self._limits_clock = clock.real if config.limits_clock == "real" else clock.now
        self.api = Api(world, PostShapes(self.texts.of), config.bad_member)
        self._control = Control(self)

    def limits_now(self) -> float:
        """The time by which limits and tokens go, in epoch seconds."""
        return self._limits_clock()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Every request."""
        path = request.path.rstrip("/") or "/"
        if path.startswith("/__"):
            return _response(await self._control.handle(path, request), None, self.clock.now(), request)
        fault = self.faults.take(path, request.path_qs)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if fault is not None and fault.drop:
            self._log(request, None, 0)
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        client = self.tokens.client_of(request.headers.get("Authorization"), self.limits_now())
        answer, verdict = await self._answer(path, request, client, fault)
        self._log(request, client, answer.status)
        return _response(answer, verdict, self.clock.now(), request)

    async def _answer(
        self, path: str, request: web.Request, client: str | None, fault: Fault | None
    ) -> tuple[Answer, Verdict | None]:
        """The answer and, where Reddit would send them, the numbers of the limit."""
        if fault is not None and fault.replaces:
            answer = fault.answer()
            return answer, self.limiter.take(client or ANONYMOUS, self.limits_now()) if answer.limits else None
        answer, verdict = await self._right_answer(path, request, client)
        if fault is not None:
            answer = fault.dressed(answer)
        return answer, verdict if answer.limits else None

    async def _right_answer(self, path: str, request: web.Request, client: str | None) -> tuple[Answer, Verdict | None]:
        agent = request.headers.get("User-Agent", "").lower()
        if not agent or agent.startswith(LIBRARY_AGENTS):
            return too_many_plain(), None
        if len(request.path_qs) > MAX_URL:
            return uri_too_long(), None
        if path == TOKEN_PATH and request.method == "POST":
            form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
            return self.tokens.issue(request.headers.get("Authorization"), form, self.limits_now()), None
        if client is None:
            return unauthorized(), None
        verdict = self.limiter.take(client, self.limits_now())
        if not verdict.allowed:
            return too_many_with_wait(verdict.reset), None
        return await self._from_api(path, request), verdict

    async def _from_api(self, path: str, request: web.Request) -> Answer:
        query = dict(request.query)
        if request.method == "POST" and path in ("/api/morechildren", "/api/info"):
            query |= {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
        elif request.method != "GET":
            return not_found()
        return self.api.answer(path, query, self.clock.now())

    def _log(self, request: web.Request, client: str | None, status: int) -> None:
        agent = request.headers.get("User-Agent", "")
        now = self.clock.now()
        self.requests += 1
        self.entries.append(Entry(self.clock.real(), now, request.method, request.path_qs, agent, client, status))


@dataclass(slots=True)
class RunningSimulator:
    """A simulator that listens. `url` has no trailing slash; `world` and `clock` may be used directly."""

    url: str
    world: World
    clock: SimClock
    simulator: Simulator
    _runner: web.AppRunner

    async def close(self) -> None:
        """Stop listening; requests under way are cut off after a second."""
        await self._runner.cleanup()


async def start(config: Config, port: int = 0) -> RunningSimulator:
    """Listen on `config.host` at `port` (0: a free one).

    Raises OSError when the port is taken, Fatal when the data directory cannot be used, Invalid for a corpus without posts.
    """
    store = Store(config.data_dir)
    world, clock = store.open(config)
    simulator = await asyncio.to_thread(Simulator, config, store, world, clock)
    await asyncio.to_thread(world.advance, clock.now())
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", simulator.handle)
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


def _response(answer: Answer, verdict: Verdict | None, now: float, request: web.Request) -> web.Response:
    """The Date header carries the simulated time, as Reddit's carries Reddit's."""
    headers: dict[str, Any] = {"Content-Type": answer.content_type, "Date": formatdate(now, usegmt=True)}
    if verdict is not None:
        headers |= verdict.headers()
    headers |= answer.headers
    body = answer.body
    if len(body) > 1_024 and "gzip" in request.headers.get("Accept-Encoding", ""):
        # Level 1: a page of 100 posts in 3 ms, a fifth of its size.
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(body) + packer.flush()
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return web.Response(body=body, status=answer.status, headers=headers)
