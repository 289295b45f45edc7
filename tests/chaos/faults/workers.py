"""Workers that are killed, stopped, paused, added and removed."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.cluster import FOURTH, Cluster
from tests.chaos.faults.base import Fault, Run
from tests.chaos.waiting import happens
from tests.integration.workers import WorkerProcess

SIGKILL, SIGTERM = "SIGKILL a worker", "SIGTERM a worker"
# Longer than the workers' session timeout of 6 s: by then other workers have the partitions of a paused worker.
PAUSE_SECONDS = 9.0
FOURTH_SECONDS = 3.0
# Longer than a leader makes no requests because its circuit breaker is open (30 s).
POLL_SECONDS = 45.0
WRONG_CLOCK_SECONDS = 6.0


async def sigkill(run: Run) -> None:
    """One of three workers is killed while nothing else is wrong. It starts again when the others have taken over."""
    async with run.gate.alone():
        await run.flowing()
        async with run.cluster.victim() as worker:
            async with run.injecting(SIGKILL, alone=True, detail=worker.name) as injection:
                run.cluster.kill(worker)
            await run.recovered(injection)
            await run.cluster.start(worker)


async def sigterm(run: Run) -> None:
    """One of three workers gets SIGTERM while nothing else is wrong."""
    async with run.gate.alone():
        await run.flowing()
        async with run.cluster.victim() as worker:
            async with run.injecting(SIGTERM, alone=True, detail=worker.name) as injection:
                await _must_stop(run, worker)
            await run.recovered(injection)
            await run.cluster.start(worker)


async def sigstop(run: Run) -> None:
    """A worker is paused until others have its partitions, while another worker is killed. Then it goes on."""
    async with run.gate.together(), run.cluster.victim() as sleeper:
        async with run.injecting("SIGSTOP beyond the session timeout", detail=sleeper.name) as injection:
            sleeper.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(run.rnd.uniform(1, PAUSE_SECONDS / 2))
                await _kill_another(run)
                await asyncio.sleep(PAUSE_SECONDS / 2)
            finally:
                sleeper.signal(signal.SIGCONT)
        await run.recovered(injection)


async def _kill_another(run: Run) -> None:
    async with run.cluster.victim() as worker:
        async with run.injecting(SIGKILL, detail=worker.name):
            run.cluster.kill(worker)
        await asyncio.sleep(run.rnd.random())
        worker.start()
        run.cluster.down.discard(worker.name)


async def fourth(run: Run) -> None:
    """A fourth worker joins, works, and leaves."""
    async with run.gate.together(), run.cluster.victim(FOURTH) as worker:
        async with run.injecting("start a fourth worker and stop it") as injection:
            await run.cluster.start(worker)
            assert worker.poll() is None, f"the fourth worker does not start:\n{worker.tail()}"
            await asyncio.sleep(FOURTH_SECONDS * run.rnd.random())
            await _must_stop(run, worker)
        await run.recovered(injection)


async def kill_the_leader(run: Run) -> None:
    """The worker that polls is killed just after Reddit has answered it, so while it publishes."""
    async with run.gate.together():
        name = await _poller(run.cluster)
        async with (
            run.cluster.victim(name) as worker,
            run.injecting("SIGKILL the leader while it publishes", detail=worker.name) as injection,
        ):
            before = (await run.cluster.reddit.status())["requests"]
            asked = await happens(lambda: _more_requests(run.cluster, before), POLL_SECONDS)
            assert asked, "no worker made a request to Reddit"
            await asyncio.sleep(run.rnd.random() * 0.06)
            injection.at = time.time()
            run.cluster.kill(worker)
            await asyncio.sleep(run.rnd.random())
            await run.cluster.start(worker)
        await run.recovered(injection)


async def wrong_clock(run: Run) -> None:
    """A worker runs with a wall clock that is an hour wrong, until another fault ends it."""
    async with run.gate.together(), run.cluster.victim() as worker:
        offset = run.rnd.choice((-3600, 3600))
        async with run.injecting(
            "wall clock of a worker wrong by an hour", detail=f"{worker.name} {offset}"
        ) as injection:
            await _must_stop(run, worker)
            await run.cluster.start(worker, SIGNALFLOW_CLOCK_OFFSET_SECONDS=str(offset))
            await asyncio.sleep(WRONG_CLOCK_SECONDS)
        await run.recovered(injection)


async def _must_stop(run: Run, worker: WorkerProcess) -> None:
    try:
        await run.cluster.stop(worker)
    except AssertionError as error:  # a finding of the run, which goes on
        run.failures.append(
            f"SIGTERM {worker.name} at {time.time() - run.began:.0f} s: {error} {_what_it_does(worker)}"
        )
        worker.ensure_stopped()


def _what_it_does(worker: WorkerProcess) -> str:
    """The stack traces of a process that does not end."""
    program = Path(sys.executable).with_name("py-spy")
    return subprocess.run([program, "dump", "--pid", str(worker.pid)], capture_output=True, text=True).stdout


async def _poller(cluster: Cluster) -> str:
    found: list[str] = []

    async def one_polls() -> bool:
        for name, worker in cluster.workers.items():
            if worker.poll() is None and name != FOURTH and await _polls(worker):
                found.append(name)
        return bool(found)

    await happens(one_polls, POLL_SECONDS)
    return found[0] if found else random.choice(list(cluster.busy))


async def _polls(worker: WorkerProcess) -> bool:
    try:
        return await worker.metric("signalflow_is_poller") > 0
    except Exception:  # a worker that does not answer is not taken for the poller
        return False


async def _more_requests(cluster: Cluster, before: int) -> bool:
    requests: int = (await cluster.reddit.status())["requests"]
    return requests > before


FAULTS = (
    Fault(SIGKILL, "first workers", 5, sigkill),
    Fault(SIGTERM, "first workers", 7, sigterm),
    Fault("SIGSTOP beyond the session timeout", "first workers", 7, sigstop),
    Fault("SIGKILL the leader while it publishes", "first workers", 4, kill_the_leader),
    Fault("start a fourth worker and stop it", "second workers", 7, fourth),
    Fault("wall clock of a worker wrong by an hour", "second workers", 4, wrong_clock),
)
