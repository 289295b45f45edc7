"""Reads topics as an observer: it joins no consumer group and commits nothing.

While the pipeline runs, the table stored_positions says in the same snapshot as the rows how far the enriched topic is
stored, and the `source` of enriched records names the raw records. Each worker writes its outputs in the order of the
raw topic, from a committed offset on. The greatest source below the stored position therefore covers all raw records
before it. When all enriched records are stored, the committed offset of the raw topic is the answer.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from signalflow.kafka.reader import KafkaRecord, Offsets, group_offsets, open_reader
from signalflow.settings import Settings
from signalflow.verify.expect import CLOCKS_AGREE

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
RECORDS_AT_ONCE = 5_000
# The last records are enough: a smaller source only makes the answer more cautious.
_LAST_RECORDS = 1_000


@dataclass(frozen=True)
class Committed:
    """Offsets by partition. Raw records below `enriched` have been processed, with outputs below `enriched_ends`.

    Enriched records below `written` are in the tables, dead letters below `letters` in dlq_events. None: no agent reads
    the dead-letter topic.
    """

    enriched: Offsets
    enriched_ends: Offsets
    written: Offsets
    letters: Offsets | None


@dataclass(frozen=True)
class Extent:
    """Offsets to read, by partition, from `begins` to below `ends`. Records below `counted` are checked (None: all).

    `start`: records before this moment are not read. None: the topic is read from its first record. Of partitions in
    `emptied` the log has lost all records, and does not tell from when; their values are the offsets of the next ones.
    """

    begins: Offsets
    ends: Offsets
    counted: Offsets | None
    start: datetime | None
    emptied: Offsets = field(default_factory=dict)


class TopicLog:
    """One Kafka, read from outside.

    Every method raises Retryable when Kafka does not answer, and Fatal when it refuses the connection settings or the
    topic does not exist.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings, self._group = settings, group

    async def committed(self, raw: str, enriched: str, dlq: str) -> Committed:
        """How far the group has come. Ask this before reading the database, which holds at least this much then."""
        decided = await group_offsets(self._settings, self._group)
        async with open_reader(self._settings, enriched) as reader:
            ends = await reader.ends()
        # Read after the ends, so that it may cover all that was enriched when the raw offsets were committed.
        written = await group_offsets(self._settings, self._group)
        letters = {partition: offset for (topic, partition), offset in written.items() if topic == dlq}
        return Committed(
            enriched={partition: decided.get((raw, partition), 0) for partition in ends},
            enriched_ends=ends,
            written={partition: written.get((enriched, partition), 0) for partition in ends},
            letters=letters or None,
        )

    async def reached(self, topic: str) -> Offsets:
        """How far the group has come in a topic. Ask this before reading the database, as with `committed`."""
        offsets = await group_offsets(self._settings, self._group)
        return {partition: offset for (of, partition), offset in offsets.items() if of == topic}

    async def stored(
        self, enriched: str, committed: Committed, up_to: Offsets, broken: datetime | None = None
    ) -> Offsets:
        """Raw records below these offsets are in the tables, when the enriched records below `up_to` are.

        `broken`: when the raw log was last found broken; the sources of older records are not in it.
        """
        ends = committed.enriched_ends
        behind = {p: offset for p in ends if (offset := up_to.get(p, 0)) < ends[p]}
        stored = await self._after_sources(enriched, behind, _BEGIN if broken is None else broken + CLOCKS_AGREE)
        return stored | {p: offset for p, offset in committed.enriched.items() if p not in behind}

    async def _after_sources(self, enriched: str, up_to: Offsets, since: datetime) -> Offsets:
        """The raw offset after the greatest source of the last enriched records below `up_to`; 0 without records.

        Records that the brokers got before `since` do not count.
        """
        after = dict.fromkeys(up_to, 0)
        if not up_to:
            return after
        async with open_reader(self._settings, enriched) as reader:
            found = await reader.begins()
        begins = {partition: max(found[partition], end - _LAST_RECORDS) for partition, end in up_to.items()}
        async for records in self.records(enriched, Extent(begins, up_to, None, None)):
            for record in records:
                if _BEGIN + timedelta(milliseconds=record.timestamp) < since:
                    continue
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    source = int(json.loads(record.value or b"")["source"]["offset"])
                    after[record.partition] = max(after[record.partition], source + 1)
        return after

    async def extent(self, topic: str, since: datetime | None = None, until: datetime | None = None) -> Extent:
        """What to read of a topic: from its beginning, or from the first record at `since`, to its present end."""
        async with open_reader(self._settings, topic) as reader:
            begins, ends = await reader.begins(), await reader.ends()
            start, counted, emptied = since, None, {}
            if trimmed := [partition for partition, begin in begins.items() if begin]:
                first = await reader.first_since(_BEGIN)
                emptied = {partition: ends[partition] for partition in trimmed if partition not in first}
                start = latest(since, *(first[partition].at for partition in trimmed if partition in first))
            if since is not None:
                begins = ends | {p: record.offset for p, record in (await reader.first_since(since)).items()}
            if until is not None:
                counted = ends | {p: record.offset for p, record in (await reader.first_since(until)).items()}
        return Extent(begins, ends, counted, start, emptied)

    async def records(self, topic: str, extent: Extent) -> AsyncIterator[list[KafkaRecord]]:
        """The records of an extent in lists. Each partition's records come in offset order."""
        async with open_reader(self._settings, topic) as reader:
            async for records in reader.stretch(extent.begins, extent.ends, at_once=RECORDS_AT_ONCE):
                yield records


def latest(*moments: datetime | None) -> datetime | None:
    """The latest of the moments that are known."""
    return max((moment for moment in moments if moment is not None), default=None)
