"""Does the memory of a worker grow? A steady load for a given time."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from tests.bench.stack import Stack
from tests.bench.watch import Sample, Steady, Watch, thinned
from tests.integration.workers import WorkerProcess, count, eventually

PER_SECOND = 200
POSTS = 20_000
# By then caches are full, each post has been observed often, and RocksDB has nearly all the files that it keeps until
# its first compaction, which at this rate comes after a quarter of an hour. A shorter trial warms up for half of its
# time.
WARM_UP_SECONDS = 600.0
# Growth compares the median of the last window with the median of the first window after the warm-up.
WINDOW_SHARE = 0.15
# For memory only. The number of open files rises and falls over minutes with RocksDB's compaction, also without a leak.
MOST_GROWTH = 0.05


async def soak(stack: Stack, minutes: float, progress: Callable[[str], None]) -> dict[str, Any]:
    """One worker at 200 events/s. `grew` says whether memory grew by more than 5 % after the warm-up."""
    settings = await stack.installation("soak")
    worker = WorkerProcess(settings, "bench", stack.directory)
    worker.start()
    steady, seconds = Steady(settings, POSTS, PER_SECOND), minutes * 60
    try:
        await worker.ready()
        async with Watch(worker, min(seconds / 120, 10.0), progress) as watch:
            await steady.run(seconds)
            running = list(watch.samples)

            async def stored() -> bool:
                return await count(settings, "post_metrics_history") >= steady.sent

            await eventually(stored, 60, worker.tail)
            end = await watch.look()
    finally:
        worker.stop()
    first, last = _windows(running, min(WARM_UP_SECONDS, seconds / 2))
    growth = {
        "rss": _growth([s.rss_mib for s in first], [s.rss_mib for s in last]),
        "open_files": _growth([s.open_files for s in first], [s.open_files for s in last]),
    }
    return {
        "events_per_s": PER_SECOND,
        "minutes": minutes,
        "events": steady.sent,
        "rss_after_warm_up_mib": median(sample.rss_mib for sample in first),
        "rss_at_end_mib": median(sample.rss_mib for sample in last),
        "open_files_at_end": end.open_files,
        "lag_most": max(sample.lag for sample in running),
        "growth": growth,
        "grew": growth["rss"] > MOST_GROWTH,
        "samples": thinned(running),
    }


def _windows(samples: Sequence[Sample], warm_up: float) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first window after the warm-up, and the last one."""
    begin = next(index for index, sample in enumerate(samples) if sample.seconds >= warm_up)
    width = max(int(len(samples) * WINDOW_SHARE), 1)
    return samples[begin : begin + width], samples[-width:]


def _growth(first: Sequence[float], last: Sequence[float]) -> float:
    return round(median(last) / median(first) - 1, 4)
