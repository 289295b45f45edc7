"""Examines what is asked over HTTP or its like: Redis, the API, and what the polling worker says of Reddit."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from signalflow.doctor.finding import Finding
from signalflow.domain.budget import Handover
from signalflow.domain.standstill import advice
from signalflow.reddit.client import AsyncprawClient
from signalflow.reddit.protocol import RateLimited, Unauthorized, Unavailable
from signalflow.reddit.sources import why_no_source
from signalflow.settings import Settings
from signalflow.storage.lease import lease_now
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
    """Whether the credentials are right, how the requests stand, and how Reddit answers the worker that polls.

    Reddit is asked for a token alone, which it does not count: its budget is the poller's.
    """
    for finding in judge_source(settings):
        yield finding
    if why_no_source(settings) is None and settings.reddit_source != "feeds":
        yield await _credentials(settings)
    async with await create_pool(settings, application_name="signalflow doctor") as pool:
        pollers = [worker for worker in await live_workers(pool) if worker.is_poller]
        lease = await lease_now(pool)
    if lease is not None:
        for finding in judge_requests(lease.handover, settings):
            yield finding
    for worker in pollers:
        ready = await _json(f"{worker.web_url}/ready")
        if ready is None:
            says = f"worker {worker.name}, which polls, does not answer at {worker.web_url}"
            yield Finding("reddit", "unknown", says, "look again; if it stays so, see the worker's log")
        elif trouble := ready.get("reddit_answers_nothing"):
            if lease is not None and lease.handover.address_block is not None:
                continue  # it was told above
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


async def _credentials(settings: Settings) -> Finding:
    client = AsyncprawClient.of(settings)
    try:
        await client.sign_in()
    except Unauthorized as error:
        return Finding("reddit", "wrong", str(error), advice("unauthorized"))
    except RateLimited as error:
        return Finding("reddit", "unknown", f"the credentials could not be tried: {error}", advice("rate_limited"))
    except Unavailable as error:
        return Finding("reddit", "unknown", f"the credentials could not be tried: {error}", advice("unreachable"))
    finally:
        await client.close()
    return Finding("reddit", "ok", "it takes the credentials")


def judge_requests(stand: Handover, settings: Settings) -> Iterator[Finding]:
    """Whether Reddit blocks the address that polls, and what it allows, as the last poller noted it in the database."""
    if block := stand.address_block:
        says = f"Reddit has blocked the address that polls for {block.began_ago:.0f} s ({block.how})"
        yield Finding("reddit", "wrong", says, advice(f"blocked_{block.how}"))
    elif stand.limits_in_a_row and stand.blocked_for:
        says = f"Reddit said that we ask too often; it is asked again in {stand.blocked_for:.0f} s"
        yield Finding("reddit", "warning", says, advice("rate_limited"))
    # Feeds say themselves how often they may be asked, and no more is asked of them.
    elif settings.reddit_source != "feeds" and stand.window_remaining is not None and stand.window_ends_in:
        says = f"it allows {stand.window_remaining:.0f} requests in the next {stand.window_ends_in:.0f} s"
        if stand.window_remaining < settings.request_budget * stand.window_ends_in / 60:
            fix = "end other programs that use the same client id, or lower SIGNALFLOW_REQUESTS_PER_MINUTE"
            yield Finding("reddit", "warning", f"{says}, less than the budget", fix)
        else:
            yield Finding("reddit", "ok", says)


async def _json(url: str) -> dict[str, Any] | None:
    """The answer, whatever its status; None when there is none."""
    try:
        async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
            found = (await client.get(url)).json()
    except (httpx.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) else None
