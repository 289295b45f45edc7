"""Workers that die exactly between two steps of the unit of work or of the sink."""

import asyncio
import signal
import time
from functools import partial

from signalflow.fail_points import NAMES
from tests.chaos.faults.base import Fault, Run, happens

# Start-up, assignment and the first batches of a worker.
REACH_SECONDS = 40.0
MOST_TIMES = 4
KIND = "killed at {}"
# They are between dead letters, so there must be some.
NEED_POISON = ("sink.after_dead_letters", "dlq.")


async def die_at(name: str, run: Run) -> None:
    """A worker is started with the fail point armed, dies there, and is started again."""
    async with run.gate.together(), run.cluster.victim() as worker:
        run.cluster.kill(worker)
        times = 1 if name.startswith(NEED_POISON) else run.rnd.randint(1, MOST_TIMES)
        async with run.injecting(KIND.format(name), detail=worker.name) as injection:
            await run.cluster.start(worker, SIGNALFLOW_FAIL_POINT=f"{name}:{times}")
            run.cluster.down.add(worker.name)
            died = await happens(lambda: worker.poll() is not None, REACH_SECONDS)
            status = worker.poll()
            worker.ensure_stopped()
            await asyncio.sleep(run.rnd.random())
            injection.at = time.time()
            await run.cluster.start(worker)
            assert died, f"{worker.name} did not reach it in {REACH_SECONDS:.0f} s"
            assert status == -signal.SIGKILL, f"{worker.name} ended with {status}:\n{worker.tail()}"
        await run.recovered(injection)


FAULTS = tuple(
    Fault(KIND.format(name), "second workers", 2, partial(die_at, name), in_short_form=name == "enrich.after_changelog")
    for name in sorted(NAMES)
)
