"""What a consumer may commit: the end of what was acknowledged without a hole, with the position that it stands for."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode.utils.futures import notify

from signalflow.domain.positions import Position
from signalflow.streams.breaks import Breaks, LogBreak
from signalflow.streams.brokers import Brokers
from signalflow.streams.consumed import Consumed, Rewinds
from signalflow.streams.consumer_thread import ConsumerThread
from signalflow.streams.faust_types import RunMessage
from signalflow.streams.outputs import OutputLogs
from signalflow.streams.sequence import Sequence
from signalflow.streams.written import Written


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


class CommittingConsumer(driver.Consumer):
    """Faust's consumer with our thread, and with commits that name positions and pass no record.

    `start_offsets`: per source partition, the first offset that the assignment reads.
    """

    # Set by the subclass that `consumer_class` makes.
    source_topics: frozenset[str] = frozenset()
    contiguity_guard = True
    brokers: Brokers
    outputs: OutputLogs | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sequence = Sequence()
        self.start_offsets = self._sequence.start_offsets
        self._consumed = Consumed()
        self._rewinds = Rewinds()
        self._breaks = Breaks()
        self._outputs = self.outputs or OutputLogs(Written(), {})
        if self.contiguity_guard:
            self._read_offset = _NoReadOffsets(self.source_topics)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def member_until(self) -> float:
        """Until when, by `clock.steady`, this worker is surely a member of its group; -inf before its first heartbeat.

        The coordinator gives a member up when it hears nothing for the session timeout, or when the member does not
        join a new generation within the rebalance timeout.
        """
        conf = self.app.conf
        return float(self._thread.heartbeat_at + min(conf.broker_session_timeout, conf.broker_rebalance_timeout))

    def is_stale(self, message: RunMessage) -> bool:
        """Whether the message's partition was rewound after the message was delivered."""
        return self._rewinds.is_stale(message)

    def started(self) -> frozenset[TP]:
        """The source partitions that are read now."""
        return self._sequence.partitions()

    def topic_id(self, topic: str) -> UUID | None:
        """The id of a source topic; None before the first assignment."""
        return self._consumed.topic_id(topic)

    def topic_read(self, tp: TP) -> UUID | None:
        """The id of the topic that is read in a partition; None before its first assignment."""
        return self._consumed.topic_read(tp)

    def position_at(self, tp: TP, offset: int) -> Position:
        """The position at an offset that was committed, or may be."""
        return self._consumed.position(tp, offset)

    def metadata_at(self, tp: TP, offset: int) -> str:
        """The text that a commit of this offset carries. Called in the consumer's thread."""
        position, outputs = self.position_at(tp, offset), self._outputs.of(tp)
        return position.metadata() + (outputs.metadata() if outputs and position.topic_id else "")

    def may_commit(self, tp: TP) -> bool:
        """Whether a commit hides no loss of outputs. Called in the consumer's thread."""
        return self._outputs.may_commit(tp)

    def note_commit(self, tp: TP, offset: int) -> None:
        """The brokers have this commit. Called in the consumer's thread."""
        self._outputs.note_commit(tp, offset)

    def committed_upto(self, tp: TP) -> int:
        """The offset that a restart would read next."""
        committed = self._committed_offset[tp]
        return committed if committed is not None else self.start_offsets.get(tp, 0)

    def held(self, tp: TP) -> int:
        """How many records were delivered but not committed: in Faust's queue, with the agent, or acknowledged."""
        expected = self._sequence.expected(tp)
        return 0 if expected is None else max(expected - self.committed_upto(tp), 0)

    async def oldest_unprocessed(self, partitions: Collection[TP]) -> dict[TP, int]:
        """By partition, the timestamp of the first record that is not committed yet, in milliseconds.

        Records of the same millisecond as the last committed one are passed over.
        """
        committed = {tp: self.position_at(tp, self.committed_upto(tp)).timestamp for tp in partitions}
        found = await self._thread.first_at({tp: 0 if at is None else at + 1 for tp, at in committed.items()})
        return {tp: record.timestamp for tp, record in found.items() if record is not None}

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
        if self._breaks.withhold(tp) or not self._outputs.may_commit(tp):
            return None
        if tp not in self.start_offsets or not self.contiguity_guard:
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

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if not self.contiguity_guard:
            await super()._add_gap(tp, offset_from, offset_to)

    async def _commit_positions(self, partitions: Collection[TP]) -> None:
        """Commit what memory says of these partitions, also when it is lower than what is committed."""
        offsets = {tp: self.committed_upto(tp) for tp in partitions if not self._breaks.withhold(tp)}
        if offsets:
            await self._thread.commit(offsets)

    def unrecorded_breaks(self) -> list[LogBreak]:
        """The breaks of logs that the database does not know yet, in the order in which they were noticed."""
        return self._breaks.unrecorded()

    async def note_recorded(self, found: LogBreak) -> None:
        """The database knows the break: from now on its partition is committed again."""
        self._breaks.note_recorded(found)
        if found.tp in self.started():
            await self._commit_positions({found.tp})
