"""`signalflow simulator` as a process."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.contract.simulator_api import AGENT

PROGRAM = str(Path(sys.executable).with_name("signalflow"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def status_of(port: int) -> dict[str, Any]:
    """What /__ctl says, as soon as it answers."""
    async with asyncio.timeout(60), aiohttp.ClientSession(headers={"User-Agent": AGENT}) as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/__ctl") as response:
                    status: dict[str, Any] = await response.json()
                    return status
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "simulator", *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_starts_stops_on_a_signal_and_goes_on_after_kill_9(tmp_path: Path) -> None:
    port = free_port()
    arguments = ("--port", str(port), "--data-dir", str(tmp_path), "--seed", "11", "--growth", "12")
    async with running(*arguments) as process:
        first = await status_of(port)
        process.kill()
        await process.wait()
    async with running("--port", str(port), "--data-dir", str(tmp_path)) as process:
        second = await status_of(port)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert first["parameters"]["seed"] == 11
    assert second["parameters"] == first["parameters"]
    assert second["now"] >= first["now"]


async def test_a_taken_port_and_a_foreign_address_are_reported() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with running("--port", str(taken.getsockname()[1])) as process:
            _, told = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 1
        assert b"choose another --port" in told
    async with running("--host", "0.0.0.0") as process:
        _, told = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"loopback" in told
