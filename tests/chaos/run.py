"""One run: start the stack, inject faults while records flow, wait until all is processed, compare."""

import asyncio
import contextlib
import logging
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from tests.chaos import alerts, comments, report, schedule, verdict
from tests.chaos.cluster import PARTITIONS, WORKERS, Cluster, running_cluster
from tests.chaos.faults.base import Run
from tests.chaos.forensics import story_of
from tests.chaos.load import Load
from tests.chaos.recovery import Probes
from tests.integration import signals_of_tests

PER_SECOND = 120.0
ACTIVITY = 4.0
# Three seeds together need 1,000 of each kind of disorder: 340 per seed, which has 86,000 observations.
DISORDER_SHARE = 0.02
# Posts count when they are created this many seconds after records flow, or later, so that the poller is running.
WARM_UP_SECONDS = 8.0
MOST_STORIES = 5


async def run_seed(
    seed: int,
    minutes: float,
    directory: Path,
    *,
    only: Sequence[str] = (),
    short: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> report.Summary:
    """Run one seed. Everything that it leaves behind is in `directory`."""
    quiet(directory)
    rnd = random.Random(seed)
    began = time.monotonic()
    async with (
        running_cluster(directory, rnd, ACTIVITY, signals_of_tests.__name__) as cluster,
        alerts.receiving(cluster.settings) as receiver,
    ):
        say(f"stack ready after {time.monotonic() - began:.0f} s")
        probes = Probes(PARTITIONS)
        load = Load(cluster.settings, random.Random(seed + 1), probes, PER_SECOND, DISORDER_SHARE)
        run = Run(cluster, rnd, probes, load)
        lanes = schedule.plan(seed, minutes, only, short=short)
        share = min(minutes / schedule.FULL_MINUTES, 1.0)
        database = cluster.settings.database_url.get_secret_value()
        async with beside(probes.watch(database)):
            async with beside(load.run(), cluster.watch(), _progress(run, say)):
                await run.flowing()
                since = time.time() + WARM_UP_SECONDS
                async with asyncio.TaskGroup() as group:
                    faults = group.create_task(schedule.carry_out(run, lanes, minutes))
                    group.create_task(schedule.poisoner(run, minutes, share))
                no_time_for = faults.result()
                say(f"faults are over after {time.monotonic() - began:.0f} s")
                await _heal(run)
                visible, never_stored = await verdict.settle_reddit(run, since)
                shown = await comments.settle(run, since)
            say("every post and comment of Reddit is stored; waiting until all is committed")
            await load.close()
            await cluster.reddit.stop()
            async with beside(cluster.watch()):
                unsettled = await verdict.still(run.settings)
                told = await alerts.settle(run.settings, receiver)
            await comments.compare_with_topic(run, shown)
            found = await verdict.judge(run, visible, never_stored, unsettled, shown, told)
            await _tell_stories(run, found, directory)
        return report.summary(seed, (time.monotonic() - began) / 60, run, found, no_time_for)


async def _tell_stories(run: Run, found: verdict.Verdict, directory: Path) -> None:
    """Keep all records of some posts whose rows are wrong, since the topics end with the run."""
    examples = [text for table in (found.report.posts, found.report.history) for text in table.examples]
    names = {match[1] for text in examples if (match := re.match(r"\w+: \W*([0-9a-z]+)", text))}
    for post_id in sorted(names)[:MOST_STORIES]:
        (directory / f"post-{post_id}.txt").write_text(await story_of(run.settings, post_id))


def quiet(directory: Path) -> None:
    """Send the log of the harness's own clients to a file: they report servers that faults have stopped on purpose."""
    for name in ("aiokafka", "aiokafka.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    own = (directory / "harness.log").open("a", buffering=1)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(own))


async def _heal(run: Run) -> None:
    """End all faults, and wait until all workers have their partitions."""
    cluster: Cluster = run.cluster
    for proxy in (*cluster.broker_links, *cluster.database_links.values(), cluster.reddit_link):
        proxy.heal()
    await cluster.reddit.control(clear=True)
    for name in WORKERS:
        async with cluster.victim(name) as worker:
            if name in cluster.down:
                await cluster.start(worker)
    await run.flowing()


async def _progress(run: Run, say: Callable[[str], None]) -> None:
    told = 0
    while True:
        await asyncio.sleep(1)
        for injection in run.journal[told:]:
            after = f"{injection.at - run.began:6.1f} s"
            say(f"{after}  {injection.kind} {injection.detail}".rstrip())
        told = len(run.journal)


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless coroutines during the block. If one fails, the block ends with its error."""
    block = asyncio.current_task()
    assert block is not None
    failed: list[BaseException] = []

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed.append(error)
            block.cancel()

    tasks = [asyncio.create_task(work) for work in works]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if failed:
            raise failed[0] from None
        raise
    finally:
        for task in tasks:
            task.remove_done_callback(ended)
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
