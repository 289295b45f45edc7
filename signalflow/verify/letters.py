"""Compares dead letters with the log, and table dlq_events with the dead-letter topic."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any
from uuid import UUID

from signalflow.kafka.reader import KafkaRecord
from signalflow.verify.expect import CLOCKS_AGREE, Expected, digest
from signalflow.verify.report import Missing, TableReport

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
# The original headers come first and may have any name. The headers of the dead letter follow, and this is their first.
_FIRST_OF_OURS = "dlq_topic"
_NOT_WHOLE = frozenset({"dlq_truncated", "dlq_headers_dropped", "dlq_unreadable"})
_IN_DOUBT = frozenset({"write", "decode"})
# Stages and kinds of errors that come from servers: brokers that refuse an output, a database that is too slow for one
# row. The record does not tell whether they were right.
_OF_SERVERS = frozenset({("enrich", "Invalid"), ("write", "TooSlow")})
_EVENTS = """
SELECT topic_id, source_partition, source_offset, attempt, source_topic, original_key, original_value,
    erased_at FROM dlq_events
WHERE source_topic <> $1 ORDER BY topic_id, source_partition, source_offset, attempt
"""

# Partition and offset.
PartitionOffset = tuple[int, int]
# Id of the source topic (a topic that was deleted and created again has another one), partition, offset, attempt.
Key = tuple[str, int, int, int]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `raw_record`: the raw record that failed, None when the letter does not tell, or when the raw
    topic was made anew since and has it no more.

    `in_doubt`: it may be of a record that the raw log had before it was broken. `dlq_record`: its own record in the
    dead-letter topic.
    """

    key: Key
    topic: str
    partition: int
    offset: int
    attempt: int
    stage: str
    error_type: str
    raw_record: PartitionOffset | None
    in_doubt: bool
    whole: bool
    digest: bytes
    contents: bytes
    dlq_record: PartitionOffset


@dataclass
class Letters:
    """All dead letters of a topic. A letter that was sent several times is kept once.

    `raw_id`: the id of the raw topic (None: every letter is of this topic). `broken`: when its log was last found
    broken. A new log gives its records the offsets of lost ones.

    `strays`: how many records of other programs are in the topic. They are no dead letters and tell nothing.
    """

    raw_topic: str
    raw_id: UUID | None = None
    broken: datetime | None = None
    by_record: dict[Key, Letter] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    strays: int = 0

    def take(self, record: KafkaRecord) -> None:
        """Take one record of the dead-letter topic."""
        if not any(name == _FIRST_OF_OURS for name, _ in record.headers or ()):
            self.strays += 1
            return
        try:
            letter = _letter(record, self)
        except (KeyError, ValueError) as error:
            self.unreadable.append(f"offset {record.offset} of partition {record.partition}: {type(error).__name__}")
            return
        self.by_record.setdefault(letter.key, letter)

    def set_aside(self) -> Mapping[PartitionOffset, str]:
        """The raw records that have a dead letter, and the stage at which each failed."""
        # A letter that is surely of this log counts more than one in doubt.
        in_order = sorted(self.by_record.values(), key=lambda letter: not letter.in_doubt)
        return {letter.raw_record: letter.stage for letter in in_order if letter.raw_record is not None}


def _letter(record: KafkaRecord, letters: Letters) -> Letter:
    headers = [(name, bytes(value or b"")) for name, value in record.headers or ()]
    names = [name for name, _ in headers]
    begin = len(names) - 1 - names[::-1].index(_FIRST_OF_OURS)
    original, ours = headers[:begin], {name: value.decode() for name, value in headers[begin:]}
    topic, partition, offset = ours["dlq_topic"], int(ours["dlq_partition"]), int(ours["dlq_offset"])
    if not all(ours[name] for name in ("dlq_error", "dlq_error_type", "dlq_worker", "dlq_failed_at")):
        raise ValueError("an empty header")
    # Letters of a version without topic ids are stored under the hash of the topic's name.
    topic_id = ours.get("dlq_topic_id") or str(UUID(md5(topic.encode(), usedforsecurity=False).hexdigest()))
    attempt = int(ours["dlq_attempt"])
    at = _BEGIN + timedelta(milliseconds=record.timestamp)
    raw_record: PartitionOffset | None
    if topic != letters.raw_topic:
        raw_record, emitted_at = _source(record.value, letters.raw_topic)
        # The sink may have come to this record long after the log was broken.
        at, certain = min(at, emitted_at or at), False
    else:
        certain = "dlq_topic_id" in ours
        of_another_topic = certain and letters.raw_id is not None and topic_id != str(letters.raw_id)
        raw_record = None if of_another_topic else (partition, offset)
    return Letter(
        key=(topic_id, partition, offset, attempt),
        topic=topic,
        partition=partition,
        offset=offset,
        attempt=attempt,
        stage=ours["dlq_stage"],
        error_type=ours["dlq_error_type"],
        raw_record=raw_record,
        in_doubt=not certain and letters.broken is not None and at <= letters.broken + CLOCKS_AGREE,
        whole=_NOT_WHOLE.isdisjoint(names),
        digest=digest(record.key, record.value, original),
        contents=digest(record.key, record.value, ()),
        dlq_record=(record.partition, record.offset),
    )


def _source(value: bytes | None, raw_topic: str) -> tuple[PartitionOffset | None, datetime | None]:
    """The raw record of an enriched record, and when it was emitted. What cannot be read is None."""
    try:
        enriched = json.loads(value or b"")
        source = enriched["source"]
        place = (int(source["partition"]), int(source["offset"])) if source["topic"] == raw_topic else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, None
    try:
        return place, datetime.fromisoformat(enriched["emitted_at"]).astimezone(UTC)
    except (ValueError, KeyError, TypeError, OverflowError):
        return place, None


def compare_letters(expected: Expected, letters: Letters) -> TableReport:
    """Compare the dead-letter topic with the records of the log that must be dead letters."""
    report = TableReport(expected=sum(letter.due for letter in expected.letters.values()))
    report.found += letters.strays
    report.unchecked += letters.strays
    for what in letters.unreadable:
        report.found += 1
        report.note("wrong", what)
    refused = set()
    for letter in letters.by_record.values():
        report.found += 1
        if letter.raw_record is None or not _was_read(expected, letter.raw_record):
            report.unchecked += 1
            continue
        refused.add(letter.raw_record)
        if letter.in_doubt:
            report.unchecked += 1
            continue
        name = f"{letter.topic} partition {letter.partition} offset {letter.offset}"
        wanted = expected.letters.get(letter.raw_record)
        dropped = letter.stage == "write" and letter.raw_record in expected.may_be_refused
        if wanted is None and (dropped or (letter.stage, letter.error_type) in _OF_SERVERS):
            report.unchecked += 1
        elif wanted is None:
            report.note("extra", f"{name}, stage {letter.stage}: the record is valid")
        elif (wanted.stage in _IN_DOUBT) != (letter.stage in _IN_DOUBT):
            report.note("wrong", f"{name}: stage {letter.stage}, is {wanted.stage}")
        elif letter.topic == letters.raw_topic and (
            letter.attempt != wanted.attempt or (letter.whole and letter.digest != wanted.digest)
        ):
            report.note("wrong", f"{name}: not the record that failed")
    for record, wanted in expected.letters.items():
        if wanted.due and record not in refused:
            report.note("missing", f"{letters.raw_topic} partition {record[0]} offset {record[1]}")
    return report


def _was_read(expected: Expected, record: PartitionOffset) -> bool:
    first, end = expected.seen_offsets.get(record[0], (0, 0))
    return first <= record[1] < end


async def compare_events(
    connection: Any, letters: Letters, topic: str, committed: Mapping[int, int], all_kept: bool, missing: Missing
) -> TableReport:
    """Compare table dlq_events with the dead-letter topic: letters below the committed offsets must be stored.

    `all_kept`: the topic has all records that it ever had, so the table may hold no other letters. A record of the
    topic that is no dead letter is stored under the name of the dead-letter topic itself; it is not compared. `missing`
    gets the records of letters that are not stored.
    """
    known = letters.by_record
    due = {key for key, letter in known.items() if letter.dlq_record[1] < committed.get(letter.dlq_record[0], 0)}
    report = TableReport(expected=len(due))
    found: set[Key] = set()
    async for row in connection.cursor(_EVENTS, topic):
        report.found += 1
        topic_id, partition, offset, attempt, source_topic, original_key, original_value, erased_at = row
        key = str(topic_id), partition, offset, attempt
        name = _named(source_topic, key)
        letter = known.get(key)
        if key in found:
            report.note("duplicated", name)
        elif letter is None and all_kept:
            report.note("extra", name)
        elif letter is None:
            report.unchecked += 1
        elif erased_at is not None:
            # Its record was taken out with the text of its post.
            if original_value is not None:
                report.note("wrong", f"{name}: a record that is erased")
        elif letter.whole and letter.contents != digest(original_key, original_value, ()):
            report.note("wrong", f"{name}: not the original bytes")
        found.add(key)
    for key in sorted(due - found):
        report.note("missing", _named(known[key].topic, key))
        missing.letters.add(known[key].dlq_record)
    return report


def _named(topic: str, key: Key) -> str:
    return f"{topic} partition {key[1]} offset {key[2]} attempt {key[3]}"
