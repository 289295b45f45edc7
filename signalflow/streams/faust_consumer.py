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
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

import structlog
from faust.types import TP, Message

from signalflow.errors import Fatal
from signalflow.streams.breaks import report_expired
from signalflow.streams.brokers import AWAY, Brokers
from signalflow.streams.changelog_seeks import ChangelogSeeks
from signalflow.streams.consumer_positions import PositionedConsumer
from signalflow.streams.outputs import OutputLogs
from signalflow.streams.sequence import Place

log = structlog.get_logger()

# Seconds between checks of the fetch offset, for partitions whose log has records that were not delivered.
OFFSET_CHECK_SECONDS = 1.0


def first_offset(message: Message) -> int:
    """The offset of the first record in a message. The message is a run or a single record."""
    return int(message.value[0].offset) if isinstance(message.value, list) else int(message.offset)


class Consumer(PositionedConsumer):
    """The consumer of a worker: it delivers each partition in its sequence."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offsets_checked_at = 0.0
        self._start_tried_at = 0.0
        self._changelog_seeks = ChangelogSeeks()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:
        """The messages of one fetch, except those out of their partition's sequence.

        Raises Fatal when the fetch loop has ended.
        """
        ahead: dict[TP, int] = {}
        below: dict[TP, int] = {}
        overtaken: set[TP] = set()
        async for tp, message in super().getmany(timeout):
            if tp.topic not in self.source_topics or not self.contiguity_guard:
                if tp in overtaken or self._changelog_seeks.has_overtaken(tp):
                    overtaken.add(tp)
                else:
                    yield tp, message
                continue
            if tp in ahead or tp in below:
                continue
            place, expected = self._sequence.place(tp, first_offset(message)), self._sequence.expected(tp)
            if place is Place.NOT_READ or expected is None:
                continue
            if place is Place.BELOW:
                # It was in memory when a seek happened, or aiokafka went back to the start of the log because the log
                # had no record at the fetch offset. The records from the expected offset on are fetched again.
                below[tp] = expected
            elif place is Place.AHEAD:
                ahead[tp] = expected
            else:
                self._sequence.deliver(tp, message.offset, message.value[-1].timestamp)
                self._rewinds.note_delivery(tp, message)
                yield tp, message
        if self._thread.has_ended and not self.app.should_stop:
            raise Fatal("the consumer fetches no more: its loop ended with the error above; start the worker again")
        if overtaken:
            # A seek happened during the fetch. The records do not show whether they were fetched before or after it, so
            # fetch all of them again.
            log.info("stale_changelog_fetch_dropped", partitions=len(overtaken))
            await self.seek_wait(self._changelog_seeks.last_offsets(overtaken & self.assignment()))
        if self.flow_active and not self.app.rebalancing:
            await self._restore_sequence(ahead, below)
            await self._fetch_dropped_records_again()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Seek changelogs for recovery, and count the seek, so that `getmany` drops records fetched before it."""
        self._changelog_seeks.note(partitions)
        await super().seek_wait(partitions)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        self._changelog_seeks.fetch_begins()
        fetched = await super()._getmany(active_partitions, timeout)
        # What is left out here is fetched again, as it is missing in the sequence.
        dropped = await self.unproven(fetched)
        return {tp: records for tp, records in fetched.items() if tp not in dropped}

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: Faust's check warns falsely of idle topics, and fails while aiokafka looks for a fetch offset."""

    async def _restore_sequence(self, ahead: Mapping[TP, int], below: Mapping[TP, int]) -> None:
        """Seek partitions that delivered a higher offset than expected, and those that expect none yet.

        Compare the logs of partitions that delivered lower offsets with their positions. What fails is tried again
        after a later fetch.
        """
        try:
            active = {tp for tp in self._get_active_partitions() if tp.topic in self.source_topics}
            if self.contiguity_guard and (not_started := active - self.started()):
                # The seek at the end of a rebalance timed out or failed, or the topic was away.
                await self._start_again(not_started)
            for tp, expected in ahead.items():
                await self._seek_to_expected(tp, expected)
            if below:
                await self.check_positions(below)
            for tp, expected in below.items():
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
        if not self.contiguity_guard or time.monotonic() - self._offsets_checked_at < OFFSET_CHECK_SECONDS:
            return
        self._offsets_checked_at = time.monotonic()
        try:
            for tp in self.started():
                expected = self._sequence.expected(tp)
                if expected is None or tp not in self.assignment() or not self._sequence.may_seek(tp):
                    continue
                if (self.highwater(tp) or 0) <= expected:
                    continue
                position = await self.position(tp)
                if position is not None and position > expected and self._sequence.expected(tp) == expected:
                    await self._seek_to_expected(tp, expected)
        except AWAY as error:
            log.warning("position_unknown", error=f"{type(error).__name__}: {error}")

    async def _seek_to_expected(self, tp: TP, expected: int) -> None:
        """Seek to the expected offset, or to the start of the log if retention has removed that record.

        A record that is still missing after a few seeks is not in the log. The records after it are then delivered, and
        the contiguity guard of the batch loop stops the worker and names the missing offset.
        """
        earliest = (await self.earliest_offsets(tp)).get(tp) or 0
        if self._sequence.expected(tp) != expected or tp not in self.assignment():
            return
        if earliest > expected:
            report_expired(tp, earliest - expected)
            expected = earliest
            self._sequence.skip_to(tp, expected)
        log.info("stale_fetch_dropped", topic=tp.topic, partition=tp.partition, going_on_at=expected)
        self._sequence.note_seek(tp)
        await self._seek_in_thread({tp: expected})


def consumer_class(
    source_topics: frozenset[str],
    brokers: Brokers,
    *,
    contiguity_guard: bool,
    outputs: OutputLogs | None = None,
) -> type[Consumer]:
    """A consumer class for these source topics, which asks `brokers` what Faust's client does not know.

    `outputs`: what the agents write, which is compared with what is committed.
    Without `contiguity_guard` the consumer accepts skipped offsets and commits past them, as Faust does.
    """
    return type(
        "SignalflowConsumer",
        (Consumer,),
        {
            "source_topics": source_topics,
            "contiguity_guard": contiguity_guard,
            "brokers": brokers,
            "outputs": outputs,
        },
    )
