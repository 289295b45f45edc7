"""Faust's consumer with the defects taken out that lose messages. Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md).

* Faust counts a jump of offsets as a compacted range and as acknowledged (`_add_gap`). Our topics have no gaps: what looks like one
  is a record that was fetched before a seek.
* Records that were in memory when a seek happened are delivered after it, and those that the seek meant are then dropped as old.
  Here a partition delivers only what continues its own sequence; anything else makes it seek to where it must go on.
* Records that a fetch took around a rebalance may be dropped although the position is past them; then nothing happens until the next
  record comes. Here the position is compared with what is due, and the partition sought.
* The same happens to changelogs at a recovery: a record that arrives early makes Faust skip those before it, and their states are lost.
* A commit may pass records that were never acknowledged when nothing was committed before, or when exactly one is missing (FS#606).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.futures import notify

from signalflow.errors import Fatal
from signalflow.kafka.admin import KAFKA_AWAY_SECONDS
from signalflow.kafka.stopping import stop_consumer
from signalflow.metrics import EXPIRED_BY_RETENTION

log = structlog.get_logger()

# Records from before a seek may be in memory more than once; a record that still does not come after so many seeks is not there.
SEEKS_BEFORE_A_HOLE = 3
# How often the positions of partitions that have more than was delivered are looked at.
POSITION_CHECK_SECONDS = 1.0
# How long brokers keep a fetch that finds nothing. What else is asked of them on that connection waits behind it, and a rebalance asks
# for offsets several times, one after the other; Faust has 1.5 s.
FETCH_WAIT_MS = 250


def first_offset(message: Any) -> int:
    """Offset of the first record in a message, be it a run or a single record."""
    return int(message.value[0].offset) if isinstance(message.value, list) else int(message.offset)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    async def on_start(self) -> None:
        """Wait for brokers that went away since the topics were made; Faust would end the worker."""
        while True:
            try:
                await super().on_start()
                return
            except KafkaError as error:
                if self.app.should_stop:
                    raise
                log.warning("kafka_away_at_start", error=str(error), retry_in=KAFKA_AWAY_SECONDS)
                await stop_consumer(self._consumer)
                await asyncio.sleep(KAFKA_AWAY_SECONDS)

    @property
    def has_ended(self) -> bool:
        """Whether aiokafka's fetch loop is over: it ends with an error that it did not foresee, tells nobody, and fetches nothing any more."""
        fetcher = self._consumer and self._consumer._fetcher
        return bool(fetcher and fetcher._fetch_task.done())

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class Consumer(driver.Consumer):
    """The consumer of a worker. `start_offsets`: per source partition, where the current assignment began to read."""

    # Set by the subclass that `consumer_class` makes.
    source_topics: frozenset[str] = frozenset()
    guard_sequence = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_offsets: dict[TP, int] = {}
        self._expected: dict[TP, int] = {}
        # How often a partition was sought to the record it expects without getting it.
        self._sought: dict[TP, int] = {}
        self._positions_checked = 0.0
        # Seeks of changelogs by recovery: how many, and where to; and what they were when the fetch under way began.
        self._changelog_seeks: dict[TP, tuple[int, int]] = {}
        self._seeks_at_fetch: dict[TP, tuple[int, int]] = {}

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # --- where a partition must go on

    async def perform_seek(self) -> None:
        """Seek every source partition to its commit, or to the start of its log, and expect exactly that record next."""
        self._forget_positions()
        await super().perform_seek()
        await self._position({tp for tp in self.assignment() if tp.topic in self.source_topics})

    async def _position(self, partitions: Iterable[TP]) -> None:
        partitions = set(partitions)
        if not partitions:
            return
        earliest = await self.earliest_offsets(*partitions)
        targets: dict[TP, int] = {}
        for tp in partitions:
            start = max(earliest.get(tp) or 0, 0)
            committed = self._committed_offset[tp]
            if committed is not None and committed < start:
                self._report_expired(tp, start - committed)
            targets[tp] = start if committed is None else max(committed, start)
        await self._seek_in_thread(targets)
        self.start_offsets.update(targets)
        self._expected.update(targets)

    async def _seek_in_thread(self, targets: Mapping[TP, int]) -> None:
        """Seek in the consumer's own thread. Faust's `seek` runs in ours, and drops records while the fetcher walks over them."""
        await super().seek_wait(targets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Nothing may be delivered until the next seek has said where each partition begins."""
        self._forget_positions()
        await super().on_partitions_revoked(revoked)

    def _forget_positions(self) -> None:
        self._expected.clear()
        self._sought.clear()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """What one fetch brought, less what does not continue its partition. Raises Fatal when nothing will be fetched any more."""
        astray: dict[TP, int] = {}
        before_seek: set[TP] = set()
        async for tp, message in super().getmany(timeout):
            if tp.topic not in self.source_topics or not self.guard_sequence:
                if tp in before_seek or self._changelog_seeks.get(tp) != self._seeks_at_fetch.get(tp):
                    before_seek.add(tp)
                else:
                    yield tp, message
                continue
            expected = self._expected.get(tp)
            if expected is None or tp in astray:
                continue
            if first_offset(message) > expected and self._sought.get(tp, 0) < SEEKS_BEFORE_A_HOLE:
                astray[tp] = expected
                continue
            self._sought.pop(tp, None)
            self._expected[tp] = max(expected, message.offset + 1)
            yield tp, message
        if self._thread.has_ended and not self.app.should_stop:
            raise Fatal("the consumer fetches no more: its loop ended with the error above; start the worker again")
        if before_seek:
            # The fetch spanned the seek: which records are from before it cannot be told, so all of them are fetched again.
            log.info("stale_changelog_fetch_dropped", partitions=len(before_seek))
            still_ours = before_seek & self.assignment()
            await self.seek_wait({tp: self._changelog_seeks[tp][1] for tp in still_ours})
        if self.flow_active and not self.app.rebalancing:
            await self._set_right(astray)
            await self._fetch_again_what_was_dropped()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Recovery seeks changelogs so. What is fetched before it is done does not count as what comes after it."""
        for tp, offset in partitions.items():
            count, _ = self._changelog_seeks.get(tp, (0, 0))
            self._changelog_seeks[tp] = (count + 1, offset)
        await super().seek_wait(partitions)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        self._seeks_at_fetch = dict(self._changelog_seeks)
        return await super()._getmany(active_partitions, timeout)

    async def _set_right(self, astray: dict[TP, int]) -> None:
        """Bring partitions that went astray, or were never positioned, to where they must go on; tried again at the next fetch."""
        try:
            if self.guard_sequence and any(
                tp.topic in self.source_topics and tp not in self._expected for tp in self._get_active_partitions()
            ):
                # The seek that ends a rebalance timed out or failed: nobody else would make it up.
                await self.perform_seek()
                return
            for tp, expected in astray.items():
                await self._go_on_at(tp, expected)
        except (KafkaError, TimeoutError) as error:
            log.warning("seek_failed", error=f"{type(error).__name__}: {error}")

    async def _fetch_again_what_was_dropped(self) -> None:
        """Set right the partitions whose position is past what was delivered: all that a fetch brought has been delivered by now."""
        if not self.guard_sequence or time.monotonic() - self._positions_checked < POSITION_CHECK_SECONDS:
            return
        self._positions_checked = time.monotonic()
        try:
            for tp, expected in list(self._expected.items()):
                if tp not in self.assignment() or self._sought.get(tp, 0) >= SEEKS_BEFORE_A_HOLE:
                    continue
                if (self.highwater(tp) or 0) <= expected:
                    continue
                position = await self.position(tp)
                if position is not None and position > expected and self._expected.get(tp) == expected:
                    await self._go_on_at(tp, expected)
        except (KafkaError, TimeoutError) as error:
            log.warning("position_unknown", error=f"{type(error).__name__}: {error}")

    async def _go_on_at(self, tp: TP, expected: int) -> None:
        """Seek to the record that must come next, or to the start of the log if retention has removed it.

        A record that does not come after several seeks is not in the log: then what follows is let through, and the contiguity guard
        of the batch loop stops the worker with the reason.
        """
        earliest = (await self.earliest_offsets(tp)).get(tp) or 0
        if self._expected.get(tp) != expected or tp not in self.assignment():
            return
        if earliest > expected:
            self._report_expired(tp, earliest - expected)
            expected = self.start_offsets[tp] = earliest
        log.info("stale_fetch_dropped", topic=tp.topic, partition=tp.partition, going_on_at=expected)
        self._expected[tp] = expected
        self._sought[tp] = self._sought.get(tp, 0) + 1
        await self._seek_in_thread({tp: expected})

    @staticmethod
    def _report_expired(tp: TP, records: int) -> None:
        EXPIRED_BY_RETENTION.labels(topic=tp.topic).inc(records)
        log.error("records_expired_unprocessed", topic=tp.topic, partition=tp.partition, records=records)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.guard_sequence:
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

    def give_back(self, message: Any) -> None:
        """No longer wait for a message that nobody will acknowledge. A rebalance or stop that waits goes on at once, not after a second."""
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: the end of the unbroken run of acknowledged records that begins at the last commit."""
        if tp not in self.start_offsets or not self.guard_sequence:
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

    def held(self, tp: TP) -> int:
        """Records that were read and are not committed: in Faust's queue, in the agent's hands, or acknowledged since the last commit."""
        expected = self._expected.get(tp)
        return 0 if expected is None else max(expected - self.committed_upto(tp), 0)


def consumer_class(source_topics: frozenset[str], *, guard_sequence: bool) -> type[Consumer]:
    """A consumer class for these source topics; without `guard_sequence` it passes over skipped offsets, as Faust does."""
    return type("SignalflowConsumer", (Consumer,), {"source_topics": source_topics, "guard_sequence": guard_sequence})
