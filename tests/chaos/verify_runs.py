"""Runs `signalflow verify` again and again while records flow and workers are killed: it must give no false alarm.

Exit status 0: every run was clean or could not tell. 1: a run told a difference, or rows are really missing at the
end.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from signalflow.errors import Retryable
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify import repair
from signalflow.verify.report import Report
from signalflow.verify.run import verify
from tests.chaos import poison, verdict
from tests.chaos.cluster import PARTITIONS, running_cluster
from tests.chaos.faults.base import Run
from tests.chaos.load import Load
from tests.chaos.recovery import Probes
from tests.chaos.run import ACTIVITY, DISORDER_SHARE, beside, quiet

PER_SECOND = 80.0
# A worker is killed so often, and is back after a part of a second.
KILL_SECONDS = 6.0
POISON_SECONDS = 20.0
MOST_SINCE_SECONDS = 120.0


@dataclass
class Result:
    """Numbers by form. `alarms`: what runs told, although nothing was lost; `not_checked`: runs that could not tell."""

    seed: int
    runs: Counter[str] = field(default_factory=Counter)
    not_checked: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)
    kills: int = 0
    records: int = 0
    really_wrong: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """The numbers as a JSON object."""
        return json.dumps(vars(self), indent=2) + "\n"


def _differences(report: Report) -> list[str]:
    return [f"{name}: {text}" for name, table in report.tables.items() for text in table.examples]


async def _full(settings: Settings, rnd: random.Random) -> list[str]:
    return _differences(await verify(settings, TopicNames.of(settings)))


async def _since(settings: Settings, rnd: random.Random) -> list[str]:
    since = datetime.now(UTC) - timedelta(seconds=rnd.uniform(1, MOST_SINCE_SECONDS))
    return _differences(await verify(settings, TopicNames.of(settings), since=since))


async def _repair(settings: Settings, rnd: random.Random) -> list[str]:
    names = TopicNames.of(settings)
    report = await verify(settings, names)
    planned = await repair.plan(settings, names, report.missing)
    told = [f"{count} records of {topic} would be written again" for topic, count in planned.counts.items()]
    return _differences(report) + told + [f"in no topic: {each}" for each in planned.in_no_topic]


FORMS: dict[str, Callable[[Settings, random.Random], Awaitable[list[str]]]] = {
    "full": _full,
    "--since": _since,
    "--repair": _repair,
}


async def _kill_workers(run: Run, result: Result) -> None:
    while True:
        await asyncio.sleep(KILL_SECONDS * run.rnd.uniform(0.5, 1.5))
        async with run.cluster.victim() as worker:
            run.cluster.kill(worker)
            await asyncio.sleep(run.rnd.random())
            worker.start()
            run.cluster.down.discard(worker.name)
        result.kills += 1


async def _send_poison(run: Run) -> None:
    while True:
        run.poison(poison.by_hand(len(run.poisons)))
        await asyncio.sleep(POISON_SECONDS)


async def verify_runs(seed: int, runs: int, directory: Path, say: Callable[[str], None]) -> Result:
    """Run every form in turn, `runs` times in all; those that could not tell are run again."""
    quiet(directory)
    rnd, result = random.Random(seed), Result(seed)
    async with running_cluster(directory, rnd, ACTIVITY) as cluster:
        probes = Probes(PARTITIONS)
        load = Load(cluster.settings, random.Random(seed + 1), probes, PER_SECOND, DISORDER_SHARE)
        run = Run(cluster, rnd, probes, load)
        async with beside(probes.watch(cluster.settings.database_url.get_secret_value()), load.run(), cluster.watch()):
            await run.flowing()
            async with beside(_kill_workers(run, result), _send_poison(run)):
                while result.runs.total() < runs:
                    await _one_run(run, result, say)
        await load.close()
        await cluster.reddit.stop()
        async with beside(cluster.watch()):
            result.really_wrong += await verdict.still(run.settings)
        report = await verify(run.settings, TopicNames.of(run.settings))
        result.records = report.records
        result.really_wrong += _differences(report)
    return result


async def _one_run(run: Run, result: Result, say: Callable[[str], None]) -> None:
    form = list(FORMS)[result.runs.total() % len(FORMS)]
    began = time.monotonic()
    try:
        told = await FORMS[form](run.settings, run.rnd)
    except Retryable as error:
        result.not_checked[form] += 1
        say(f"{form}: not checked: {error}")
        return
    result.runs[form] += 1
    if told:
        result.alarms.append(f"run {result.runs.total()}, {form}: {'; '.join(told)}")
    say(f"run {result.runs.total()}, {form}: {time.monotonic() - began:.1f} s, {'; '.join(told) or 'clean'}")


def main() -> int:
    """Run, print the numbers, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.verify_runs", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats the load")
    parser.add_argument("--runs", type=int, default=100, help="runs in all, shared by all forms (default %(default)s)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix=f"signalflow-verify-{given.seed}-"))
    print(f"seed {given.seed}, logs in {directory}", flush=True)
    result = asyncio.run(verify_runs(given.seed, given.runs, directory, lambda text: print(text, flush=True)))
    print(
        f"{result.runs.total()} runs of verify, {dict(result.runs)}; {result.kills} kills, {result.records} records; "
        f"false alarms {len(result.alarms)}, could not tell {result.not_checked.total()}, "
        f"really wrong at the end {len(result.really_wrong)}"
    )
    print("\n".join([*result.alarms, *result.really_wrong]))
    if given.json is not None:
        given.json.write_text(result.as_json())
    if result.alarms or result.really_wrong:
        print(f"seed {given.seed} failed; its logs stay in {directory}", file=sys.stderr)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
