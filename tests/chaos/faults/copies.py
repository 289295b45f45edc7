"""Servers that go back to an earlier copy of their directory, while everybody else remembers what came after."""

import asyncio
import shutil
import subprocess
from pathlib import Path

from tests.chaos.faults.base import Fault, Run

# Records that flow in between are what the copy lacks.
BETWEEN_SECONDS = 8.0


async def _copy(directory: Path, copy: Path) -> None:
    # PostgreSQL's directory belongs to an account of its own, which shutil would not keep.
    await asyncio.to_thread(subprocess.run, ["cp", "-a", directory, copy], check=True)


async def _put_back(directory: Path, copy: Path) -> None:
    await asyncio.to_thread(shutil.rmtree, directory)
    copy.rename(directory)


async def database(run: Run) -> None:
    """The database is restored from a copy, as when a standby takes over that lacked the last seconds."""
    async with run.gate.together():
        server = run.cluster.database
        copy = run.cluster.directory / "copy-of-postgres"
        async with run.injecting("the database goes back to a copy") as injection:
            await server.stop_at_once()
            await _copy(server.server.cluster, copy)
            await server.start()
            await asyncio.sleep(BETWEEN_SECONDS)
            await server.stop_at_once()
            await _put_back(server.server.cluster, copy)
            await server.start()
        await run.recovered(injection)


async def broker(run: Run) -> None:
    """One broker of three is restored from a copy, and must take what it lacks from the others."""
    async with run.gate.together():
        kafka = run.cluster.kafka
        node = run.rnd.choice(list(kafka.nodes))
        directory, copy = kafka.storage(node), run.cluster.directory / "copy-of-a-broker"
        async with run.injecting("a broker goes back to a copy", detail=str(node)) as injection:
            await run.cluster.kill_broker(node)
            await _copy(directory, copy)
            await run.cluster.restart_brokers(node)
            await asyncio.sleep(BETWEEN_SECONDS)
            await run.cluster.kill_broker(node)
            await _put_back(directory, copy)
            await run.cluster.restart_brokers(node)
        await run.recovered(injection)


FAULTS = (
    Fault("the database goes back to a copy", "servers", 2, database),
    Fault("a broker goes back to a copy", "servers", 2, broker, in_short_form=False),
)
