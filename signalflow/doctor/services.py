"""Examines what is asked over HTTP or its like: Redis, the API, and what the polling worker says of Reddit."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from signalflow.doctor.finding import Finding
from signalflow.settings import Settings
from signalflow.storage.pool import create_pool
from signalflow.storage.workers import live_workers

_SECONDS = 2.0


async def examine_redis(settings: Settings) -> AsyncIterator[Finding]:
    """Whether the cache that API processes share answers."""
    url = settings.redis_url.get_secret_value()
    if not url:
        yield Finding("redis", "ok", "none is set: each API process caches and counts for itself")
        return
    redis = Redis.from_url(url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
    try:
        await redis.ping()
        yield Finding("redis", "ok", "it answers")
    except (RedisError, OSError, ValueError) as error:
        yield Finding(
            "redis",
            "wrong",
            f"it does not answer ({type(error).__name__}): each API process caches and counts for itself",
            "see SIGNALFLOW_REDIS_URL",
        )
    finally:
        await redis.aclose()


async def api_answers(settings: Settings) -> bool:
    """Whether an API of this project answers at the address of the settings."""
    answer = await _json(f"http://{settings.api_host}:{settings.api_port}/health")
    return answer is not None


async def examine_reddit(settings: Settings) -> AsyncIterator[Finding]:
    """How Reddit answers, as the worker that polls tells it. Reddit itself is not asked: its budget is the poller's."""
    for finding in judge_source(settings):
        yield finding
    async with await create_pool(settings, application_name="signalflow doctor") as pool:
        pollers = [worker for worker in await live_workers(pool) if worker.is_poller]
    for worker in pollers:
        ready = await _json(f"{worker.web_url}/ready")
        if ready is None:
            says = f"worker {worker.name}, which polls, does not answer at {worker.web_url}"
            yield Finding("reddit", "unknown", says, "look again; if it stays so, see the worker's log")
        elif trouble := ready.get("reddit_answers_nothing"):
            says = f"Reddit answers nothing since {trouble['since']} ({trouble['reason']})"
            yield Finding("reddit", "wrong", says, trouble["what_to_do"])
        else:
            yield Finding("reddit", "ok", f"it answers worker {worker.name}")


def judge_source(settings: Settings) -> Iterator[Finding]:
    """Whether the settings say where posts come from."""
    if not settings.reddit_source and not settings.reddit_base_url and not settings.reddit_client_id:
        yield Finding(
            "reddit",
            "warning",
            "no source of posts is set",
            "set SIGNALFLOW_REDDIT_SOURCE to api, feeds or simulator; `signalflow up` brings the simulator",
        )


async def _json(url: str) -> dict[str, Any] | None:
    """The answer, whatever its status; None when there is none."""
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            found = (await client.get(url)).json()
    except (httpx.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) else None
