"""How many requests a minute one user, one API key and one address may send."""

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

from signalflow.clock import utcnow
from signalflow.settings import Settings
from web.breaker import REDIS_TIMEOUT_SECONDS, redis_breaker

# Several users may share an address.
ADDRESS_FACTOR = 5
SIGN_INS_PER_ADDRESS = RateLimitItemPerMinute(30)
# Only wrong passwords count here, so that users who give the right one are never refused.
FAILURES_PER_NAME = RateLimitItemPerMinute(10)
MOST_KEYS = 5_000
# Where the middleware keeps the verdict that the response reports, in the scope of a request.
RATE = "signalflow.rate"

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
    """Counters in this process. When there are more than MOST_KEYS, the oldest are dropped."""

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """The counter after adding to it."""
        if key not in self.expirations and len(self.expirations) >= MOST_KEYS:
            for oldest in list(self.expirations)[: MOST_KEYS // 10]:
                await self.clear(oldest)
        return await super().incr(key, expiry, amount)


class Limiter:
    """Counts per minute: in Redis for all API processes; in this process without Redis, or while it is away."""

    def __init__(self, settings: Settings) -> None:
        self.per_user = RateLimitItemPerMinute(settings.rate_limit_per_minute)
        self.per_address = RateLimitItemPerMinute(settings.rate_limit_per_minute * ADDRESS_FACTOR)
        self._here = FixedWindowRateLimiter(BoundedMemory())
        url = settings.redis_url.get_secret_value()
        self._shared = FixedWindowRateLimiter(_redis(url, settings.app_id)) if url else None
        self._breaker = redis_breaker()

    async def hit(self, item: RateLimitItem, kind: str, key: str) -> Verdict:
        """Count one request, and say whether it was within the limit."""
        return await self._ask(item, kind, key, count=True)

    async def look(self, item: RateLimitItem, kind: str, key: str) -> Verdict:
        """Whether one more request would be within the limit; counts nothing."""
        return await self._ask(item, kind, key, count=False)

    async def count(self, connection: HTTPConnection, item: RateLimitItem, kind: str, key: str) -> None:
        """Count a request against a limit, which its response then reports. Raises 429 when nothing is left of it."""
        enforce(connection, await self.hit(item, kind, key))

    async def _ask(self, item: RateLimitItem, kind: str, key: str, *, count: bool) -> Verdict:
        if self._shared is not None and not self._breaker.is_open:
            try:
                return await _verdict(self._shared, item, kind, key, count)
            except StorageError as error:
                self._breaker.failed()
                log.warning("rate_limits_without_redis", error=str(error), again_in_seconds=self._breaker.seconds)
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


def address_of(scope: MutableMapping[str, Any]) -> str:
    """The client to count: the address of the peer, or its /64 network for IPv6, the least that a client has."""
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


def enforce(connection: HTTPConnection, verdict: Verdict) -> None:
    """Let the response report the limit. Raises 429 when nothing is left of it."""
    connection.scope[RATE]["verdict"] = verdict
    if not verdict.allowed:
        raise HTTPException(429, too_many(verdict), headers=verdict.headers)


def too_many(verdict: Verdict) -> str:
    """The refusal in words."""
    return f"More than {verdict.limit} a minute; try again in {max(verdict.reset_seconds, 1)} s."
