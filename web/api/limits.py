"""How much one user, one API key and one address may ask for: rates, and the size of a request."""

import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter
from limits.errors import StorageError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from signalflow.clock import utcnow
from signalflow.settings import Settings
from web.api.problems import refusal

# Several users may share an address.
ADDRESS_FACTOR = 5
SIGN_INS_PER_ADDRESS = RateLimitItemPerMinute(30)
# Only wrong passwords count here, so that nobody who knows his own is kept out by using it.
FAILURES_PER_NAME = RateLimitItemPerMinute(10)
MOST_KEYS = 5_000
REDIS_TIMEOUT_SECONDS = 0.25
REDIS_AWAY_SECONDS = 5.0
# A list of 10,000 subreddits as CSV is 400 kB.
MAX_BODY_BYTES = 1 << 20
# What says whether the process lives, and files that anybody may have, must not depend on who else asks.
UNLIMITED = ("/health", "/ready", "/static/")

log = structlog.get_logger()


@dataclass(frozen=True)
class Verdict:
    """What is left of a limit after a request."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """`RateLimit-*`, and `Retry-After` for a refusal."""
        fields = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_seconds),
        }
        return fields if self.allowed else fields | {"Retry-After": str(max(self.reset_seconds, 1))}


class BoundedMemory(MemoryStorage):
    """Counters in this process; when there are too many, the oldest are forgotten."""

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """The counter after adding to it."""
        if key not in self.expirations and len(self.expirations) >= MOST_KEYS:
            for oldest in list(self.expirations)[: MOST_KEYS // 10]:
                await self.clear(oldest)
        return await super().incr(key, expiry, amount)


class Limiter:
    """Counts per minute: in Redis for all API processes together, or in this one; also while Redis is away, which is logged."""

    def __init__(self, settings: Settings) -> None:
        self.per_user = RateLimitItemPerMinute(settings.rate_limit_per_minute)
        self.per_address = RateLimitItemPerMinute(settings.rate_limit_per_minute * ADDRESS_FACTOR)
        self._here = FixedWindowRateLimiter(BoundedMemory())
        url = settings.redis_url.get_secret_value()
        self._shared = FixedWindowRateLimiter(_redis(url, settings.app_id)) if url else None
        self._away_until = 0.0

    async def hit(self, item: RateLimitItem, kind: str, key: str) -> Verdict:
        """Count one, and say whether it was within the limit."""
        return await self._ask(item, kind, key, count=True)

    async def look(self, item: RateLimitItem, kind: str, key: str) -> Verdict:
        """Whether one more would be within the limit; counts nothing."""
        return await self._ask(item, kind, key, count=False)

    async def _ask(self, item: RateLimitItem, kind: str, key: str, *, count: bool) -> Verdict:
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                return await _verdict(self._shared, item, kind, key, count)
            except StorageError as error:
                self._away_until = time.monotonic() + REDIS_AWAY_SECONDS
                log.warning("rate_limits_without_redis", error=str(error), again_in_seconds=REDIS_AWAY_SECONDS)
        return await _verdict(self._here, item, kind, key, count)


def _redis(url: str, app_id: str) -> RedisStorage:
    return RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=f"{app_id}:limits",
        socket_timeout=REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
    )


async def _verdict(limiter: FixedWindowRateLimiter, item: RateLimitItem, kind: str, key: str, count: bool) -> Verdict:
    allowed = await (limiter.hit if count else limiter.test)(item, kind, key)
    reset, remaining = await limiter.get_window_stats(item, kind, key)
    return Verdict(allowed, item.amount, max(remaining, 0), max(round(reset - utcnow().timestamp()), 0))


def limiter_of(connection: HTTPConnection) -> Limiter:
    """The limiter of the application that the connection came to."""
    limiter: Limiter = connection.app.state.limiter
    return limiter


def address_of(scope: MutableMapping[str, Any]) -> str:
    """Whom the peer's address stands for: itself, or its /64 for IPv6, of which everybody has one at least."""
    client = scope.get("client")
    if not client:
        return "unknown"
    try:
        address = ip_address(client[0])
    except ValueError:
        return "unknown"
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{address.exploded[:19]}::/64"
    return str(getattr(address, "ipv4_mapped", None) or address)


async def count_request(connection: HTTPConnection, item: RateLimitItem, kind: str, key: str) -> None:
    """Count a request against a limit, which its answer then reports. Raises 429 when there is none left."""
    enforce(connection, await limiter_of(connection).hit(item, kind, key))


def enforce(connection: HTTPConnection, verdict: Verdict) -> None:
    """Let the answer report the limit. Raises 429 when there is none left of it."""
    connection.scope["signalflow.rate"]["verdict"] = verdict
    if not verdict.allowed:
        raise HTTPException(429, too_many(verdict), headers=verdict.headers)


def too_many(verdict: Verdict) -> str:
    """The refusal in words."""
    return f"More than {verdict.limit} a minute; try again in {max(verdict.reset_seconds, 1)} s."


class RateLimits:
    """ASGI middleware: counts requests and sockets by address, before anything is looked up, and reports the nearest limit."""

    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"].startswith(UNLIMITED):
            scope["signalflow.rate"] = {}
            await self._app(scope, receive, send)
            return
        verdict = await self._limiter.hit(self._limiter.per_address, "address", address_of(scope))
        if not verdict.allowed:
            await refusal(429, too_many(verdict), verdict.headers)(scope, receive, send)
            return
        # Filled by `enforce` when a limit of the user, or of signing in, is the one to report.
        rate = scope["signalflow.rate"] = {"verdict": verdict}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                have = {name for name, _ in message["headers"]}
                fields = [(k.lower().encode(), v.encode()) for k, v in rate["verdict"].headers.items()]
                message["headers"] = [*message["headers"], *(field for field in fields if field[0] not in have)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class BodyLimit:
    """ASGI middleware: refuses a body above MAX_BODY_BYTES, by what it says it has, or else when it turns out to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not said.isdigit() or int(said) > MAX_BODY_BYTES:
            await refusal(413, _TOO_LARGE)(scope, receive, send)
            return
        had = 0

        async def receive_within_limit() -> Message:
            nonlocal had
            message = await receive()
            had += len(message.get("body", b""))
            if had > MAX_BODY_BYTES:
                raise HTTPException(413, _TOO_LARGE)
            return message

        await self._app(scope, receive_within_limit, send)


_TOO_LARGE = f"The body of a request may have {MAX_BODY_BYTES} bytes."
