"""Faust's consumer without the defects that lose messages.

Verified with faust-streaming 0.15.3 (docs/decisions/faust-cures.md). The defects, and what this consumer does instead:

* Faust treats skipped offsets as a compacted range and counts the range as acknowledged (`_add_gap`). Our source topics
  are not compacted: skipped offsets mean that a record was fetched before a seek. Here an offset is acknowledged only
  when its record was delivered.
* Faust delivers records that were in memory when a seek happened. It then takes the records that the seek asked for to
  be old, and drops them. Here a record at a higher offset than expected is dropped, and the partition seeks again.
* Faust may drop records that it fetched around a rebalance although the fetch offset is past them. The partition then
  stands still until a new record comes. Here the fetch offset is compared with the expected offset, and the partition
  seeks back when the fetch offset is higher.
* A changelog record that was fetched before the seek of a recovery makes Faust skip all records at lower offsets, and
  their states are lost. Here a fetch during which a seek happened is dropped and repeated.
* Faust may commit past records that were never acknowledged, when nothing was committed before or when exactly one
  record is missing (FS#606). Here a commit ends before the first record that is not acknowledged.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import count
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.futures import notify

from signalflow.clock import steady
from signalflow.domain.backoff import WHILE_AWAY
from signalflow.errors import Fatal
from signalflow.kafka.every_offset import ISOLATION, deliver_every_offset
from signalflow.kafka.stopping import stop_consumer
from signalflow.metrics import EXPIRED_BY_RETENTION

log = structlog.get_logger()

# After a seek, several fetches may still return records that were in memory before it. A record that is still missing
# after this many seeks is not in the log.
MAX_SEEKS_TO_ONE_OFFSET = 3
# Seconds between checks of the fetch offset, for partitions whose log has records that were not delivered.
OFFSET_CHECK_SECONDS = 1.0
# How long a broker holds a fetch that finds nothing. Other requests on the connection wait behind it, and a rebalance
# sends several requests for offsets, one after the other. Faust's own value is 1.5 s.
FETCH_WAIT_MS = 250


def first_offset(message: Message) -> int:
    """The offset of the first record in a message. The message is a run or a single record."""
    return int(message.value[0].offset) if isinstance(message.value, list) else int(message.offset)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    # When the last heartbeat that the group's coordinator answered was sent, by `clock.steady`.
    heartbeat_at = -math.inf

    async def on_start(self) -> None:
        """Wait for brokers that went away after the topics were created. Faust would end the worker instead."""
        for failures in count(1):
            try:
                await super().on_start()
                self._note_heartbeats()
                return
            except KafkaError as error:
                if self.app.should_stop:
                    raise
                wait = WHILE_AWAY.after(failures)
                log.warning("kafka_away_at_start", error=str(error), retry_in=wait)
                await stop_consumer(self._consumer)
                await asyncio.sleep(wait)

    def _note_heartbeats(self) -> None:
        """Note when each heartbeat that succeeds was sent. aiokafka keeps that to itself."""
        coordinator = self._consumer._coordinator
        if coordinator is None:
            return
        send = coordinator._do_heartbeat

        async def do_heartbeat() -> bool:
            sent_at = steady()
            is_member = bool(await send())
            if is_member:
                self.heartbeat_at = sent_at
            return is_member

        coordinator._do_heartbeat = do_heartbeat

    @property
    def has_ended(self) -> bool:
        """Whether aiokafka's fetch loop has ended: an error that it does not expect ends it silently."""
        fetcher = self._consumer and self._consumer._fetcher
        return bool(fetcher and fetcher._fetch_task.done())

    async def rejoin(self) -> None:
        """Join the group again, as if its members had changed."""
        self._ensure_consumer()._coordinator.request_rejoin()

    def _create_worker_consumer(self, transport: Any) -> Any:
        deliver_every_offset()
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = ISOLATION
        return consumer


class Consumer(driver.Consumer):
    """The consumer of a worker. `start_offsets`: per source partition, the first offset that the assignment reads."""

    # Set by the subclass that `consumer_class` makes.
    source_topics: frozenset[str] = frozenset()
    require_contiguous = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_offsets: dict[TP, int] = {}
        self._expected: dict[TP, int] = {}
        # By partition, how many seeks to the expected offset have not yet brought the record at that offset.
        self._seek_attempts: dict[TP, int] = {}
        self._offsets_checked_at = 0.0
        # By changelog partition: the number of recovery's seeks and the offset of the last one, now and at the start of
        # the fetch under way.
        self._changelog_seeks: dict[TP, tuple[int, int]] = {}
        self._seeks_at_fetch: dict[TP, tuple[int, int]] = {}

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def member_until(self) -> float:
        """Until when, by `clock.steady`, this worker is surely a member of its group; -inf before its first heartbeat.

        The coordinator gives a member up when it hears nothing for the session timeout, or when the member does not
        join a new generation within the rebalance timeout.
        """
        conf = self.app.conf
        return float(self._thread.heartbeat_at + min(conf.broker_session_timeout, conf.broker_rebalance_timeout))

    async def rejoin(self) -> None:
        """Join the group again: a new generation begins, with a recovery and a seek."""
        await self._thread.call_thread(self._thread.rejoin)

    # --- the offset that each partition reads next

    async def perform_seek(self) -> None:
        """Seek every source partition to its committed offset or to the start of its log; expect that offset next."""
        self._forget_expected_offsets()
        await super().perform_seek()
        await self._seek_to_start({tp for tp in self.assignment() if tp.topic in self.source_topics})

    async def _seek_to_start(self, partitions: Iterable[TP]) -> None:
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
        """Seek in the consumer's thread. Faust's `seek` runs in our thread and drops records that the fetcher reads."""
        await super().seek_wait(targets)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Deliver nothing until the next seek has set the first offset of each partition."""
        self._forget_expected_offsets()
        await super().on_partitions_revoked(revoked)

    def _forget_expected_offsets(self) -> None:
        self._expected.clear()
        self._seek_attempts.clear()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """The messages of one fetch, except those out of their partition's sequence.

        Raises Fatal when the fetch loop has ended.
        """
        out_of_sequence: dict[TP, int] = {}
        overtaken_by_seek: set[TP] = set()
        async for tp, message in super().getmany(timeout):
            if tp.topic not in self.source_topics or not self.require_contiguous:
                if tp in overtaken_by_seek or self._changelog_seeks.get(tp) != self._seeks_at_fetch.get(tp):
                    overtaken_by_seek.add(tp)
                else:
                    yield tp, message
                continue
            expected = self._expected.get(tp)
            if expected is None or tp in out_of_sequence:
                continue
            if first_offset(message) > expected and self._seek_attempts.get(tp, 0) < MAX_SEEKS_TO_ONE_OFFSET:
                out_of_sequence[tp] = expected
                continue
            self._seek_attempts.pop(tp, None)
            self._expected[tp] = max(expected, message.offset + 1)
            yield tp, message
        if self._thread.has_ended and not self.app.should_stop:
            raise Fatal("the consumer fetches no more: its loop ended with the error above; start the worker again")
        if overtaken_by_seek:
            # A seek happened during the fetch. The records do not show whether they were fetched before or after it, so
            # fetch all of them again.
            log.info("stale_changelog_fetch_dropped", partitions=len(overtaken_by_seek))
            still_ours = overtaken_by_seek & self.assignment()
            await self.seek_wait({tp: self._changelog_seeks[tp][1] for tp in still_ours})
        if self.flow_active and not self.app.rebalancing:
            await self._restore_sequence(out_of_sequence)
            await self._fetch_dropped_records_again()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek changelogs for recovery, and count the seek, so that `getmany` drops records fetched before it."""
        for tp, offset in partitions.items():
            count, _ = self._changelog_seeks.get(tp, (0, 0))
            self._changelog_seeks[tp] = (count + 1, offset)
        await super().seek_wait(partitions)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        self._seeks_at_fetch = dict(self._changelog_seeks)
        return await super()._getmany(active_partitions, timeout)

    async def _restore_sequence(self, out_of_sequence: dict[TP, int]) -> None:
        """Seek partitions that delivered a higher offset than expected; seek all of them when one expects none yet.

        A seek that fails is tried again at the next fetch.
        """
        try:
            if self.require_contiguous and any(
                tp.topic in self.source_topics and tp not in self._expected for tp in self._get_active_partitions()
            ):
                # The seek at the end of a rebalance timed out or failed. Faust does not repeat it.
                await self.perform_seek()
                return
            for tp, expected in out_of_sequence.items():
                await self._seek_to_expected(tp, expected)
        except (KafkaError, TimeoutError) as error:
            log.warning("seek_failed", error=f"{type(error).__name__}: {error}")

    async def _fetch_dropped_records_again(self) -> None:
        """Seek partitions whose fetch offset is higher than their expected offset.

        All records of the last fetch have been delivered by now, so the records between the two offsets were dropped.
        """
        if not self.require_contiguous or time.monotonic() - self._offsets_checked_at < OFFSET_CHECK_SECONDS:
            return
        self._offsets_checked_at = time.monotonic()
        try:
            for tp, expected in list(self._expected.items()):
                if tp not in self.assignment() or self._seek_attempts.get(tp, 0) >= MAX_SEEKS_TO_ONE_OFFSET:
                    continue
                if (self.highwater(tp) or 0) <= expected:
                    continue
                position = await self.position(tp)
                if position is not None and position > expected and self._expected.get(tp) == expected:
                    await self._seek_to_expected(tp, expected)
        except (KafkaError, TimeoutError) as error:
            log.warning("position_unknown", error=f"{type(error).__name__}: {error}")

    async def _seek_to_expected(self, tp: TP, expected: int) -> None:
        """Seek to the expected offset, or to the start of the log if retention has removed that record.

        A record that is still missing after MAX_SEEKS_TO_ONE_OFFSET seeks is not in the log. The records after it are
        then delivered, and the contiguity guard of the batch loop stops the worker and names the missing offset.
        """
        earliest = (await self.earliest_offsets(tp)).get(tp) or 0
        if self._expected.get(tp) != expected or tp not in self.assignment():
            return
        if earliest > expected:
            self._report_expired(tp, earliest - expected)
            expected = self.start_offsets[tp] = earliest
        log.info("stale_fetch_dropped", topic=tp.topic, partition=tp.partition, going_on_at=expected)
        self._expected[tp] = expected
        self._seek_attempts[tp] = self._seek_attempts.get(tp, 0) + 1
        await self._seek_in_thread({tp: expected})

    @staticmethod
    def _report_expired(tp: TP, records: int) -> None:
        EXPIRED_BY_RETENTION.labels(topic=tp.topic).inc(records)
        log.error("records_expired_unprocessed", topic=tp.topic, partition=tp.partition, records=records)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.require_contiguous:
            await super()._add_gap(tp, offset_from, offset_to)

    # --- acknowledging and committing

    def ack(self, message: Message) -> bool:
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

    def give_back(self, message: Message) -> None:
        """Stop waiting for a message that will not be acknowledged, so that rebalances and stops do not hang."""
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit: the lowest one that is not acknowledged. None when it has not advanced."""
        if tp not in self.start_offsets or not self.require_contiguous:
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
        """How many records were delivered but not committed: in Faust's queue, with the agent, or acknowledged."""
        expected = self._expected.get(tp)
        return 0 if expected is None else max(expected - self.committed_upto(tp), 0)


def consumer_class(source_topics: frozenset[str], *, require_contiguous: bool) -> type[Consumer]:
    """A consumer class for these source topics.

    Without `require_contiguous` the consumer accepts skipped offsets and commits past them, as Faust does.
    """
    return type(
        "SignalflowConsumer", (Consumer,), {"source_topics": source_topics, "require_contiguous": require_contiguous}
    )
