"""How long a page of the post list takes with a million posts: the real API, asked over loopback at random times."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import asyncpg
import httpx
import orjson
import psutil
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.settings import Settings
from signalflow.storage.post_orders import ORDERS
from tests.api_clients import bearer, test_secret
from tests.bench.api import running_api
from tests.bench.posts import make_posts, size_of
from tests.bench.stack import Stack
from tests.bench.statistics import quantiles

PER_SECOND = 50
PAGE_SIZE = 100
# One request in this many asks for the page after an earlier answer.
NEXT_PAGE_EVERY = 4
WARM_UP_REQUESTS = 100
# The default order is measured for the full time, each other order for this share of it.
SHARE_OF_OTHERS = 1 / 3
# Browsers and proxies keep connections open; these are as many.
CONNECTIONS = 20

Progress = Callable[[str], None]


async def post_list(
    stack: Stack, posts: int, seconds: int, progress: Progress, profile: Path | None = None
) -> dict[str, Any]:
    """The latency of pages by order, counted from the time when a request was due, even if it was sent late."""
    url = await stack.database("post_list")
    progress(f"making {posts:,} posts")
    connection = await asyncpg.connect(url)
    began = time.perf_counter()
    await make_posts(connection, posts, utcnow())
    result: dict[str, Any] = {"made_in_s": round(time.perf_counter() - began, 1), **await size_of(connection)}
    await connection.close()
    settings = Settings(database_url=SecretStr(url), api_secret=SecretStr(test_secret))
    timeout = aiohttp.ClientTimeout(total=30)
    environment = {"SIGNALFLOW_DATABASE_URL": url, "SIGNALFLOW_RATE_LIMIT_PER_MINUTE": "100000"}
    with running_api(_is_ready, environment) as (address, process):
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        session = aiohttp.ClientSession(
            address, headers=bearer(settings), timeout=timeout, auto_decompress=False, connector=connector
        )
        profiling = _profiling(process.pid, profile) if profile else None
        async with session:
            for order in ORDERS:
                share = 1 if order == "newest" else SHARE_OF_OTHERS
                progress(f"{order}: {seconds * share:.0f} s")
                result[order] = await _order(session, order, seconds * share, process.pid)
        if profiling:
            # On an interrupt py-spy ends the recording and writes it.
            profiling.send_signal(signal.SIGINT)
            profiling.wait(30)
    return result | {"requests_per_s": PER_SECOND, "page_size": PAGE_SIZE}


async def _order(session: aiohttp.ClientSession, order: str, seconds: float, pid: int) -> dict[str, Any]:
    cursors: list[str] = []
    first = {"order": order, "page_size": str(PAGE_SIZE)}
    for _ in range(WARM_UP_REQUESTS):
        async with session.get("/api/posts/", params=first, headers={"Accept-Encoding": "identity"}) as answer:
            page = orjson.loads(await answer.read())
            assert len(page["items"]) == PAGE_SIZE, page
            cursors = [page["next"]]
    rng, milliseconds, sizes = Random(order), [], []

    async def ask(due: float, parameters: dict[str, str]) -> None:
        async with session.get("/api/posts/", params=parameters) as answer:
            sizes.append(len(await answer.read()))
            assert answer.status == 200, answer.status
        milliseconds.append((time.perf_counter() - due) * 1000)

    tasks, before = [], _cpu(pid)
    start = due = time.perf_counter()
    while due < start + seconds:
        due += rng.expovariate(PER_SECOND)
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        following = {"cursor": cursors[0]} if len(tasks) % NEXT_PAGE_EVERY == 0 else {}
        tasks.append(asyncio.create_task(ask(due, first | following)))
    await asyncio.gather(*tasks)
    return {
        "requests": len(tasks),
        **quantiles(milliseconds, "ms"),
        "api_cpu_ms": round((_cpu(pid) - before) * 1000 / len(tasks), 2),
        "kilobytes": round(sum(sizes) / len(sizes) / 1000, 1),
    }


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _is_ready(address: str, _log: str) -> bool:
    try:
        return httpx.get(f"{address}/ready", trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _profiling(pid: int, output: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("py-spy"),
            "record",
            "--pid",
            str(pid),
            "--format",
            "raw",
            "--output",
            str(output),
            "--duration",
            "3600",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
