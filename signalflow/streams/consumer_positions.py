"""Where a consumer begins to read its partitions, and where it reads them again."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

import structlog
from faust.types import TP

from signalflow.domain.positions import Break, PartitionLog, Position, Start, start_of
from signalflow.errors import Retryable
from signalflow.streams.breaks import report_expired
from signalflow.streams.brokers import AWAY
from signalflow.streams.consumer_commits import CommittingConsumer
from signalflow.streams.log_comparison import logs_at

log = structlog.get_logger()

OUTPUTS_LOST = "outputs_lost"


class PositionedConsumer(CommittingConsumer):
    """A consumer that compares the logs of its partitions with its positions, and rewinds where they differ."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # By partition: the connection over which it was fetched when its log was last compared with its position.
        self._connections: dict[TP, object] = {}
        # Where this worker left partitions that were revoked. A topic that is deleted takes the group's commits with
        # it, and brokers that lose their last seconds lose commits as well. Then nothing else tells how far was read.
        self._left_at: dict[TP, Position] = {}

    async def rejoin(self) -> None:
        """Join the group again: a new generation begins, with a recovery and a seek."""
        await self._thread.call_thread(self._thread.rejoin)

    async def perform_seek(self) -> None:
        """Begin to read every source partition. What fails is tried again after the next fetch."""
        self._sequence.forget()
        try:
            await self._start({tp for tp in self.assignment() if tp.topic in self.source_topics})
        except AWAY as error:
            log.warning("seek_failed", error=f"{type(error).__name__}: {error}")

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Deliver nothing until the next seek has set the first offset of each partition."""
        for tp in self.started() & revoked:
            self._left_at[tp] = self.position_at(tp, self.committed_upto(tp))
        self._sequence.forget()
        await super().on_partitions_revoked(revoked)

    async def _start(self, partitions: Collection[TP]) -> None:
        """Begin to read partitions where the group left them, or where their logs make it necessary."""
        if not partitions:
            return
        self._connections.update({tp: self._thread.connection_of(tp) for tp in partitions})
        ids = await self.brokers.topic_ids({tp.topic for tp in partitions})
        left_at = {tp: self._left_at[tp] for tp in partitions if tp in self._left_at}
        commits = await self._thread.committed(partitions)
        committed = left_at | {tp: commit.position for tp, commit in commits.items()}
        reached = {tp: max(left_at.get(tp, position), position, key=_offset) for tp, position in committed.items()}
        known = {tp: reached.get(tp, Position(0)) for tp in partitions if tp.topic in ids}
        logs = await logs_at(self._thread, self.brokers, known, ids)
        starts: dict[TP, Start] = {}
        for tp, log_now in logs.items():
            if tp not in reached:
                starts[tp] = Start(log_now.start)
                continue
            start = start_of(reached[tp], log_now)
            # What was left tells only whether the log was cut. Another worker may have gone back since.
            starts[tp] = start._replace(offset=max(min(start.offset, committed[tp].offset), log_now.start))
            self._report(tp, reached[tp] if start.broken else committed[tp], log_now, starts[tp])
        told = {tp: commit.outputs for tp, commit in commits.items()}
        lost = await self._lost_outputs(self._outputs.ends(starts, told))
        await self._seek_in_thread({tp: start.offset for tp, start in starts.items()})
        self._consumed.note_topics(ids)
        for tp, start in starts.items():
            position = Position(start.offset) if start.broken else committed.get(tp)
            self._committed_offset[tp] = None if position is None else position.offset
            self._consumed.begin(tp, position, ids[tp.topic])
            self._read_from(tp, start.offset)
            self._outputs.begin(tp, start.offset, told.get(tp))
            # Not before: while the topic or the brokers are away, this begins again.
            self._left_at.pop(tp, None)
        await self._make_again(lost)

    def _read_from(self, tp: TP, offset: int) -> None:
        self._read_offset[tp] = offset or None
        self._sequence.begin(tp, offset, self.position_at(tp, offset).timestamp)

    def _report(self, tp: TP, position: Position, log_now: PartitionLog, start: Start) -> None:
        """Report that a partition is not read where it was left, unless it is."""
        if start.broken:
            self._breaks.report_rewind(tp, start.broken, position.offset, start.offset, log=_extent(log_now))
        elif start.offset > position.offset:
            report_expired(tp, start.offset - position.offset)

    def _report_break(self, tp: TP, position: Position, log_now: PartitionLog) -> Start:
        """Where the log goes on after a position from which this worker does not read. Report a break of the log."""
        start = start_of(position, log_now)
        if start.broken:
            self._breaks.report_break(tp, start.broken, position.offset, start.offset, log=_extent(log_now))
        return start

    async def check_kept_positions(self, positions: Mapping[TP, Position]) -> Mapping[TP, Start]:
        """Where the logs go on after positions that are kept elsewhere; report those whose logs were cut since.

        Topics that are not there, or have another id than the position, are left out. Raises Retryable.
        """
        try:
            ids = await self.brokers.topic_ids({tp.topic for tp in positions})
            same = {tp: position for tp, position in positions.items() if position.topic_id == ids.get(tp.topic)}
            logs = await logs_at(self._thread, self.brokers, same, ids)
        except AWAY as error:
            raise Retryable(f"brokers: {type(error).__name__}: {error}") from error
        return {tp: self._report_break(tp, same[tp], log_now) for tp, log_now in logs.items()}

    async def check_positions(self, partitions: Iterable[TP] | None = None) -> None:
        """Compare the logs of partitions (None: of all that are read) with their positions; rewind where they differ.

        Raises one of AWAY when the brokers do not answer.
        """
        if partitions is None:
            await self._report_left()
        checked = self.started() if partitions is None else self.started().intersection(partitions)
        await self._compare({tp: self.position_at(tp, self.committed_upto(tp)) for tp in checked})

    async def _report_left(self) -> None:
        """Report the partitions that this worker left to others, and whose logs are not those that it read.

        Their new owners do not know it when the commits were lost with the records.
        """
        left = {tp: position for tp, position in self._left_at.items() if tp not in self.assignment()}
        if not left:
            return
        ids = await self.brokers.topic_ids({tp.topic for tp in left})
        # A topic that was made anew may have fewer partitions, and no broker would answer for the others.
        same = {tp: position for tp, position in left.items() if position.topic_id == ids.get(tp.topic)}
        logs = await logs_at(self._thread, self.brokers, same, ids)
        for tp, position in left.items():
            if tp.topic not in ids:
                continue
            self._report_break(tp, position, logs.get(tp, PartitionLog(ids[tp.topic], 0, 0)))
            if self._left_at.get(tp) is position:
                del self._left_at[tp]

    async def unproven(self, fetched: Iterable[TP]) -> Collection[TP]:
        """Compare the logs of partitions that are fetched over another connection than before; rewind as needed.

        A log loses records only when its broker is started again or another one leads, and both end the connection.
        When the log has grown past the fetch offset by then, nothing else tells it before the next commit hides it.
        Returns the partitions whose logs could not be compared: what was fetched of them must not be delivered.
        """
        came = self.started().intersection(fetched)
        connections = {tp: self._thread.connection_of(tp) for tp in self.started()}
        changed = {
            tp: connection
            for tp, connection in connections.items()
            # Without a connection only what came over the former one must be held up.
            if (tp in came if connection is None else connection is not self._connections.get(tp))
            or not self._outputs.may_commit(tp)
        }
        if not changed:
            return ()
        delivered: dict[TP, Position] = {}
        for tp in changed:
            # What was delivered reaches further than what was committed, and a cut between the two counts as well.
            expected = self._sequence.expected(tp)
            if expected is not None:
                read_from = self.position_at(tp, expected).topic_id
                delivered[tp] = Position(expected, read_from, self._sequence.time_before(tp))
        try:
            await self._compare(delivered)
        except AWAY as error:
            log.warning("fetch_dropped", error=f"{type(error).__name__}: {error}")
            return changed.keys()
        self._connections.update(changed)
        return ()

    def _new_offset(self, tp: TP) -> int | None:
        """The offset to commit; None until the log was compared over the connection by which it is fetched now.

        Brokers that lost the end of a log lost commits with it. The commit that they kept tells which outputs may be
        lost, and must not be overwritten.
        """
        if tp in self.started():
            connection = self._thread.connection_of(tp)
            if connection is None or connection is not self._connections.get(tp):
                return None
        return super()._new_offset(tp)

    async def _compare(self, positions: Mapping[TP, Position]) -> None:
        """Compare logs with these positions, and rewind where they differ."""
        beginnings = {tp: self._sequence.beginning(tp) for tp in self.started()}
        ids = await self.brokers.topic_ids({tp.topic for tp in positions})
        known = {tp: position for tp, position in positions.items() if tp.topic in ids}
        logs = await logs_at(self._thread, self.brokers, known, ids)
        lost = await self._lost_outputs(self._outputs.ends(logs))
        self._consumed.note_topics(ids)
        starts = {tp: start_of(positions[tp], log_now) for tp, log_now in logs.items()}
        cut = {tp for tp, start in starts.items() if start.broken is Break.LOG_CUT}
        # Brokers that lose the end of a log may lose outputs and commits as well. Their commit is then the lower one.
        kept = await self._thread.committed(cut) if cut else {}
        for tp, start in starts.items():
            log_now = logs[tp]
            # A position that was committed meanwhile proves nothing: it is one of the log after the cut. Where reading
            # has begun anew meanwhile, the log was compared then.
            if not start.broken or self._sequence.beginning(tp) != beginnings.get(tp):
                continue
            going_on_at = start.offset
            if start.broken is Break.LOG_CUT:
                # What was delivered and not committed is read again, too.
                committed = self.committed_upto(tp)
                if tp in kept:
                    committed = min(committed, kept[tp].position.offset)
                going_on_at = max(min(start.offset, committed), log_now.start)
            await self.rewind(
                {tp: going_on_at}, start.broken, committed=positions[tp].offset, topic_id=log_now.topic_id
            )
            beginnings[tp] = self._sequence.beginning(tp)
        await self._make_again(lost, beginnings)

    async def _lost_outputs(self, ends: Mapping[TP, Position]) -> list[TP]:
        """Those of these partitions whose logs do not have any more what was written up to these positions."""
        ids = await self.brokers.topic_ids({tp.topic for tp in ends}) if ends else {}
        known = {tp: end for tp, end in ends.items() if tp.topic in ids}
        logs = await logs_at(self._thread, self.brokers, known, ids)
        beyond = [tp for tp, log_now in logs.items() if known[tp].offset > log_now.end]
        # While another program's transaction is open, our consumer takes its first record for the end.
        real_ends = await self.brokers.log_ends(beyond) if beyond else {}
        lost: list[TP] = []
        for tp, log_now in logs.items():
            is_there = known[tp].offset <= real_ends.get(tp, 0) or not start_of(known[tp], log_now).broken
            if is_there and not self._outputs.is_overwritten(tp):
                continue
            lost.append(tp)
            log.error(
                "outputs_lost",
                topic=tp.topic, partition=tp.partition, written=known[tp].offset, log=_extent(log_now),
            )  # fmt: skip
        return lost

    async def _make_again(self, lost: Collection[TP], beginnings: Mapping[TP, int] | None = None) -> None:
        """Read again what these partitions were written from.

        `beginnings`: how reading had begun when the loss was looked for. What began anew meanwhile is left as it is.
        """
        begun = self.started()
        if beginnings is not None:
            begun = frozenset(tp for tp in begun if self._sequence.beginning(tp) == beginnings.get(tp))
        sources = {output: self._outputs.sources(output, begun) for output in lost}
        partitions = {tp for found in sources.values() for tp in found}
        if not partitions:
            return
        starts = await self._thread.earliest_offsets(*partitions)
        await self._wait_for_commit()
        # Until the rewind has begun nothing may be committed: the last commit tells what is lost.
        for output, found in sources.items():
            if found:
                self._outputs.forget(output)
        again = {tp: max(self._outputs.again_from(tp), starts[tp]) for tp in partitions}
        # Where nothing was read past that offset there is nothing to read again.
        await self.rewind(
            {tp: offset for tp, offset in again.items() if offset < (self._sequence.expected(tp) or 0)}, OUTPUTS_LOST
        )

    async def _wait_for_commit(self) -> None:
        """Wait until no commit is under way: it would put its offsets back into our memory.

        Not by Faust's own wait, which swallows a cancellation.
        """
        while (commit := self._commit_fut) is not None:
            await asyncio.wait({commit})

    async def rewind(
        self, offsets: Mapping[TP, int], reason: str, *, committed: int | None = None, topic_id: UUID | None = None
    ) -> None:
        """Read partitions again from these offsets, which are lower than what was delivered.

        Messages that were delivered before are stale from now on: they are neither processed nor committed.
        `committed`: the offset to report as the one that was reached, where it is not what is committed now.
        `topic_id`: the topic to read from now on; None when it is the same as before.
        """
        await self._wait_for_commit()
        ours = {tp: offset for tp, offset in offsets.items() if tp in self.started()}
        for tp, offset in ours.items():
            reached = self.committed_upto(tp) if committed is None else committed
            self._breaks.report_rewind(tp, reason, reached, offset)
            self._rewinds.note_rewind(tp)
            self._acked.pop(tp, None)
            self._acked_index.pop(tp, None)
            self._consumed.begin(tp, topic_id=topic_id)
            self._committed_offset[tp] = offset
            self._read_from(tp, offset)
            self._outputs.begin(tp, offset)
        if ours:
            await self._seek_in_thread(ours)
            await self._commit_positions(ours)

    async def _seek_in_thread(self, targets: Mapping[TP, int]) -> None:
        """Seek in the consumer's thread. Faust's `seek` runs in our thread and drops records that the fetcher reads."""
        await super().seek_wait(targets)


def _offset(position: Position) -> int:
    return position.offset


def _extent(log_now: PartitionLog) -> str:
    return f"{log_now.start}..{log_now.end}"
