"""How long a page of the feed takes at a million posts: the real API over loopback, signed in, asked at random moments."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import asyncpg
import orjson
import psutil
from pydantic import SecretStr

from signalflow.clock import utcnow
from signalflow.settings import Settings
from signalflow.storage.post_orders import ORDERS
from tests.api_clients import bearer, test_secret
from tests.bench.posts import make_posts, size_of
from tests.bench.stack import Stack
from tests.bench.statistics import quantiles

PER_SECOND = 50
PAGE_SIZE = 100
# One request in so many asks for the page after an earlier answer.
NEXT_PAGE_EVERY = 4
WARM_UP_REQUESTS = 100
# The default order is measured for all of the time, each of the others for this part of it.
SHARE_OF_OTHERS = 1 / 3
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
# Connections that a browser or a proxy would keep open.
CONNECTIONS = 20

Progress = Callable[[str], None]


async def feed(
    stack: Stack, posts: int, seconds: int, progress: Progress, profile: Path | None = None
) -> dict[str, Any]:
    """Latency of pages by order, counted from the moment when a request was due, whether or not the ones before were answered."""
    url = await stack.database("feed")
    progress(f"making {posts:,} posts")
    connection = await asyncpg.connect(url)
    began = time.perf_counter()
    await make_posts(connection, posts, utcnow())
    result: dict[str, Any] = {"made_in_s": round(time.perf_counter() - began, 1), **await size_of(connection)}
    await connection.close()
    settings = Settings(database_url=SecretStr(url), api_secret=SecretStr(test_secret))
    timeout = aiohttp.ClientTimeout(total=30)
    async with (
        _running_api(url) as (address, process),
        aiohttp.ClientSession(
            address,
            headers=bearer(settings),
            timeout=timeout,
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        ) as session,
    ):
        profiling = _profiling(process.pid, profile) if profile else None
        for order in ORDERS:
            share = 1 if order == "newest" else SHARE_OF_OTHERS
            progress(f"{order}: {seconds * share:.0f} s")
            result[order] = await _order(session, order, seconds * share, process.pid)
        if profiling:
            # An interrupt ends the recording and writes it.
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


@asynccontextmanager
async def _running_api(url: str) -> AsyncIterator[tuple[str, "subprocess.Popen[str]"]]:
    """The API as an operator starts it; its address and its process."""
    environment = os.environ | {
        "SIGNALFLOW_DATABASE_URL": url,
        "SIGNALFLOW_API_SECRET": test_secret,
        "SIGNALFLOW_RATE_LIMIT_PER_MINUTE": "100000",
    }
    command = [sys.executable, "-c", "from signalflow.cli.main import main; main()", "api", "--port", "0"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 (nothing else runs yet)
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True
        )
        try:
            end = time.monotonic() + 60
            while True:
                log.seek(0)
                text = log.read()
                found = _ADDRESS.search(text)
                if found and await _answers(found[0]):
                    break
                assert process.poll() is None and time.monotonic() < end, f"the API did not start:\n{text}"  # noqa: PT018
                await asyncio.sleep(0.1)
            yield found[0], process
        finally:
            process.terminate()
            process.wait(30)


async def _answers(address: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{address}/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
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
