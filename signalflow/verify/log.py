"""The topics as an observer reads them: no consumer group joined, nothing committed.

How far the tables must be, while everything runs: the group's committed offset of the enriched topic says what the sink has stored,
and the `source` of the enriched records below it says which raw records those were. Every worker writes its outputs in the order of
the raw topic from a committed offset on, so the greatest source seen there covers all raw records before it. Where the sink has
committed all that was enriched, the committed offset of the raw topic says so directly.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from signalflow.kafka.reader import Offsets, Record, group_offsets, open_reader
from signalflow.settings import Settings

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
RECORDS_AT_ONCE = 5_000
# The last sources are enough: an older one only makes the answer more cautious.
_LAST_RECORDS = 1_000


@dataclass(frozen=True)
class Committed:
    """By partition: the raw offsets below which every record is decided, and below which its effect is in the tables; and the
    offsets of the dead-letter topic below which `dlq_events` has everything (None: nobody reads it)."""

    enriched: Offsets
    stored: Offsets
    letters: Offsets | None


@dataclass(frozen=True)
class Extent:
    """Offsets to read, by partition: from `begins` to below `ends`; those below `counted` are asked about (None: all).

    `start`: the moment before which records exist or existed that are not read; None when the topic is read from its very beginning.
    """

    begins: Offsets
    ends: Offsets
    counted: Offsets | None
    start: datetime | None


class Log:
    """One Kafka, read from outside.

    Every method raises Retryable when it does not answer, Fatal when it refuses the connection settings or has no such topic.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._settings, self._group = settings, group

    async def committed(self, raw: str, enriched: str, dlq: str) -> Committed:
        """How far the group has come. Ask before looking at the database, which holds at least this from then on."""
        decided = await group_offsets(self._settings, self._group)
        async with open_reader(self._settings, enriched) as reader:
            ends = await reader.ends()
        # After the ends: what is committed by now may cover all that was enriched when the raw offsets were committed.
        written = await group_offsets(self._settings, self._group)
        up_to = {partition: written.get((enriched, partition), 0) for partition in ends}
        behind = {partition: offset for partition, offset in up_to.items() if offset < ends[partition]}
        stored = await self._after_sources(enriched, behind)
        stored |= {partition: decided.get((raw, partition), 0) for partition in ends.keys() - behind.keys()}
        letters = {partition: offset for (topic, partition), offset in written.items() if topic == dlq}
        return Committed({p: decided.get((raw, p), 0) for p in stored}, stored, letters or None)

    async def _after_sources(self, enriched: str, up_to: Offsets) -> Offsets:
        """The raw offset after the greatest source among the last enriched records below `up_to`; 0 where there are none."""
        after = dict.fromkeys(up_to, 0)
        if not up_to:
            return after
        async with open_reader(self._settings, enriched) as reader:
            found = await reader.begins()
        begins = {partition: max(found[partition], end - _LAST_RECORDS) for partition, end in up_to.items()}
        async for records in self.records(enriched, Extent(begins, up_to, None, None)):
            for record in records:
                with suppress(ValueError, KeyError, TypeError):
                    source = int(json.loads(record.value)["source"]["offset"])
                    after[record.partition] = max(after[record.partition], source + 1)
        return after

    async def extent(self, topic: str, since: datetime | None = None, until: datetime | None = None) -> Extent:
        """What to read of a topic: all of it, or from the first record at `since` on; always to its end as it is now."""
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

    async def records(self, topic: str, extent: Extent) -> AsyncIterator[list[Record]]:
        """The records of an extent in portions, each partition's in offset order."""
        async with open_reader(self._settings, topic) as reader:
            async for records in reader.stretch(extent.begins, extent.ends, at_once=RECORDS_AT_ONCE):
                yield records
