"""Compares the hourly rollup with the history, both from one snapshot.

The rollup is recomputed at intervals. The transaction that writes history rows lists their hours in `rollup_touched`,
and the transaction that recomputes an hour removes it from the list. In any snapshot the hours that are not listed must
therefore agree with the history exactly.
"""

from datetime import datetime
from typing import Any

from signalflow.verify.expect import same_number
from signalflow.verify.report import TableReport

_ROWS_AT_ONCE = 2_000
_TOUCHED = "SELECT DISTINCT bucket FROM rollup_touched"
_HOURLY = "SELECT * FROM post_metrics_hourly WHERE bucket >= $1 ORDER BY post_id, bucket"


def hour_of(moment: datetime) -> datetime:
    """The start of the hour of a moment."""
    return moment.replace(minute=0, second=0, microsecond=0)


class HourlyCheck:
    """Takes history rows in the order of their key, and compares hour by hour."""

    def __init__(self, stored: Any, touched: frozenset[datetime]) -> None:
        self._stored, self._touched = stored, touched
        self._next: Any = None
        self._rows: list[Any] = []
        self._key: tuple[str, datetime] | None = None
        self._report = TableReport()

    @classmethod
    async def begin(cls, connection: Any, lowest: datetime) -> "HourlyCheck":
        """Start a check of the hours that begin at `lowest` or later.

        It must be given every history row of these hours.
        """
        touched = frozenset(row["bucket"] for row in await connection.fetch(_TOUCHED))
        check = cls(connection.cursor(_HOURLY, lowest, prefetch=_ROWS_AT_ONCE).__aiter__(), touched)
        await check._advance()
        return check

    async def take(self, row: Any) -> None:
        """Take the next history row."""
        key = row["post_id"], hour_of(row["observed_at"])
        if key != self._key:
            await self._finish_hour()
            self._key = key
        self._rows.append(row)

    async def end(self) -> TableReport:
        """The report, after the last row."""
        await self._finish_hour()
        while self._next is not None:
            await self._extra()
        return self._report

    async def _finish_hour(self) -> None:
        if self._key is None:
            return
        while self._next is not None and (self._next["post_id"], self._next["bucket"]) < self._key:
            await self._extra()
        stored = None
        if self._next is not None and (self._next["post_id"], self._next["bucket"]) == self._key:
            stored = self._next
            await self._advance()
        self._judge(self._key, stored)
        self._rows = []

    def _judge(self, key: tuple[str, datetime], stored: Any) -> None:
        report, name = self._report, f"{key[0]} at {key[1].isoformat()}"
        report.found += stored is not None
        if key[1] in self._touched:
            report.unchecked += 1
            return
        report.expected += 1
        if stored is None:
            report.note("missing", name)
            return
        scores = [row["score"] for row in self._rows]
        wanted = {
            "observations": len(scores),
            "min_score": min(scores),
            "max_score": max(scores),
            "avg_score": sum(scores) / len(scores),
            "max_comments": max(row["num_comments"] for row in self._rows),
            "max_score_velocity": self._greatest("score_velocity"),
            "max_comment_velocity": self._greatest("comment_velocity"),
        }
        differ = [column for column, value in wanted.items() if not same_number(stored[column], value)]
        if differ:
            report.note("wrong", f"{name}: {', '.join(differ)}")

    def _greatest(self, column: str) -> float | None:
        return max((row[column] for row in self._rows if row[column] is not None), default=None)

    async def _extra(self) -> None:
        self._report.found += 1
        if self._next["bucket"] in self._touched:
            self._report.unchecked += 1
        else:
            self._report.note("extra", f"{self._next['post_id']} at {self._next['bucket'].isoformat()}")
        await self._advance()

    async def _advance(self) -> None:
        self._next = await anext(self._stored, None)
