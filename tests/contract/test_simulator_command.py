"""`signalflow simulator` as a process."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.simulator_api import AGENT

TOKEN = "/api/v1/access_token"
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
async def running(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        "simulator",
        *arguments,
        env=os.environ | environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
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


def own_address() -> str:
    """An address of this machine that is not loopback. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address: str = probe.getsockname()[0]
        return address


async def test_beyond_loopback_it_answers_its_one_client_and_nobody_else() -> None:
    port, secret = free_port(), "the-secret-of-this-test-0123456789ab"
    credentials = {"SIGNALFLOW_REDDIT_CLIENT_ID": "demo", "SIGNALFLOW_REDDIT_CLIENT_SECRET": secret}
    async with running("--host", "0.0.0.0", "--port", str(port), **credentials):
        await status_of(port)
        elsewhere = f"http://{own_address()}:{port}"
        async with aiohttp.ClientSession(elsewhere, headers={"User-Agent": AGENT}) as session:

            async def status(path: str, **options: Any) -> int:
                async with session.request("POST" if options else "GET", path, **options) as response:
                    return response.status

            assert [await status(path) for path in ("/__ctl", "/__log", "/__truth", "/r/python/new/.rss")] == [404] * 4
            assert await status("/r/python/new") == 401
            grant = {"grant_type": "client_credentials"}
            for client, password in (("simulator", "simulator"), ("simulator_installed", ""), ("demo", "simulator")):
                assert await status(TOKEN, data=grant, auth=aiohttp.BasicAuth(client, password)) == 401
            async with session.post(TOKEN, data=grant, auth=aiohttp.BasicAuth("demo", secret)) as response:
                token = (await response.json())["access_token"]
            async with session.get("/r/python/new", headers={"Authorization": f"Bearer {token}"}) as response:
                assert response.status == 200
