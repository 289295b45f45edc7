"""A poller and a simulator in one process without a network, on a clock that jumps to whatever happens next."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch
from urllib.parse import urlencode

import orjson
from aiohttp import ClientResponse, ServerDisconnectedError
from asyncprawcore.exceptions import BadJSON, RequestException
from yarl import URL

from signalflow.reddit.answers import Answer
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.feeds.client import FeedClient
from signalflow.reddit.transport import Exchange, PlainReddit, Refused
from signalflow.reddit_settings import PersonalFeed
from signalflow.simulator.answers import too_many_by_address
from signalflow.simulator.config import Config
from signalflow.simulator.feeds import feed_path
from signalflow.simulator.simclock import Anchor, SimClock
from signalflow.simulator.simulator import Simulator
from signalflow.simulator.store import Store
from signalflow.simulator.world import World

# 2026-05-05 14:13:20 UTC.
EPOCH = 1_777_990_400.0
CLIENT = "simulator"


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its clock stands still while something runs, and otherwise jumps to the next timer. It must not wait for I/O."""

    virtual_now = EPOCH

    def __init__(self) -> None:
        super().__init__()
        # A float near EPOCH has steps of 2e-7 s. With a finer resolution the loop would not see that a timer is due.
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.virtual_now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.virtual_now = max(self.virtual_now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def now() -> float:
    """The virtual time in epoch seconds."""
    return asyncio.get_running_loop().time()


def utc() -> datetime:
    """The virtual time as a date."""
    return datetime.fromtimestamp(now(), UTC)


@contextmanager
def patched_clocks() -> Iterator[None]:
    """The poller's steady clock is the loop's meanwhile."""
    with ExitStack() as patches:
        for module in ("poller", "outcomes", "reddit_clock"):
            patches.enter_context(patch(f"signalflow.reddit.{module}.steady", now))
        yield


def simulator_of(config: Config) -> Simulator:
    """A simulator whose clock is the loop's."""
    clock = SimClock(Anchor(EPOCH, EPOCH, 1.0), real=now)
    return Simulator(config, Store(None), World(config.parameters), clock)


class NoNetwork:
    """Stands in for `PlainReddit`: an exchange is a function call, which takes `latency` seconds of virtual time."""

    def __init__(self, simulator: Simulator, timeout: float, latency: float = 0.2) -> None:
        self._simulator, self._timeout, self._latency = simulator, timeout, latency

    async def exchange(
        self, path: str, params: Mapping[str, str | int], exchange: Exchange | None = None
    ) -> tuple[object, Answer]:
        exchange = exchange or Exchange()
        exchange.token = "token"
        simulator, path_qs = self._simulator, f"{path}?{urlencode(params)}"
        fault = simulator.faults.take(path, path_qs)
        await asyncio.sleep(min(self._latency + (fault.delay if fault else 0.0), self._timeout))
        if fault is not None and fault.delay >= self._timeout:
            simulator.log_request("GET", path_qs, "", CLIENT, 0)
            raise RequestException(TimeoutError(), (), {})
        if fault is not None and fault.drop:
            simulator.log_request("GET", path_qs, "", CLIENT, 0)
            raise RequestException(ServerDisconnectedError(), (), {})
        if fault is not None and fault.replaces_answer:
            said = fault.answer()
        else:
            said = simulator.api.answer(path, {name: str(value) for name, value in params.items()}, now())
            said = fault.change(said) if fault is not None else said
        simulator.log_request("GET", path_qs, "", CLIENT, said.status)
        headers = {"Content-Type": said.content_type, "Date": formatdate(now(), usegmt=True)}
        if said.limits:
            headers |= simulator.limiter.take(CLIENT, now()).headers()
        answer = Answer(said.status, headers | said.headers, utc())
        response = cast(ClientResponse, SimpleNamespace(status=said.status, url=URL(f"https://simulator{path}")))
        if said.status != 200:
            raise Refused(response, answer, said.body)
        exchange.answer = answer
        try:
            return orjson.loads(said.body), answer
        except ValueError as error:
            raise BadJSON(response) from error

    async def close(self) -> None:
        """There is nothing to close."""


def client_of(simulator: Simulator, timeout: float) -> AsyncprawClient:
    """The real client, which reads and translates what the simulator answers."""
    return AsyncprawClient(cast(PlainReddit, NoNetwork(simulator, timeout)))


class FeedsWithoutNetwork(FeedClient):
    """The real client of feeds, but a request is a function call, which takes `latency` seconds of virtual time."""

    def __init__(self, simulator: Simulator, personal: PersonalFeed | None = None, latency: float = 0.2) -> None:
        super().__init__("operator@example.org", personal=personal, clock=utc)
        self._simulator, self._latency = simulator, latency

    async def _get(self, path: str, params: Mapping[str, str]) -> tuple[Answer, bytes]:
        await asyncio.sleep(self._latency)
        simulator, at = self._simulator, feed_path(path)
        assert at is not None
        query = dict(params) | ({} if self._personal is None else self._personal.params())
        fault = simulator.faults.take(at, f"{path}?{urlencode(params)}")
        limit = simulator.feed_limits.take(CLIENT, query, now())
        if fault is not None and fault.replaces_answer:
            said = fault.answer()
        else:
            said = simulator.feeds.answer(at, dict(params), now()) if limit.allowed else too_many_by_address()
        simulator.log_request("GET", f"{path}?{urlencode(params)}", "", CLIENT, said.status)
        headers = {"Content-Type": said.content_type, "Date": formatdate(now(), usegmt=True)}
        if said.limits:
            headers |= limit.headers()
        return Answer(said.status, headers | said.headers, utc()), said.body


def fields_of(post: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a post that a listing shows."""
    usual = {"author": "a", "score": 1, "num_comments": 0, "over_18": False, "is_self": True, "upvote_ratio": 1.0}
    return usual | dict(post)
