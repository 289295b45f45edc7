"""Takes the runs that were asked for, gives them to the planner, and reports their results."""

import structlog

from signalflow.domain.once import OnceRun
from signalflow.domain.ranked_listings import RankedListings
from signalflow.reddit.ports import RunSource

log = structlog.get_logger()

# Somebody waits for the answer.
LOOK_EVERY = 2.0


class OnceRuns:
    """The runs of one poller. A run that an earlier poller began is begun again: published posts are known then."""

    def __init__(self, source: RunSource, listings: RankedListings) -> None:
        self._source, self._listings = source, listings
        self._running: dict[int, OnceRun] = {}
        self._told: dict[int, int] = {}

    async def step(self) -> float:
        """Report new results, and take new runs; returns the seconds to sleep. After Retryable it may be repeated."""
        for run in list(self._running.values()):
            if len(run.results) > self._told[run.id]:
                told = len(run.results)
                await self._source.report_run(run)
                self._told[run.id] = told
            if run.is_done and self._told[run.id] == len(run.subreddits):
                del self._running[run.id], self._told[run.id]
                log.info("run_done", run=run.id, subreddits=len(run.subreddits))
        for run in await self._source.runs_waiting():
            if run.id not in self._running:
                self._running[run.id], self._told[run.id] = run, 0
                self._listings.begin(run)
                log.info("run_begins", run=run.id, subreddits=len(run.subreddits), post_sort=run.post_sort)
        return LOOK_EVERY
