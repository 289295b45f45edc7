"""Faust's consumer with the defects taken out that lose messages. Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md).

* Faust counts a jump of offsets as a compacted range and as acknowledged (`_add_gap`). Our topics have no gaps: what looks like one
  is a record that was fetched before a seek.
* Records that were in memory when a seek happened are delivered after it, and those that the seek meant are then dropped as old.
  Here a partition delivers only what continues its own sequence; anything else makes it seek to where it must go on.
* A commit may pass records that were never acknowledged when nothing was committed before, or when exactly one is missing (FS#606).
"""

from collections.abc import AsyncIterator, Iterable
from typing import Any

import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from signalflow.metrics import EXPIRED_BY_RETENTION

log = structlog.get_logger()


def first_offset(message: Any) -> int:
    """Offset of the first record in a message, be it a run or a single record."""
    return int(message.value[0].offset) if isinstance(message.value, list) else int(message.offset)


class Consumer(driver.Consumer):
    """The consumer of a worker. `start_offsets`: per source partition, where the current assignment began to read."""

    # Set by the subclass that `consumer_class` makes.
    source_topics: frozenset[str] = frozenset()
    ignore_gaps = True
    guard_sequence = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_offsets: dict[TP, int] = {}
        self._expected: dict[TP, int] = {}

    # --- where a partition must go on

    async def perform_seek(self) -> None:
        """Seek every source partition to its commit, or to the start of its log, and expect exactly that record next."""
        self._expected.clear()
        await super().perform_seek()
        await self._position({tp for tp in self.assignment() if tp.topic in self.source_topics})

    async def _position(self, partitions: Iterable[TP]) -> None:
        partitions = set(partitions)
        if not partitions:
            return
        earliest = await self.earliest_offsets(*partitions)
        for tp in partitions:
            start = max(earliest.get(tp) or 0, 0)
            committed = self._committed_offset[tp]
            if committed is not None and committed < start:
                EXPIRED_BY_RETENTION.labels(topic=tp.topic).inc(start - committed)
                log.error(
                    "records_expired_unprocessed", topic=tp.topic, partition=tp.partition, records=start - committed
                )
            target = start if committed is None else max(committed, start)
            if target != self._read_offset[tp] or committed is None:
                await self.seek(tp, target)
            self.start_offsets[tp] = self._expected[tp] = target

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Nothing may be delivered until the next seek has said where each partition begins."""
        self._expected.clear()
        await super().on_partitions_revoked(revoked)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """What one fetch brought, less what does not continue its partition."""
        astray: dict[TP, int | None] = {}
        async for tp, message in super().getmany(timeout):
            if tp.topic not in self.source_topics or not self.guard_sequence:
                yield tp, message
                continue
            expected = self._expected.get(tp)
            if expected is None or tp in astray or first_offset(message) > expected:
                astray.setdefault(tp, expected)
                continue
            self._expected[tp] = max(expected, message.offset + 1)
            yield tp, message
        if None in astray.values() and self.flow_active and not self.app.rebalancing:
            # The seek that ends a rebalance timed out or failed: nobody else would make it up.
            await self.perform_seek()
            return
        for tp, expected in astray.items():
            if expected is not None and self._expected.get(tp) == expected and tp in self.assignment():
                await self._go_on_at(tp, expected)

    async def _go_on_at(self, tp: TP, expected: int) -> None:
        """Seek to the record that must come next, or to the start of the log if retention has removed it."""
        earliest = (await self.earliest_offsets(tp)).get(tp) or 0
        if earliest > expected:
            EXPIRED_BY_RETENTION.labels(topic=tp.topic).inc(earliest - expected)
            log.error(
                "records_expired_unprocessed", topic=tp.topic, partition=tp.partition, records=earliest - expected
            )
            expected = earliest
        log.warning("stale_fetch_dropped", topic=tp.topic, partition=tp.partition, going_on_at=expected)
        await self.seek(tp, expected)
        self._expected[tp] = expected

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.ignore_gaps:
            await super()._add_gap(tp, offset_from, offset_to)

    # --- acknowledging and committing

    def ack(self, message: Any) -> bool:
        """Acknowledge a message; a run acknowledges every record in it."""
        if not isinstance(message.value, list):
            return bool(super().ack(message))
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        tp = message.tp
        committed, index = self._committed_offset[tp], self._acked_index[tp]
        floor = -1 if committed is None else committed
        offsets = [record.offset for record in message.value if record.offset >= floor and record.offset not in index]
        index.update(offsets)
        self._acked[tp].extend(offsets)
        self._n_acked += len(offsets)
        notify(self._waiting_for_ack)
        return True

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: the end of the unbroken run of acknowledged records that begins at the last commit."""
        if tp not in self.start_offsets:
            offset: int | None = super()._new_offset(tp)
            return offset
        acked = self._acked[tp]
        acked.sort()
        committed = self._committed_offset[tp]
        upto = begin = self.start_offsets[tp] if committed is None else max(committed, self.start_offsets[tp])
        taken = 0
        for offset in acked:
            if offset > upto:
                break
            taken += 1
            upto = max(upto, offset + 1)
        self._acked_index[tp].difference_update(acked[:taken])
        del acked[:taken]
        return upto if upto > begin else None

    def committed_upto(self, tp: TP) -> int:
        """The offset that a restart would read next."""
        committed = self._committed_offset[tp]
        return committed if committed is not None else self.start_offsets.get(tp, 0)


def consumer_class(source_topics: frozenset[str], *, ignore_gaps: bool, guard_sequence: bool) -> type[Consumer]:
    """A consumer for these source topics, with the cures that the settings switch on."""
    return type(
        "SignalflowConsumer",
        (Consumer,),
        {"source_topics": source_topics, "ignore_gaps": ignore_gaps, "guard_sequence": guard_sequence},
    )
