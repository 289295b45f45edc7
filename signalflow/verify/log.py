"""Reads topics as an observer: it joins no consumer group and commits nothing.

While the pipeline runs, the committed offsets say which raw records must be in the tables. The sink has stored the
enriched records below its committed offset, and their `source` names the raw records. Each worker writes its outputs in
the order of the raw topic, from a committed offset on. The greatest source below the sink's offset therefore covers all
raw records before it. When the sink has committed all enriched records, the committed offset of the raw topic is the
answer.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from signalflow.kafka.reader import KafkaRecord, Offsets, group_offsets, open_reader
from signalflow.settings import Settings

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
RECORDS_AT_ONCE = 5_000
# The last records are enough: a smaller source only makes the answer more cautious.
_LAST_RECORDS = 1_000


@dataclass(frozen=True)
class Committed:
    """Offsets by partition. Raw records below `enriched` have been processed; those below `stored` are in the tables.

    Dead letters below `letters` are in dlq_events. None: no agent reads the dead-letter topic.
    """

    enriched: Offsets
    stored: Offsets
    letters: Offsets | None


@dataclass(frozen=True)
class Extent:
    """Offsets to read, by partition, from `begins` to below `ends`. Records below `counted` are checked (None: all).

    `start`: records before this moment are not read. None: the topic is read from its first record.
    """

    begins: Offsets
    ends: Offsets
    counted: Offsets | None
    start: datetime | None


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
        up_to = {partition: written.get((enriched, partition), 0) for partition in ends}
        behind = {partition: offset for partition, offset in up_to.items() if offset < ends[partition]}
        stored = await self._after_sources(enriched, behind)
        stored |= {partition: decided.get((raw, partition), 0) for partition in ends.keys() - behind.keys()}
        letters = {partition: offset for (topic, partition), offset in written.items() if topic == dlq}
        return Committed({p: decided.get((raw, p), 0) for p in stored}, stored, letters or None)

    async def _after_sources(self, enriched: str, up_to: Offsets) -> Offsets:
        """The raw offset after the greatest source of the last enriched records below `up_to`; 0 without records."""
        after = dict.fromkeys(up_to, 0)
        if not up_to:
            return after
        async with open_reader(self._settings, enriched) as reader:
            found = await reader.begins()
        begins = {partition: max(found[partition], end - _LAST_RECORDS) for partition, end in up_to.items()}
        async for records in self.records(enriched, Extent(begins, up_to, None, None)):
            for record in records:
                with suppress(ValueError, KeyError, TypeError):
                    source = int(json.loads(record.value or b"")["source"]["offset"])
                    after[record.partition] = max(after[record.partition], source + 1)
        return after

    async def extent(self, topic: str, since: datetime | None = None, until: datetime | None = None) -> Extent:
        """What to read of a topic: from its beginning, or from the first record at `since`, to its present end."""
        async with open_reader(self._settings, topic) as reader:
            begins, ends = await reader.begins(), await reader.ends()
            start, counted = since, None
            if since is not None:
                begins = ends | {p: record.offset for p, record in (await reader.first_since(since)).items()}
            elif any(begins.values()):
                first = await reader.first_since(_BEGIN)
                start = max((first[p].at for p, begin in begins.items() if begin and p in first), default=_BEGIN)
            if until is not None:
                counted = ends | {p: record.offset for p, record in (await reader.first_since(until)).items()}
        return Extent(begins, ends, counted, start)

    async def records(self, topic: str, extent: Extent) -> AsyncIterator[list[KafkaRecord]]:
        """The records of an extent in lists. Each partition's records come in offset order."""
        async with open_reader(self._settings, topic) as reader:
            async for records in reader.stretch(extent.begins, extent.ends, at_once=RECORDS_AT_ONCE):
                yield records
