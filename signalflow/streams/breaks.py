"""What a consumer reports when a partition is not read on where it was left."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from faust.types import TP

from signalflow.domain.positions import Break
from signalflow.metrics import EXPIRED_BY_RETENTION, REWINDS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LogBreak:
    """A log that was not the one that was consumed: committed up to an offset, and read on at another one."""

    tp: TP
    reason: str
    committed: int
    going_on_at: int


class Breaks:
    """The breaks that the database does not know yet.

    Until it does, nothing is committed in their partitions: a worker that ends before leaves the commit from before the
    break, and the next owner of the partition finds the break again.
    """

    def __init__(self) -> None:
        self._unrecorded: list[LogBreak] = []

    def unrecorded(self) -> list[LogBreak]:
        """The breaks that are not recorded yet, in the order in which they were noticed."""
        return list(self._unrecorded)

    def withhold(self, tp: TP) -> bool:
        """Whether nothing may be committed in this partition now."""
        return any(found.tp == tp for found in self._unrecorded)

    def note_recorded(self, found: LogBreak) -> None:
        """The break is recorded."""
        self._unrecorded.remove(found)

    def report_rewind(self, tp: TP, reason: str, committed: int, going_on_at: int, **more: object) -> None:
        """Count and log that a partition is read again, and keep a break of its log until it is recorded."""
        self._report("partition_rewound", tp, reason, committed, going_on_at, more)

    def report_break(self, tp: TP, reason: Break, committed: int, going_on_at: int, **more: object) -> None:
        """Do the same for a break that was found by a position from which this worker does not read."""
        self._report("log_break_found", tp, reason, committed, going_on_at, more)

    def _report(
        self, event: str, tp: TP, reason: str, committed: int, going_on_at: int, more: Mapping[str, object]
    ) -> None:
        REWINDS.labels(topic=tp.topic, reason=reason).inc()
        if isinstance(reason, Break):
            found = LogBreak(tp, reason.value, committed, going_on_at)
            # While the database is away, each assignment finds the same break again.
            if found not in self._unrecorded:
                self._unrecorded.append(found)
        log.error(
            event,
            topic=tp.topic, partition=tp.partition, reason=reason, committed=committed, going_on_at=going_on_at, **more,
        )  # fmt: skip


def report_expired(tp: TP, records: int) -> None:
    """Count and log that retention removed records before they were read."""
    EXPIRED_BY_RETENTION.labels(topic=tp.topic).inc(records)
    log.error("records_expired_unprocessed", topic=tp.topic, partition=tp.partition, records=records)
