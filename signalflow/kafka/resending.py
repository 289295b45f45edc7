"""Sends records of a topic to the same topic again, so that whoever reads it processes them once more."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from signalflow.domain.backoff import WHILE_AWAY
from signalflow.domain.pace import Pace
from signalflow.errors import Invalid, Retryable
from signalflow.kafka.producer import Outgoing, Sender, partition_for, send_or_reject
from signalflow.kafka.reader import KafkaRecord, Offsets, TopicReader
from signalflow.lineage import ATTEMPT_HEADER, ORIGIN_HEADER

# The header of a record that was sent again: partition and offset of the one before.
COPY_HEADER = "replay_of"
AT_ONCE = 1000
# Links to a dead letter belong to the first record: a second one would settle the letter again.
_NOT_COPIED = frozenset({ATTEMPT_HEADER, ORIGIN_HEADER, COPY_HEADER})

Moment = datetime | int
"""A time, or an offset of one partition."""
Judge = Callable[[KafkaRecord], str | None]
"""Why a record is left out; None: it is sent."""


@dataclass(frozen=True)
class Stretch:
    """What to send again, by partition: from `begins` to below `ends`. `kept_from`: the first offsets of the topic."""

    begins: Offsets
    ends: Offsets
    kept_from: Offsets

    @property
    def offsets(self) -> int:
        """How many offsets it has; some of them may hold no record."""
        return sum(self.ends[partition] - begin for partition, begin in self.begins.items())


@dataclass
class Resent:
    """What became of a stretch. `left_out`: records by the reason; a `copy` is one whose original the topic has."""

    read: int = 0
    sent: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


async def stretch_of(
    reader: TopicReader, since: Moment, until: Moment | None = None, partition: int | None = None
) -> Stretch:
    """The records from `since` to before `until`, of all partitions or of one; without `until` to the present end.

    A time is that at which the brokers got a record. Raises Invalid when there is no such partition or offset, and
    what `TopicReader.partitions` raises.
    """
    kept_from, ends = await reader.begins(), await reader.ends()
    partitions = sorted(kept_from)
    if partition is not None:
        if partition not in kept_from:
            raise Invalid(f"{reader.topic} has no partition {partition}", field="partition")
        partitions = [partition]
        if isinstance(since, int) and since < kept_from[partition]:
            raise Invalid(
                f"partition {partition} of {reader.topic} begins at offset {kept_from[partition]}; what was before it "
                "is gone",
                field="from",
            )
    first = await _offsets_at(reader, since, ends)
    last = ends if until is None else await _offsets_at(reader, until, ends)
    begins = {number: min(max(first[number], kept_from[number]), ends[number]) for number in partitions}
    return Stretch(
        begins=begins,
        ends={number: max(begins[number], min(last[number], ends[number])) for number in partitions},
        kept_from=kept_from,
    )


async def _offsets_at(reader: TopicReader, moment: Moment, ends: Offsets) -> Offsets:
    if isinstance(moment, int):
        return dict.fromkeys(ends, moment)
    return ends | {partition: record.offset for partition, record in (await reader.first_since(moment)).items()}


async def resend(
    reader: TopicReader,
    stretch: Stretch,
    judge: Judge,
    sender: Sender | None,
    *,
    pace: Pace | None = None,
    progress: Callable[[Resent], None] = lambda _: None,
) -> Resent:
    """Send the records of a stretch again, in offset order within a partition. Without a sender they are only counted.

    Raises Retryable when the brokers give no records; an outage of the brokers while it sends is waited for.
    """
    done, pace = Resent(), pace or Pace(0)
    partitions = len(stretch.kept_from)
    at_once = AT_ONCE if sender is None else pace.at_once(AT_ONCE)
    async for records in reader.stretch(stretch.begins, stretch.ends, at_once=at_once):
        wanted = []
        for record in records:
            done.read += 1
            reason = "copy" if _has_its_original(record, stretch.kept_from) else judge(record)
            if reason:
                done.left_out[reason] += 1
            else:
                wanted.append(record)
        if sender is not None and wanted:
            await asyncio.sleep(pace.wait(len(wanted), time.monotonic()))
            refused = await _send_all(sender, reader.topic, wanted, partitions)
            done.left_out.update({"refused": refused} if refused else {})
            done.sent += len(wanted) - refused
        progress(done)
    return done


def is_copy(record: KafkaRecord) -> bool:
    """Whether a replay sent the record once more."""
    return any(name == COPY_HEADER for name, _ in record.headers)


def _has_its_original(record: KafkaRecord, kept_from: Offsets) -> bool:
    """Whether a record is a copy, and the topic still has what it is a copy of."""
    for name, value in record.headers:
        if name == COPY_HEADER:
            partition, _, offset = (value or b"").partition(b":")
            if partition.isdigit() and offset.isdigit():
                return int(offset) >= kept_from.get(int(partition), 0)
    return False


async def _send_all(sender: Sender, topic: str, records: Sequence[KafkaRecord], partitions: int) -> int:
    """Send copies until the brokers have confirmed them. Returns how many the topic does not take."""
    batches: dict[int, list[Outgoing]] = {}
    for record in records:
        # As every producer of the key chooses it: there the record finds its post's state.
        partition = record.partition if record.key is None else partition_for(record.key, partitions)
        batches.setdefault(partition, []).append(_copy(record))
    failures = 0
    while True:
        try:
            return len(await send_or_reject(sender, topic, batches))
        except Retryable:
            failures += 1
            await asyncio.sleep(WHILE_AWAY.after(failures))


def _copy(record: KafkaRecord) -> Outgoing:
    headers = [(name, bytes(value or b"")) for name, value in record.headers if name not in _NOT_COPIED]
    return Outgoing(record.key, record.value, [*headers, (COPY_HEADER, f"{record.partition}:{record.offset}".encode())])
