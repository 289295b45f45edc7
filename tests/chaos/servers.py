"""PostgreSQL and the simulated Reddit as processes that can be stopped at once and started again."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from signalflow.local.ports import LOOPBACK, answers
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.local.process import Launch, spawn
from tests.integration.workers import eventually
from tests.replica import REPLICATION_RULE, Replica

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
# Faults kill the server and not the machine, so what it wrote stays in the page cache, and fsync is not needed.
OPTIONS = {"fsync": "off", "full_page_writes": "off", "max_connections": "120", "shared_buffers": "64MB"}


def copy_directory(directory: Path, copy: Path) -> None:
    """Copy a server's directory."""
    # PostgreSQL's directory belongs to an account of its own, which shutil would not keep.
    subprocess.run(["cp", "-a", directory, copy], check=True)


def put_back(directory: Path, copy: Path) -> None:
    """Replace a stopped server's directory by a copy, which is gone afterwards."""
    shutil.rmtree(directory)
    copy.rename(directory)


class Database:
    """A PostgreSQL server."""

    def __init__(self, directory: Path, port: int) -> None:
        self.server = EmbeddedPostgres(directory, port, OPTIONS)
        self._process: subprocess.Popen[bytes] | None = None
        self._follower: tuple[Replica, subprocess.Popen[bytes]] | None = None

    async def start(self) -> None:
        """Start, and wait until it accepts sessions."""
        await asyncio.to_thread(self.server.prepare)
        rules = self.server.cluster / "pg_hba.conf"
        if REPLICATION_RULE not in rules.read_text():
            rules.write_text(rules.read_text() + REPLICATION_RULE)
        # Started from the main thread, because the kernel ends the server when the thread that started it ends.
        self._process = spawn(self.server.launch(), self.server.log)
        await eventually(lambda: asyncio.to_thread(self.server.ready), START_SECONDS, self.server.log.read_text)

    async def stop_at_once(self) -> None:
        """An immediate shutdown without a checkpoint; the next start recovers from the write-ahead log."""
        await self._end(signal.SIGQUIT)

    async def kill(self) -> None:
        """SIGKILL to all processes of the server at once, as a power cut."""
        with self._suspended() as processes:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        await self._end(signal.SIGKILL)

    async def copy(self, to: Path) -> None:
        """What the server has written until one moment; it goes on afterwards."""
        with self._suspended():
            await asyncio.to_thread(copy_directory, self.server.cluster, to)

    async def put_back(self, copy: Path) -> None:
        """Replace the directory of the stopped server by a copy."""
        await asyncio.to_thread(put_back, self.server.cluster, copy)

    @contextmanager
    def _suspended(self) -> Iterator[list[psutil.Process]]:
        assert self._process is not None
        server = psutil.Process(self._process.pid)
        # The server first, so that it starts no more.
        server.suspend()
        processes = [server, *server.children()]
        try:
            for process in processes[1:]:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield processes
        finally:
            for process in reversed(processes):
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    async def follower(self, directory: Path, own_port: int, primary_port: int) -> Replica:
        """Start a streaming replica that reaches this server by `primary_port`."""
        replica = Replica(directory, own_port, OPTIONS)
        await asyncio.to_thread(replica.follow, self.server, primary_port)
        await asyncio.to_thread(replica.prepare)
        self._follower = replica, spawn(replica.launch(), replica.log)
        await eventually(lambda: asyncio.to_thread(replica.ready), START_SECONDS, replica.log.read_text)
        return replica

    async def replace_by(self, replica: Replica) -> None:
        """Let a replica take the place and the address of this server, which has stopped. It is still a standby."""
        await self.end_follower()
        await self.put_back(replica.cluster)
        await self.start()

    async def end_follower(self) -> None:
        """Stop the replica, if there is one."""
        follower, self._follower = self._follower, None
        if follower is not None:
            replica, process = follower
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, START_SECONDS)
            await asyncio.to_thread(replica.clean)

    async def stop(self) -> None:
        """A fast shutdown at the end of a run."""
        await self.end_follower()
        await self._end(signal.SIGINT)
        await asyncio.to_thread(self.server.clean)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            await asyncio.to_thread(process.wait, START_SECONDS)


class Reddit:
    """The simulated Reddit in a process of its own."""

    def __init__(self, directory: Path, port: int, seed: int, activity: float) -> None:
        self.port, self.log = port, directory / "simulator.log"
        self._arguments = [str(port), str(seed), str(activity)]
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and wait until it answers."""
        launch = Launch([sys.executable, "-m", "tests.chaos.simulator", *self._arguments], dict(os.environ), ROOT)
        self._process = spawn(launch, self.log)
        await eventually(lambda: asyncio.to_thread(answers, self.port), START_SECONDS, self.log.read_text)

    async def control(self, **command: Any) -> None:
        """Send a fault or a command; see signalflow/simulator/control.py."""
        async with self._client() as client:
            (await client.post("/__ctl", json=command)).raise_for_status()

    async def status(self) -> dict[str, Any]:
        """The simulator's status: the number of requests so far, and of faults that still wait for a request."""
        return await self._get("/__ctl")

    async def requests(self, since: float) -> list[dict[str, Any]]:
        """The requests since a moment in epoch seconds."""
        found: list[dict[str, Any]] = (await self._get("/__log", since=since))["requests"]
        return found

    async def truth(self, **query: Any) -> dict[str, Any]:
        """What really happened; see signalflow/simulator/truth.py."""
        return await self._get("/__truth", **query)

    async def stop(self) -> None:
        """End the process; from now on the poller gets no answers."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            await asyncio.to_thread(process.wait, START_SECONDS)

    async def _get(self, path: str, **query: Any) -> dict[str, Any]:
        async with self._client() as client:
            answer = (await client.get(path, params=query)).raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{self.port}", timeout=30)
