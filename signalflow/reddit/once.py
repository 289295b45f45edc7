"""Takes the runs that were asked for, gives them to the planners, and reports their results."""

from typing import Protocol

import structlog

from signalflow.domain.once import OnceRun
from signalflow.reddit.ports import RunSource

log = structlog.get_logger()

# Somebody waits for the answer.
LOOK_EVERY = 2.0


class Reader(Protocol):
    """Reads a part of what runs ask for, and enters the results into the run."""

    def begin(self, run: OnceRun) -> None:
        """Read that part of a run."""
        ...


class OnceRuns:
    """The runs of one poller. A run that an earlier poller began is begun again: published posts are known then."""

    def __init__(self, source: RunSource, *readers: Reader) -> None:
        self._source, self._readers = source, readers
        self._running: dict[int, OnceRun] = {}
        self._told: dict[int, int] = {}

    async def step(self) -> float:
        """Report new results, and take new runs; returns the seconds to sleep. After Retryable it may be repeated."""
        for run in list(self._running.values()):
            if run.number_of_results > self._told[run.id]:
                told = run.number_of_results
                await self._source.report_run(run)
                self._told[run.id] = told
            if run.is_done and self._told[run.id] == run.number_of_results:
                del self._running[run.id], self._told[run.id]
                log.info("run_done", run=run.id, subreddits=len(run.subreddits))
        for run in await self._source.runs_waiting():
            if run.id not in self._running:
                self._running[run.id], self._told[run.id] = run, 0
                for reader in self._readers:
                    reader.begin(run)
                log.info("run_begins", run=run.id, subreddits=len(run.subreddits), post_sort=run.post_sort)
        return LOOK_EVERY
