"""Writes the planner's gaps to the ledger, in a task of its own: a ledger that is away must not slow polling."""

import asyncio

import structlog

from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.gaps import GapChange, OpenGaps, Outcome
from signalflow.domain.overlap import Gap
from signalflow.errors import Invalid, SignalflowError
from signalflow.metrics import LISTING_GAPS, LISTING_GAPS_CLOSED
from signalflow.reddit.ports import GapLedger
from signalflow.reddit.reddit_clock import known_moment, moment

log = structlog.get_logger()


class GapWriter:
    """Writes the changes of `gaps` to the ledger, in order. Each is tried again until the ledger confirms it."""

    def __init__(self, gaps: OpenGaps, ledger: GapLedger) -> None:
        self._gaps, self._ledger = gaps, ledger
        self._has_work = asyncio.Event()
        self._done = asyncio.Event()
        # Writes in a row that failed because the ledger is away.
        self._failures = 0

    def wake(self) -> None:
        """Say that there may be something to write."""
        self._has_work.set()

    async def flushed(self, patience: float) -> bool:
        """Wait until the ledger has recorded everything, for at most `patience` seconds; returns whether it has.

        Does not wait while the ledger is away.
        """
        if self._gaps.change is None:
            return True
        self._done.clear()
        self.wake()
        if self._failures:
            return False
        try:
            async with asyncio.timeout(patience):
                await self._done.wait()
        except TimeoutError:
            return False
        return True

    async def step(self) -> float:
        """Wait for a change, and write all changes; returns the seconds to sleep until the next step."""
        if self._gaps.change is None:
            await self._has_work.wait()
        self._has_work.clear()
        while change := self._gaps.change:
            try:
                record = await self._write(change)
            except Invalid as error:
                # The gap is closed already, by a write whose confirmation was lost.
                record = None
                log.warning("gap_change_refused", kind=change.kind, record=change.gap.record, error=str(error))
            except SignalflowError as error:
                self._failures += 1
                log.warning("gap_ledger_away", error=str(error))
                return WHILE_AWAY.after(self._failures)
            self._failures = 0
            self._gaps.recorded(record)
            if change.outcome is not None:
                self._count_closed(change.outcome)
        self._done.set()
        return 0.0

    async def _write(self, change: GapChange) -> int | None:
        gap = change.gap
        if change.kind == "open":
            record = await self._ledger.open_gap(gap, moment(gap.since), moment(gap.opened_at))
            self._note_opened(record, gap)
            return record
        if gap.record is None:
            raise AssertionError("a gap is advanced or closed only after it was opened: changes are written in order")
        if change.outcome is None:
            await self._ledger.advance_gap(gap.record, gap.after, gap.pages, known_moment(gap.until))
        else:
            await self._ledger.close_gap(gap.record, change.outcome, known_moment(gap.until))
            log.info("gap_closed", record=gap.record, outcome=change.outcome, pages=gap.pages)
        return None

    def _note_opened(self, record: int, gap: Gap) -> None:
        LISTING_GAPS.inc()
        log.warning("gap_opened", record=record, subreddits=len(gap.subreddits))

    def _count_closed(self, outcome: Outcome) -> None:
        LISTING_GAPS_CLOSED.labels(outcome=outcome).inc()


class FirstLookWriter(GapWriter):
    """Writes first looks back, which are opened on purpose and are no gap that anybody must look at."""

    def _note_opened(self, record: int, gap: Gap) -> None:
        log.info("first_look_begins", record=record, subreddit=gap.subreddits[0])

    def _count_closed(self, outcome: Outcome) -> None:
        pass
