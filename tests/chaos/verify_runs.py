"""Runs `signalflow verify` in every form, while records flow and workers, brokers and the database are killed.

It must give no false alarm. Exit status 0: every run was clean or could not tell. 1: a run told a difference, or rows
are really missing at the end.
"""

import argparse
import asyncio
import json
import math
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify.run import verify
from tests.chaos import poison, verdict
from tests.chaos.cluster import PARTITIONS, running_cluster
from tests.chaos.faults import brokers, database
from tests.chaos.faults.base import Run
from tests.chaos.load import Load
from tests.chaos.recovery import Probes
from tests.chaos.run import ACTIVITY, DISORDER_SHARE, beside, quiet
from tests.integration.workers import environment_of

PER_SECOND = 40.0
# A worker is killed so often, and is back after a part of a second.
KILL_SECONDS = 6.0
# Two brokers or the database die so often. `verify` cannot tell while they are away.
SERVER_SECONDS = 45.0
POISON_SECONDS = 20.0
MOST_PAST_SECONDS = 120.0
CLEAN, FOUND, NOT_CHECKED = 0, 1, 3
_DUE = re.compile(r'(?:"records_due": |records read, )(\d+)')


def _moments(rnd: random.Random, count: int) -> list[str]:
    ago = sorted((rnd.uniform(1, MOST_PAST_SECONDS) for _ in range(count)), reverse=True)
    return [(datetime.now(UTC) - timedelta(seconds=seconds)).isoformat() for seconds in ago]


def _since_until(rnd: random.Random) -> list[str]:
    since, until = _moments(rnd, 2)
    return ["--since", since, "--until", until]


FORMS: dict[str, Callable[[random.Random], list[str]]] = {
    "all": lambda rnd: [],
    "--json": lambda rnd: ["--json"],
    "--since": lambda rnd: ["--since", *_moments(rnd, 1)],
    "--until": lambda rnd: ["--until", *_moments(rnd, 1)],
    "--since --until": _since_until,
    "--repair": lambda rnd: ["--repair"],
    "--repair --apply": lambda rnd: ["--repair", "--apply", "--json"],
}


@dataclass
class Result:
    """Numbers by form. `alarms`: what runs told, although nothing was lost; `not_checked`: runs that could not tell.

    `due`: records that were compared in runs that told. `kills`: of workers; `servers`: what befell servers.
    """

    seed: int
    runs: Counter[str] = field(default_factory=Counter)
    due: Counter[str] = field(default_factory=Counter)
    not_checked: Counter[str] = field(default_factory=Counter)
    alarms: list[str] = field(default_factory=list)
    kills: int = 0
    servers: Counter[str] = field(default_factory=Counter)
    records: int = 0
    really_wrong: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """The numbers as a JSON object."""
        return json.dumps(vars(self), indent=2) + "\n"

    def take(self, form: str, status: int, told: str) -> str:
        """Count one run by its exit status and its output; returns what it was."""
        if status == NOT_CHECKED:
            self.not_checked[form] += 1
            return f"not checked: {told}"
        self.runs[form] += 1
        if status != CLEAN:
            self.alarms.append(f"{form}, status {status}: {told}")
            return self.alarms[-1]
        due = _DUE.search(told)
        assert due, f"{form} does not say how many records are due: {told}"
        self.due[form] += int(due[1])
        return f"clean, {due[1]} records due"


async def _command(settings: Settings, arguments: list[str]) -> tuple[int, str]:
    """The exit status and the output of `signalflow verify`."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("signalflow"),
        "verify",
        *arguments,
        env=environment_of(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    told, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (told if process.returncode in (CLEAN, FOUND) else errors).decode().strip()


async def _passes(over: asyncio.Event, seconds: float) -> bool:
    """Whether so many seconds pass before all is over."""
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return not over.is_set()


async def _kill_workers(run: Run, result: Result, over: asyncio.Event) -> None:
    while await _passes(over, KILL_SECONDS * run.rnd.uniform(0.5, 1.5)):
        async with run.cluster.victim() as worker:
            run.cluster.kill(worker)
            await asyncio.sleep(run.rnd.random())
            worker.start()
            run.cluster.down.discard(worker.name)
        result.kills += 1


async def _kill_servers(run: Run, over: asyncio.Event) -> None:
    faults = cycle((database.immediate_stop, brokers.one_then_another))
    while await _passes(over, SERVER_SECONDS * run.rnd.uniform(0.5, 1.5)):
        await next(faults)(run)


async def _send_poison(run: Run) -> None:
    while True:
        run.poison(poison.by_hand(len(run.poisons)))
        await asyncio.sleep(POISON_SECONDS)


async def verify_runs(seed: int, runs: int, minutes: float, directory: Path, say: Callable[[str], None]) -> Result:
    """Run the forms in turn until each has told `runs` times, or the minutes are over."""
    quiet(directory)
    rnd, result = random.Random(seed), Result(seed)
    async with running_cluster(directory, rnd, ACTIVITY) as cluster:
        probes = Probes(PARTITIONS)
        load = Load(cluster.settings, random.Random(seed + 1), probes, PER_SECOND, DISORDER_SHARE)
        run = Run(cluster, rnd, probes, load)
        async with beside(probes.watch(cluster.settings.database_url.get_secret_value()), load.run(), cluster.watch()):
            await run.flowing()
            end = time.monotonic() + 60 * minutes
            over = asyncio.Event()
            async with beside(_send_poison(run)), asyncio.TaskGroup() as group:
                # Whatever they kill they start again before they end.
                group.create_task(_kill_workers(run, result, over))
                group.create_task(_kill_servers(run, over))
                while time.monotonic() < end and min(result.runs[form] for form in FORMS) < runs:
                    form = min(FORMS, key=lambda each: result.runs[each])
                    began = time.monotonic()
                    told = result.take(form, *await _command(run.settings, FORMS[form](rnd)))
                    say(f"run {result.runs.total()}, {form}: {time.monotonic() - began:.1f} s, {told}")
                over.set()
        await load.close()
        await cluster.reddit.stop()
        result.servers.update(each.kind for each in run.journal)
        async with beside(cluster.watch()):
            result.really_wrong += await verdict.still(run.settings)
        report = await verify(run.settings, TopicNames.of(run.settings))
        result.records = report.records
        result.really_wrong += [f"{name}: {text}" for name, table in report.tables.items() for text in table.examples]
    return result


def main() -> int:
    """Run, print the numbers, write the JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.verify_runs", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats the load")
    parser.add_argument("--runs", type=int, default=100, help="runs of each form (default %(default)s)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end after so many, with fewer runs")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix=f"signalflow-verify-{given.seed}-"))
    print(f"seed {given.seed}, logs in {directory}", flush=True)

    def say(text: str) -> None:
        print(text, flush=True)

    result = asyncio.run(verify_runs(given.seed, given.runs, given.minutes, directory, say))
    print(
        f"{result.runs.total()} runs of verify, {dict(result.runs)}; {result.kills} kills of workers, "
        f"{dict(result.servers)}, {result.records} records; false alarms {len(result.alarms)}, "
        f"could not tell {result.not_checked.total()}, really wrong at the end {len(result.really_wrong)}"
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
