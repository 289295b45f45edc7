"""Keeps the gap ledger up to date with the planner, beside the polling: a ledger that is away must not slow it."""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from signalflow.domain.gaps import GapChange, OpenGaps
from signalflow.errors import Invalid, SignalflowError
from signalflow.metrics import LISTING_GAPS
from signalflow.reddit.ports import GapLedger

log = structlog.get_logger()

RETRY_SECONDS = 5.0


class GapWriter:
    """Writes the changes of `gaps` to the ledger, in order, each until it is confirmed. `when` turns the planner's time into a date."""

    def __init__(self, gaps: OpenGaps, ledger: GapLedger, when: Callable[[float], datetime]) -> None:
        self._gaps, self._ledger, self._when = gaps, ledger, when
        self._wake = asyncio.Event()
        self._done = asyncio.Event()
        self._is_away = False

    def nudge(self) -> None:
        """There may be something to write."""
        self._wake.set()

    async def flushed(self, patience: float) -> bool:
        """Wait until the ledger knows everything, at most `patience` seconds and not at all while it is away; returns whether it does."""
        if self._gaps.change is None:
            return True
        self._done.clear()
        self.nudge()
        if self._is_away:
            return False
        try:
            async with asyncio.timeout(patience):
                await self._done.wait()
        except TimeoutError:
            return False
        return True

    async def step(self) -> float:
        """Write what there is to write, waiting for it first; returns the seconds until the next try."""
        if self._gaps.change is None:
            await self._wake.wait()
        self._wake.clear()
        while change := self._gaps.change:
            try:
                record = await self._write(change)
            except Invalid as error:
                # Closed already, by a write whose confirmation was lost: the ledger knows.
                record = None
                log.warning("gap_change_refused", kind=change.kind, record=change.gap.record, error=str(error))
            except SignalflowError as error:
                self._is_away = True
                log.warning("gap_ledger_away", error=str(error))
                return RETRY_SECONDS
            self._is_away = False
            self._gaps.recorded(record)
        self._done.set()
        return 0.0

    async def _write(self, change: GapChange) -> int | None:
        gap = change.gap
        if change.kind == "open":
            record = await self._ledger.open_gap(gap, self._when(gap.since), self._when(gap.opened_at))
            LISTING_GAPS.inc()
            log.warning("gap_opened", record=record, subreddits=len(gap.subreddits))
            return record
        if gap.record is None:
            raise AssertionError("a gap is advanced or closed only after it was opened: changes are written in order")
        if change.outcome is None:
            await self._ledger.advance_gap(gap.record, gap.after, gap.pages)
        else:
            await self._ledger.close_gap(gap.record, change.outcome)
            log.info("gap_closed", record=gap.record, outcome=change.outcome, pages=gap.pages)
        return None
