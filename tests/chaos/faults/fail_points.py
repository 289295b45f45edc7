"""Workers that die exactly between two steps of the unit of work or of the sink."""

import asyncio
import signal
import time
from functools import partial

from signalflow.fail_points import NAMES
from tests.chaos import poison
from tests.chaos.faults.base import Fault, Run
from tests.chaos.waiting import happens
from tests.integration.workers import WorkerProcess

# Start-up, assignment and the first batches of a worker.
REACH_SECONDS = 60.0
MOST_TIMES = 4
# Poisoned records that wait for the next tick of the load: some for every partition within seconds.
MOST_WAITING = 4
KIND = "killed at {}"
# They are between dead letters, so there must be some.
NEED_POISON = ("sink.after_dead_letters", "dlq.")


async def die_at(name: str, run: Run) -> None:
    """A worker is started with the fail point armed, dies there, and is started again."""
    async with run.gate.together(), run.cluster.victim() as worker:
        run.cluster.kill(worker)
        times = 1 if name.startswith(NEED_POISON) else run.rnd.randint(1, MOST_TIMES)
        async with run.injecting(KIND.format(name), detail=worker.name) as injection:
            worker.start(SIGNALFLOW_FAIL_POINT=f"{name}:{times}")
            feed = run if name.startswith(NEED_POISON) else None
            died = await happens(partial(_dead, worker, f"{name}:{times}", feed), REACH_SECONDS)
            injection.at = time.time()
            worker.ensure_stopped()
            await asyncio.sleep(run.rnd.random())
            # Nobody waits for it: the next of these faults meets the others at work.
            worker.start()
            run.cluster.down.discard(worker.name)
            assert died, f"{worker.name} did not reach it in {REACH_SECONDS:.0f} s"
        await run.recovered(injection)


def _dead(worker: WorkerProcess, fail_point: str, feed: Run | None) -> bool:
    """Whether the worker died there. One that runs no more for another reason is started again; `feed` gets poison."""
    if worker.poll() is not None and worker.poll() != -signal.SIGKILL:
        worker.start(SIGNALFLOW_FAIL_POINT=fail_point)
    if feed is not None and len(feed.load.extra) < MOST_WAITING:
        feed.poison(poison.for_every_stage(len(feed.poisons)))
    return worker.poll() == -signal.SIGKILL


FAULTS = tuple(
    Fault(KIND.format(name), "second workers", 2, partial(die_at, name), in_short_form=name == "enrich.after_changelog")
    for name in sorted(NAMES)
)
