"""Answers that are kept for some seconds and computed once, however many ask meanwhile.

In this process, or in Redis (Valkey) for all API processes. While Redis is away each process keeps its own.
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

Compute = Callable[[], Awaitable[bytes]]

MOST_KEPT = 256
# Redis answers in less than a millisecond; what does not is asked again after a while only.
REDIS_SECONDS = 0.25
REDIS_AWAY_SECONDS = 5.0
# The process that computes holds a lock for as long as a computation may take; the others look for its result this often.
LOCK_SECONDS = 15.0
LOOK_SECONDS = 0.05

log = structlog.get_logger()


class AnswerCache:
    """One a process. Errors of a computation go to all who waited for it, and are not kept."""

    def __init__(self, redis_url: str = "") -> None:
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._running: dict[str, asyncio.Task[bytes]] = {}
        self._redis: Redis | None = None
        self._redis_from = 0.0
        if redis_url:
            self._redis = Redis.from_url(
                redis_url,
                socket_timeout=REDIS_SECONDS,
                socket_connect_timeout=REDIS_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )

    async def get(self, key: str, seconds: float, compute: Compute) -> bytes:
        """The answer under this key, at most `seconds` old. Raises what `compute` raises."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._got(key, seconds, compute))
            task.add_done_callback(lambda done: self._ended(key, done))
        # Who goes away does not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, key: str) -> None:
        """Whoever asks from now on gets a new answer, since what it is of was changed here. Not what Redis keeps."""
        self._kept.pop(key, None)
        self._running.pop(key, None)

    async def close(self) -> None:
        """Close the connections."""
        for task in list(self._running.values()):
            task.cancel()
        if self._redis is not None:
            await self._redis.aclose()

    def _ended(self, key: str, task: asyncio.Task[bytes]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, even if nobody waited to the end

    async def _got(self, key: str, seconds: float, compute: Compute) -> bytes:
        if self._redis is not None and time.monotonic() >= self._redis_from:
            return await self._shared(self._redis, key, seconds, compute)
        return await self._own(key, seconds, compute)

    async def _own(self, key: str, seconds: float, compute: Compute) -> bytes:
        now = time.monotonic()
        until, answer = self._kept.get(key, (0.0, b""))
        if now < until:
            return answer
        answer = await compute()
        if self._running.get(key) is not asyncio.current_task():
            return answer  # forgotten meanwhile: it may be of before the change
        self._kept.pop(key, None)
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        # Its age counts from the beginning of the computation.
        self._kept[key] = (now + seconds, answer)
        return answer

    async def _shared(self, redis: Redis, key: str, seconds: float, compute: Compute) -> bytes:
        name = "signalflow:answer:" + blake2b(key.encode(), digest_size=16).hexdigest()
        end = time.monotonic() + LOCK_SECONDS
        try:
            while (answer := await redis.get(name)) is None:
                if await redis.set(name + ":lock", b"", nx=True, px=int(LOCK_SECONDS * 1000)):
                    return await self._computed(redis, name, seconds, compute)
                if time.monotonic() > end:
                    return await compute()
                await asyncio.sleep(LOOK_SECONDS)
        except (RedisError, OSError) as error:
            self._away(error)
            return await self._own(key, seconds, compute)
        assert isinstance(answer, bytes)
        return answer

    async def _computed(self, redis: Redis, name: str, seconds: float, compute: Compute) -> bytes:
        """Compute under the lock, and keep the result for all."""
        began = time.monotonic()
        answer: Any = None
        try:
            answer = await compute()
        finally:
            try:
                left = seconds - (time.monotonic() - began)
                if answer is not None and left > 0:
                    await redis.set(name, answer, px=int(left * 1000) or 1)
                await redis.delete(name + ":lock")
            except (RedisError, OSError) as error:
                self._away(error)
        return bytes(answer)

    def _away(self, error: Exception) -> None:
        self._redis_from = time.monotonic() + REDIS_AWAY_SECONDS
        log.warning("cache_redis_away", error=f"{type(error).__name__}: {error}")
