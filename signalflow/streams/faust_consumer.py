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
* Faust takes a committed offset on trust. When the log is shorter than the commit, it waits for that offset and drops
  all records below it. Here each commit names topic and timestamp (signalflow/domain/positions.py), and the log is
  compared with it at each assignment, after each reset of the client and once a minute. A partition whose log is not
  the one that was consumed is rewound.
"""

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.futures import notify

from signalflow.domain.positions import Break, PartitionLog, Position, Start, proven_by_times, start_of
from signalflow.errors import Fatal
from signalflow.metrics import EXPIRED_BY_RETENTION, REWINDS
from signalflow.streams.brokers import AWAY, Brokers
from signalflow.streams.consumed import Consumed, Rewinds
from signalflow.streams.consumer_thread import ConsumerThread

log = structlog.get_logger()

# After a seek, several fetches may still return records that were in memory before it. A record that is still missing
# after this many seeks is not in the log.
MAX_SEEKS_TO_ONE_OFFSET = 3
# Seconds between checks of the fetch offset, for partitions whose log has records that were not delivered.
OFFSET_CHECK_SECONDS = 1.0


def first_offset(message: Message) -> int:
    """The offset of the first record in a message. The message is a run or a single record."""
    return int(message.value[0].offset) if isinstance(message.value, list) else int(message.offset)


@dataclass(frozen=True, slots=True)
class LogBreak:
    """A log that was not the one that was consumed: committed up to an offset, and read on at another one."""

    tp: TP
    reason: str
    committed: int
    going_on_at: int


class _NoReadOffsets(defaultdict[TP, int | None]):
    """Faust's note of what it read last, which never holds anything for source partitions.

    Faust drops a record below its note, and a note that is written after a rewind would make it drop the records that
    the rewind asked for. `getmany` itself drops what was delivered already.
    """

    def __init__(self, source_topics: frozenset[str]) -> None:
        super().__init__(lambda: None)
        self._source_topics = source_topics

    def __getitem__(self, tp: TP) -> int | None:
        return None if tp.topic in self._source_topics else super().__getitem__(tp)


class Consumer(driver.Consumer):
    """The consumer of a worker. `start_offsets`: per source partition, the first offset that the assignment reads."""

    # Set by the subclass that `consumer_class` makes.
    source_topics: frozenset[str] = frozenset()
    require_contiguous = True
    brokers: Brokers

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.start_offsets: dict[TP, int] = {}
        self._expected: dict[TP, int] = {}
        # How often reading a partition began: at an assignment, or at a rewind.
        self._beginnings: Counter[TP] = Counter()
        # By partition, how many seeks to the expected offset have not yet brought the record at that offset.
        self._seek_attempts: dict[TP, int] = {}
        self._offsets_checked_at = 0.0
        self._start_tried_at = 0.0
        # By changelog partition: the number of recovery's seeks and the offset of the last one, now and at the start of
        # the fetch under way.
        self._changelog_seeks: dict[TP, tuple[int, int]] = {}
        self._seeks_at_fetch: dict[TP, tuple[int, int]] = {}
        if self.require_contiguous:
            self._read_offset = _NoReadOffsets(self.source_topics)
        self._consumed = Consumed()
        self._rewinds = Rewinds()
        # Breaks that are not recorded in the database yet.
        self.breaks: list[LogBreak] = []

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

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
        """Begin to read every source partition. What fails is tried again after the next fetch."""
        self._forget_expected_offsets()
        try:
            await self._start({tp for tp in self.assignment() if tp.topic in self.source_topics})
        except AWAY as error:
            log.warning("seek_failed", error=f"{type(error).__name__}: {error}")

    async def _start(self, partitions: Collection[TP]) -> None:
        """Begin to read partitions where the group left them, or where their logs make it necessary."""
        if not partitions:
            return
        ids = await self.brokers.topic_ids({tp.topic for tp in partitions})
        committed = await self._thread.committed_positions(partitions)
        logs = await self._logs({tp: committed.get(tp, Position(0)) for tp in partitions if tp.topic in ids}, ids)
        starts: dict[TP, Start] = {}
        for tp, log_now in logs.items():
            position = committed.get(tp)
            starts[tp] = Start(log_now.start) if position is None else start_of(position, log_now)
            if position is not None:
                self._report(tp, position, log_now, starts[tp])
        targets = {tp: start.offset for tp, start in starts.items()}
        await self._seek_in_thread(targets)
        self._consumed.note_topics(ids)
        for tp, start in starts.items():
            position = Position(start.offset) if start.broken else committed.get(tp)
            self._committed_offset[tp] = None if position is None else position.offset
            self._consumed.begin(tp, position)
            self._read_from(tp, start.offset)
        await self._commit_positions({tp for tp, start in starts.items() if start.broken})

    def _read_from(self, tp: TP, offset: int) -> None:
        self._read_offset[tp] = offset or None
        self.start_offsets[tp] = self._expected[tp] = offset
        self._beginnings[tp] += 1

    async def _commit_positions(self, partitions: Collection[TP]) -> None:
        """Commit what memory says of these partitions, also when it is lower than what is committed."""
        if partitions:
            await self._thread.commit({tp: self.committed_upto(tp) for tp in partitions})

    async def _logs(self, positions: Mapping[TP, Position], ids: Mapping[str, UUID]) -> dict[TP, PartitionLog]:
        """What the brokers say about these positions."""
        if not positions:
            return {}
        # The ends are asked for last: a record that is found by its time lies below them.
        timestamps = {tp: at.timestamp for tp, at in positions.items() if at.timestamp is not None}
        since = await self._thread.first_at(timestamps)
        after = await self._thread.first_at({tp: timestamp + 1 for tp, timestamp in timestamps.items()})
        begins, ends = await self.earliest_offsets(*positions), await self.highwaters(*positions)
        logs: dict[TP, PartitionLog] = {}
        for tp, position in positions.items():
            found = PartitionLog(ids[tp.topic], begins[tp], ends[tp], since.get(tp), after.get(tp))
            if not proven_by_times(position, found):
                found = replace(found, before=await self.brokers.timestamp_at(tp, position.offset - 1))
            logs[tp] = found
        return logs

    def _report(self, tp: TP, position: Position, log_now: PartitionLog, start: Start) -> None:
        """Count and log that a partition is not read where it was left, unless it is."""
        if start.broken:
            self._report_rewind(tp, start.broken, position.offset, start.offset, log=f"{log_now.start}..{log_now.end}")
        elif start.offset > position.offset:
            self._report_expired(tp, start.offset - position.offset)

    def _report_rewind(self, tp: TP, reason: str, committed: int, going_on_at: int, **more: object) -> None:
        REWINDS.labels(topic=tp.topic, reason=reason).inc()
        if isinstance(reason, Break):
            self.breaks.append(LogBreak(tp, reason.value, committed, going_on_at))
        log.error(
            "partition_rewound",
            topic=tp.topic, partition=tp.partition, reason=reason, committed=committed, going_on_at=going_on_at, **more,
        )  # fmt: skip

    async def check_positions(self, partitions: Iterable[TP] | None = None) -> None:
        """Compare the logs of partitions (None: of all that are read) with their positions; rewind where they differ.

        Raises one of AWAY when the brokers do not answer.
        """
        checked = self._expected.keys() if partitions is None else partitions
        positions = {tp: self.position_at(tp, self.committed_upto(tp)) for tp in checked if tp in self._expected}
        beginnings = {tp: self._beginnings[tp] for tp in positions}
        ids = await self.brokers.topic_ids({tp.topic for tp in positions})
        logs = await self._logs({tp: position for tp, position in positions.items() if tp.topic in ids}, ids)
        self._consumed.note_topics(ids)
        for tp, log_now in logs.items():
            start = start_of(positions[tp], log_now)
            # A position that was committed meanwhile proves nothing: it is one of the log after the cut. Where reading
            # has begun anew meanwhile, the log was compared then.
            if start.broken and self._beginnings[tp] == beginnings[tp]:
                await self.rewind({tp: start.offset}, start.broken, committed=positions[tp].offset)

    async def rewind(self, offsets: Mapping[TP, int], reason: str, *, committed: int | None = None) -> None:
        """Read partitions again from these offsets, which are lower than what was delivered.

        Messages that were delivered before are stale from now on: they are neither processed nor committed.
        `committed`: the offset to report as committed, where a later one has been committed since.
        """
        while self._commit_fut is not None:
            # A commit under way would put its offsets back into our memory.
            await self.maybe_wait_for_commit_to_finish()
        ours = {tp: offset for tp, offset in offsets.items() if tp in self._expected}
        for tp, offset in ours.items():
            self._report_rewind(tp, reason, self.committed_upto(tp) if committed is None else committed, offset)
            self._rewinds.note_rewind(tp)
            self._acked.pop(tp, None)
            self._acked_index.pop(tp, None)
            self._seek_attempts.pop(tp, None)
            self._consumed.begin(tp)
            self._committed_offset[tp] = offset
            self._read_from(tp, offset)
        if ours:
            await self._seek_in_thread(ours)
            await self._commit_positions(ours)

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust's check warns falsely of idle topics, and fails while aiokafka looks for a fetch offset."""

    def is_stale(self, message: Any) -> bool:
        """Whether the message's partition was rewound after the message was delivered."""
        return self._rewinds.is_stale(message)

    def started(self) -> frozenset[TP]:
        """The source partitions that are read now."""
        return frozenset(self._expected)

    def topic_id(self, topic: str) -> UUID | None:
        """The id of a source topic; None before the first assignment."""
        return self._consumed.topic_id(topic)

    def position_at(self, tp: TP, offset: int) -> Position:
        """The position at an offset that was committed, or may be."""
        return self._consumed.position(tp, offset)

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
        reset: dict[TP, int] = {}
        overtaken_by_seek: set[TP] = set()
        async for tp, message in super().getmany(timeout):
            if tp.topic not in self.source_topics or not self.require_contiguous:
                if tp in overtaken_by_seek or self._changelog_seeks.get(tp) != self._seeks_at_fetch.get(tp):
                    overtaken_by_seek.add(tp)
                else:
                    yield tp, message
                continue
            expected = self._expected.get(tp)
            if expected is None or tp in out_of_sequence or tp in reset:
                continue
            first = first_offset(message)
            if first < expected:
                # It was in memory when a seek happened, or aiokafka went back to the start of the log because the log
                # had no record at the fetch offset. The records after the expected offset are fetched again.
                reset[tp] = expected
                continue
            if first > expected and self._seek_attempts.get(tp, 0) < MAX_SEEKS_TO_ONE_OFFSET:
                out_of_sequence[tp] = expected
                continue
            self._seek_attempts.pop(tp, None)
            self._expected[tp] = message.offset + 1
            self._rewinds.note_delivery(tp, message)
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
            await self._restore_sequence(out_of_sequence, reset)
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

    async def _restore_sequence(self, out_of_sequence: Mapping[TP, int], reset: Mapping[TP, int]) -> None:
        """Seek partitions that delivered a higher offset than expected, and those that expect none yet.

        Compare the logs of partitions that delivered lower offsets with their positions. What fails is tried again
        after a later fetch.
        """
        try:
            active = {tp for tp in self._get_active_partitions() if tp.topic in self.source_topics}
            if self.require_contiguous and (not_started := active - self._expected.keys()):
                # The seek at the end of a rebalance timed out or failed, or the topic was away.
                await self._start_again(not_started)
            for tp, expected in out_of_sequence.items():
                await self._seek_to_expected(tp, expected)
            if reset:
                await self.check_positions(reset)
            for tp, expected in reset.items():
                if (await self.position(tp) or 0) != expected:
                    await self._seek_to_expected(tp, expected)
        except AWAY as error:
            log.warning("seek_failed", error=f"{type(error).__name__}: {error}")

    async def _start_again(self, partitions: Collection[TP]) -> None:
        if time.monotonic() - self._start_tried_at >= OFFSET_CHECK_SECONDS:
            self._start_tried_at = time.monotonic()
            await self._start(partitions)

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
        except AWAY as error:
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
        if self.is_stale(message):
            notify(self._waiting_for_ack)
            return False
        tp = message.tp
        committed, index = self._committed_offset[tp], self._acked_index[tp]
        floor = -1 if committed is None else committed
        offsets = [record.offset for record in message.value if record.offset >= floor and record.offset not in index]
        index.update(offsets)
        self._acked[tp].extend(offsets)
        self._n_acked += len(offsets)
        self._consumed.acknowledge(tp, message.offset + 1, message.value[-1].timestamp)
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
        self._consumed.pass_over(tp, begin, upto)
        return upto if upto > begin else None

    async def oldest_unprocessed(self, partitions: Collection[TP]) -> dict[TP, int]:
        """By partition, the timestamp of the first record that is not committed yet, in milliseconds.

        Records of the same millisecond as the last committed one are passed over.
        """
        committed = {tp: self.position_at(tp, self.committed_upto(tp)).timestamp for tp in partitions}
        found = await self._thread.first_at({tp: 0 if at is None else at + 1 for tp, at in committed.items()})
        return {tp: record.timestamp for tp, record in found.items() if record is not None}

    def committed_upto(self, tp: TP) -> int:
        """The offset that a restart would read next."""
        committed = self._committed_offset[tp]
        return committed if committed is not None else self.start_offsets.get(tp, 0)

    def held(self, tp: TP) -> int:
        """How many records were delivered but not committed: in Faust's queue, with the agent, or acknowledged."""
        expected = self._expected.get(tp)
        return 0 if expected is None else max(expected - self.committed_upto(tp), 0)


def consumer_class(source_topics: frozenset[str], brokers: Brokers, *, require_contiguous: bool) -> type[Consumer]:
    """A consumer class for these source topics, which asks `brokers` what Faust's client does not know.

    Without `require_contiguous` the consumer accepts skipped offsets and commits past them, as Faust does.
    """
    return type(
        "SignalflowConsumer",
        (Consumer,),
        {"source_topics": source_topics, "require_contiguous": require_contiguous, "brokers": brokers},
    )
