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

# Time for the start of a worker, its assignment and its first batches.
REACH_SECONDS = 60.0
MOST_TIMES = 4
# At most this many poisoned records wait for the next tick of the load; within seconds every partition gets some.
MOST_WAITING = 4
KIND = "killed at {}"
# A worker reaches these fail points only when there are dead letters.
NEED_POISON = ("sink.after_dead_letters", "dlq.")


async def die_at(name: str, run: Run) -> None:
    """A worker is started with the fail point armed, dies there, and is started again."""
    async with run.gate.together(), run.cluster.victim() as worker:
        run.cluster.kill(worker)
        times = 1 if name.startswith(NEED_POISON) else run.rnd.randint(1, MOST_TIMES)
        async with run.injecting(KIND.format(name), detail=worker.name) as injection:
            worker.start(SIGNALFLOW_FAIL_POINT=f"{name}:{times}")
            poisoned = run if name.startswith(NEED_POISON) else None
            died = await happens(partial(_dead, worker, f"{name}:{times}", poisoned), REACH_SECONDS)
            injection.at = time.time()
            worker.ensure_stopped()
            await asyncio.sleep(run.rnd.random())
            # We do not wait until it is ready: the next of these faults may come while it starts.
            worker.start()
            run.cluster.down.discard(worker.name)
            assert died, f"{worker.name} did not reach it in {REACH_SECONDS:.0f} s"
        await run.recovered(injection)


def _dead(worker: WorkerProcess, fail_point: str, poisoned: Run | None) -> bool:
    """Whether the worker died at the fail point. If it ended for another reason, start it again; poison `poisoned`.

    No poison is sent while another fault forbids it.
    """
    if worker.poll() is not None and worker.poll() != -signal.SIGKILL:
        worker.start(SIGNALFLOW_FAIL_POINT=fail_point)
    if poisoned is not None and not poisoned.poisoning.locked() and len(poisoned.load.extra) < MOST_WAITING:
        poisoned.poison(poison.for_every_stage(len(poisoned.poisons)))
    return worker.poll() == -signal.SIGKILL


# Only a worker that finds a broken log gets to the first, and to the others only the leader, while alerts wait.
# tests/integration/test_path_positions.py and test_path_alerts.py bring them there.
NOT_REACHED_BY_RECORDS = frozenset(
    {"positions.before_record", "alerts.before_send", "alerts.after_send", "alerts.after_record"}
)
FAULTS = tuple(
    Fault(KIND.format(name), "second workers", 2, partial(die_at, name), in_short_form=name == "enrich.after_changelog")
    for name in sorted(NAMES - NOT_REACHED_BY_RECORDS)
)
