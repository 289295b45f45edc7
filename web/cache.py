"""Answers that are kept for some seconds, and computed once for all requests that wait for them.

They are kept in Redis (Valkey) for all API processes, or in this process. While Redis is away, each process keeps its
own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from signalflow.metrics import CACHE_ANSWERS
from web.breaker import REDIS_TIMEOUT_SECONDS, redis_breaker
from web.single_flight import SingleFlight

Compute = Callable[[], Awaitable[bytes]]

MOST_KEPT = 256
# The process that computes an answer holds a lock for LOCK_SECONDS at most. The others look every LOOK_SECONDS.
LOCK_SECONDS = 15.0
LOOK_SECONDS = 0.05
# The names in Redis.
_PREFIX, _LOCK = "signalflow:answer:", ":lock"

log = structlog.get_logger()


class AnswerCache:
    """The answers of one process. An error of a computation goes to all who wait for it, and is not kept."""

    def __init__(self, redis_url: str = "") -> None:
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._computations: SingleFlight[str, bytes] = SingleFlight()
        self._redis: Redis | None = None
        self._times_forgotten = 0
        self._breaker = redis_breaker()
        if redis_url:
            self._redis = Redis.from_url(
                redis_url,
                socket_timeout=REDIS_TIMEOUT_SECONDS,
                socket_connect_timeout=REDIS_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )

    async def get(self, key: str, seconds: float, compute: Compute) -> bytes:
        """The answer under this key, at most `seconds` old. Raises what `compute` raises."""
        outcome = "joined"

        async def counted() -> bytes:
            nonlocal outcome
            outcome = "computed"
            return await compute()

        async def look() -> bytes:
            nonlocal outcome
            outcome = "kept"
            return await self._answer(key, seconds, counted)

        try:
            return await self._computations.run(key, look)
        finally:
            CACHE_ANSWERS.labels(outcome=outcome).inc()

    def forget(self, key: str) -> None:
        """Compute the next answer anew, because this process changed its data. What Redis keeps stays."""
        self._kept.pop(key, None)
        self._computations.forget(key)

    async def forget_all(self) -> None:
        """Compute every next answer anew, because something was erased that answers may hold; also those in Redis.

        An answer that is being computed is not kept. While Redis is away, what it keeps ends by its age.
        """
        self._times_forgotten += 1
        self._kept.clear()
        self._computations.forget_all()
        if self._redis is None or self._breaker.is_open:
            return
        try:
            async for name in self._redis.scan_iter(match=_PREFIX + "*", count=1_000):
                if not name.endswith(_LOCK.encode()):
                    await self._redis.unlink(name)
        except (RedisError, OSError) as error:
            self._away(error)

    async def close(self) -> None:
        """Close the connections."""
        self._computations.cancel()
        if self._redis is not None:
            await self._redis.aclose()

    async def _answer(self, key: str, seconds: float, compute: Compute) -> bytes:
        if self._redis is not None and not self._breaker.is_open:
            return await self._from_redis(self._redis, key, seconds, compute)
        return await self._from_memory(key, seconds, compute)

    async def _from_memory(self, key: str, seconds: float, compute: Compute) -> bytes:
        now = time.monotonic()
        until, answer = self._kept.get(key, (0.0, b""))
        if now < until:
            return answer
        answer = await compute()
        if not self._computations.is_current(key):
            return answer  # forgotten meanwhile: it may have been read before the change
        self._kept.pop(key, None)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        # Its age counts from the start of the computation.
        self._kept[key] = (now + seconds, answer)
        return answer

    async def _from_redis(self, redis: Redis, key: str, seconds: float, compute: Compute) -> bytes:
        name = _PREFIX + blake2b(key.encode(), digest_size=16).hexdigest()
        end = time.monotonic() + LOCK_SECONDS
        try:
            while (answer := await redis.get(name)) is None:
                if await redis.set(name + _LOCK, b"", nx=True, px=int(LOCK_SECONDS * 1000)):
                    return await self._compute_for_all(redis, name, seconds, compute)
                if time.monotonic() > end:
                    return await compute()
                await asyncio.sleep(LOOK_SECONDS)
        except (RedisError, OSError) as error:
            self._away(error)
            return await self._from_memory(key, seconds, compute)
        assert isinstance(answer, bytes)
        return answer

    async def _compute_for_all(self, redis: Redis, name: str, seconds: float, compute: Compute) -> bytes:
        """Compute while holding the lock, and keep the result for all processes."""
        began, times_forgotten = time.monotonic(), self._times_forgotten
        answer: Any = None
        left = 0.0
        try:
            # Another process may have finished between the look and the lock.
            answer = await redis.get(name)
            if answer is None:
                answer = await compute()
                left = seconds - (time.monotonic() - began)
        finally:
            try:
                if left > 0 and times_forgotten == self._times_forgotten:
                    await redis.set(name, answer, px=int(left * 1000) or 1)
                await redis.delete(name + _LOCK)
            except (RedisError, OSError) as error:
                self._away(error)
        return bytes(answer)

    def _away(self, error: Exception) -> None:
        self._breaker.failed()
        log.warning("cache_redis_away", error=f"{type(error).__name__}: {error}")
