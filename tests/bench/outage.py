"""The database is down while observations come in: how much memory the worker takes, and how fast it catches up."""

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from agents.lag import EVERY_SECONDS as LAG_SECONDS
from signalflow.settings import Settings
from signalflow.streams.app import queue_runs
from signalflow.streams.runs import RUN_BYTES, RUN_RECORDS
from tests.bench.pipeline import fill
from tests.bench.stack import Stack, commits
from tests.bench.watch import MIB, Steady, Watch, thinned
from tests.integration.workers import WorkerProcess, count, eventually

PER_SECOND = 1_000
POSTS = 20_000
WARM_UP_SECONDS = 30.0
DRAIN_SECONDS = 300.0

Progress = Callable[[str], None]


async def outage(stack: Stack, minutes: float, progress: Progress) -> dict[str, Any]:
    """One worker at 1,000 events/s. After a warm-up PostgreSQL is stopped for this many minutes, then started.

    `growth_mib` is the maximal memory during the outage minus the median of the warm-up. `lag_is_seen` tells whether an
    operator sees the outage: at its end the lag metric shows all records since its beginning, up to two updates late.
    """
    settings = await stack.installation("outage")
    worker = WorkerProcess(settings, "bench", stack.directory)
    worker.start()
    steady, seconds = Steady(settings, POSTS, PER_SECOND), minutes * 60
    try:
        await worker.ready()
        async with Watch(worker, 1.0, progress) as watch:
            await steady.run(WARM_UP_SECONDS)
            before = median(sample.rss_mib for sample in watch.since(WARM_UP_SECONDS / 2))
            await asyncio.to_thread(stack.postgres.stop)
            down = watch.now()
            await steady.run(seconds)
            at_end, during = await watch.look(), watch.since(down)
            await asyncio.to_thread(stack.postgres.start)
            drained = await _drained(settings, worker, steady.sent)
            after = await watch.look()
    finally:
        worker.stop()
    most = max(sample.rss_mib for sample in during)
    return {
        "events_per_s": PER_SECOND,
        "outage_s": seconds,
        "rss_before_mib": before,
        "rss_most_mib": most,
        "rss_in_last_third_mib": median(sample.rss_mib for sample in during[-max(len(during) // 3, 1) :]),
        "rss_after_mib": after.rss_mib,
        "growth_mib": round(most - before, 1),
        "buffers": _buffers(settings),
        "lag_at_end": at_end.lag,
        "lag_is_seen": at_end.lag >= (seconds - 2 * LAG_SECONDS) * PER_SECOND,
        "drained_after_s": round(drained, 1),
        "events": steady.sent,
        "samples": thinned(watch.samples),
    }


async def backlog(stack: Stack, events: int, posts: int, progress: Progress) -> dict[str, Any]:
    """How fast a backlog drains: the database is down until all records are enriched, then it comes back.

    Time is measured as for throughput: by commit timestamps of the database, from the first commit to the last. The
    worker's queues are full meanwhile, so `rss_most_mib` is the most that an outage can cost with records of this size.
    """
    settings, load = await fill(stack, events, posts)
    await asyncio.to_thread(stack.postgres.stop)
    worker = WorkerProcess(settings, "bench", stack.directory)
    worker.start()
    try:
        await eventually(worker.is_live, 60, worker.tail)
        async with Watch(worker, 1.0, progress) as watch:

            async def enriched() -> bool:
                return await worker.metric("signalflow_records_total", 'agent="enrich"') >= events

            await eventually(enriched, DRAIN_SECONDS, worker.tail)
            waiting = await watch.look()
            await asyncio.to_thread(stack.postgres.start)
            await _drained(settings, worker, events)
    finally:
        worker.stop()
    done = await commits(settings)
    return load | {
        "events_per_s": round(done.per_second),
        "seconds": round(done.seconds, 2),
        "rows_per_transaction": round(done.rows / done.transactions),
        "lag_before": waiting.lag,
        "rss_waiting_mib": waiting.rss_mib,
        "rss_most_mib": max(sample.rss_mib for sample in watch.samples),
        "buffers": _buffers(settings),
    }


def _buffers(settings: Settings) -> dict[str, int]:
    """The most that the queue of one agent holds."""
    runs = queue_runs(settings)
    return {"runs": runs, "records": runs * RUN_RECORDS, "mib": runs * RUN_BYTES // MIB}


async def _drained(settings: Settings, worker: WorkerProcess, events: int) -> float:
    """Seconds until every event is stored."""
    began = time.monotonic()

    async def stored() -> bool:
        return await count(settings, "post_metrics_history") >= events

    await eventually(stored, DRAIN_SECONDS, worker.tail)
    return time.monotonic() - began
