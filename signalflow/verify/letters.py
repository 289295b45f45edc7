"""Compares dead letters with the log, and table dlq_events with the dead-letter topic."""

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from signalflow.kafka.reader import KafkaRecord
from signalflow.verify.expect import CLOCKS_AGREE, ExpectedLetter, digest
from signalflow.verify.report import Missing, TableReport

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
# The original headers come first and may have any name. The headers of the dead letter follow, and this is their first.
_FIRST_OF_OURS = "dlq_topic"
_NOT_WHOLE = frozenset({"dlq_truncated", "dlq_headers_dropped", "dlq_unreadable"})
_IN_DOUBT = frozenset({"write", "decode"})
# Stages and kinds of errors that come from servers: brokers that refuse an output, a database that is too slow for one
# row. The record does not tell whether they were right.
_OF_SERVERS = frozenset({("enrich", "Refused"), ("write", "TooSlow")})
_EVENTS = """
SELECT topic_id, source_partition, source_offset, attempt, source_topic, original_key, original_value,
    erased_at FROM dlq_events
WHERE source_topic <> $1 ORDER BY topic_id, source_partition, source_offset, attempt
"""
_STORED = """
SELECT topic_id, source_partition, source_offset, attempt, source_topic, original_key, original_value,
    stage, error_type, failed_at, whole FROM dlq_events
WHERE source_topic <> $1
"""

# Partition and offset.
PartitionOffset = tuple[int, int]


class Key(NamedTuple):
    """A record of a source topic, and how often it had failed.

    `topic_id`: a topic that was deleted and created again has another one.
    """

    topic_id: str
    partition: int
    offset: int
    attempt: int


class Origin(NamedTuple):
    """Where the record of a letter comes from.

    `raw_record`: the record of `raw_topic` that failed, None when the letter does not tell, or when that topic was made
    anew since and has it no more. `in_doubt`: it may be of a record that the raw log had before it was broken.
    """

    raw_topic: str
    raw_record: PartitionOffset | None
    in_doubt: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter of a record of `topic`.

    `dlq_record`: its own record in the dead-letter topic, None when only the table has the letter.
    """

    key: Key
    topic: str
    stage: str
    error_type: str
    origin: Origin
    whole: bool
    digest: bytes
    contents: bytes
    dlq_record: PartitionOffset | None


@dataclass(frozen=True, slots=True)
class RawTopic:
    """A topic that is compared with the tables. `id`: None when every letter is of this topic.

    `broken`: when its log was last found broken. A new log gives its records the offsets of lost ones.
    """

    name: str
    id: UUID | None = None
    broken: datetime | None = None


class Refusals(Protocol):
    """What a log tells of dead letters; the attributes are those of `Expected`."""

    @property
    def letters(self) -> Mapping[PartitionOffset, ExpectedLetter]: ...
    @property
    def may_be_refused(self) -> Set[PartitionOffset]: ...
    @property
    def seen_offsets(self) -> Mapping[int, tuple[int, int]]: ...


@dataclass
class Letters:
    """All dead letters of a topic. A letter that was sent several times is kept once.

    `posts`: the raw topic that enriched records come from. `others`: topics that are stored without enriched records.
    `of_signals`: topics whose letters say nothing of posts, although their records name raw records.

    `strays`: how many records of other programs are in the topic. They are no dead letters and tell nothing.
    """

    posts: RawTopic
    others: tuple[RawTopic, ...] = ()
    of_signals: frozenset[str] = frozenset()
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

    async def take_stored(self, connection: Any, topic: str) -> None:
        """Take the letters that the table has and this dead-letter topic no longer has."""
        async for row in connection.cursor(_STORED, topic):
            letter = _stored_letter(row, self)
            self.by_record.setdefault(letter.key, letter)

    def set_aside(self, topic: str) -> Mapping[PartitionOffset, str]:
        """The records of a raw topic that have a dead letter, and the stage at which each failed."""
        # A letter that is surely of this log counts more than one in doubt.
        in_order = sorted(self.by_record.values(), key=lambda letter: not letter.origin.in_doubt)
        return {
            letter.origin.raw_record: letter.stage
            for letter in in_order
            if letter.origin.raw_topic == topic and letter.origin.raw_record is not None
        }

    def errors_of(self, topic: str) -> Mapping[PartitionOffset, str]:
        """The records of a topic that have a dead letter, with its kind of error; also of such a topic from before."""
        return {
            (key.partition, key.offset): letter.error_type
            for key, letter in self.by_record.items()
            if letter.topic == topic
        }


def _letter(record: KafkaRecord, letters: Letters) -> Letter:
    headers = [(name, bytes(value or b"")) for name, value in record.headers or ()]
    names = [name for name, _ in headers]
    begin = len(names) - 1 - names[::-1].index(_FIRST_OF_OURS)
    original, ours = headers[:begin], {name: value.decode() for name, value in headers[begin:]}
    if not all(ours[name] for name in ("dlq_error", "dlq_error_type", "dlq_worker", "dlq_failed_at")):
        raise ValueError("an empty header")
    topic = ours["dlq_topic"]
    # Letters of a version without topic ids are stored under the hash of the topic's name.
    topic_id = ours.get("dlq_topic_id") or _id_of_the_name(topic)
    key = Key(topic_id, int(ours["dlq_partition"]), int(ours["dlq_offset"]), int(ours["dlq_attempt"]))
    at = _BEGIN + timedelta(milliseconds=record.timestamp)
    return Letter(
        key,
        topic,
        stage=ours["dlq_stage"],
        error_type=ours["dlq_error_type"],
        origin=_origin(letters, key, topic, record.value, at, names_its_topic="dlq_topic_id" in ours),
        whole=_NOT_WHOLE.isdisjoint(names),
        digest=digest(record.key, record.value, original),
        contents=digest(record.key, record.value, ()),
        dlq_record=(record.partition, record.offset),
    )


def _stored_letter(row: Any, letters: Letters) -> Letter:
    topic_id, partition, offset, attempt, topic, key, value, stage, error_type, failed_at, whole = row
    letter_key = Key(str(topic_id), partition, offset, attempt)
    names_its_topic = letter_key.topic_id != _id_of_the_name(topic)
    contents = digest(key, value, ())
    return Letter(
        letter_key,
        topic,
        stage=stage,
        error_type=error_type,
        origin=_origin(letters, letter_key, topic, value, failed_at, names_its_topic=names_its_topic),
        whole=whole,
        digest=contents,
        contents=contents,
        dlq_record=None,
    )


def _id_of_the_name(topic: str) -> str:
    return str(UUID(md5(topic.encode(), usedforsecurity=False).hexdigest()))


def _origin(
    letters: Letters, key: Key, topic: str, value: bytes | None, at: datetime, *, names_its_topic: bool
) -> Origin:
    """Where the record comes from. `at`: when it failed, at the latest."""
    if topic in letters.of_signals:
        return Origin(topic, None, in_doubt=False)
    raw = next((each for each in (letters.posts, *letters.others) if each.name == topic), None)
    if raw is None:
        raw = letters.posts
        record, emitted_at = _source(value, raw.name)
        # The sink may have come to this record long after the log was broken.
        at, certain = min(at, emitted_at or at), False
    else:
        certain = names_its_topic
        of_another_topic = certain and raw.id is not None and key.topic_id != str(raw.id)
        record = None if of_another_topic else (key.partition, key.offset)
    return Origin(raw.name, record, not certain and raw.broken is not None and at <= raw.broken + CLOCKS_AGREE)


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


def compare_letters(expected: Mapping[str, Refusals], letters: Letters, missing: Missing) -> TableReport:
    """Compare the dead-letter topic with the records of raw topics, by name, that must be dead letters.

    `missing` gets the records that have no dead letter.
    """
    due = {(topic, *place) for topic, log in expected.items() for place, letter in log.letters.items() if letter.due}
    report = TableReport(expected=len(due))
    report.found += letters.strays
    report.unchecked += letters.strays
    for what in letters.unreadable:
        report.found += 1
        report.note("wrong", what)
    for letter in letters.by_record.values():
        report.found += 1
        raw_topic, raw_record, in_doubt = letter.origin
        log = expected.get(raw_topic)
        if log is None or raw_record is None or not _was_read(log, raw_record):
            report.unchecked += 1
            continue
        if letter.dlq_record is None:
            # It may be of a record that the raw log lost as well, and whose offset another one has now.
            wanted = log.letters.get(raw_record)
            told = letter.whole and letter.topic == raw_topic
            if wanted is not None and (not told or wanted.contents == letter.contents):
                due.discard((raw_topic, *raw_record))
            else:
                report.unchecked += 1
            continue
        due.discard((raw_topic, *raw_record))
        if in_doubt:
            report.unchecked += 1
            continue
        name = f"{letter.topic} partition {letter.key.partition} offset {letter.key.offset}"
        wanted = log.letters.get(raw_record)
        dropped = letter.stage == "write" and raw_record in log.may_be_refused
        if wanted is None and (dropped or (letter.stage, letter.error_type) in _OF_SERVERS):
            report.unchecked += 1
        elif wanted is None:
            report.note("extra", f"{name}, stage {letter.stage}: the record is valid")
        elif (wanted.stage in _IN_DOUBT) != (letter.stage in _IN_DOUBT):
            report.note("wrong", f"{name}: stage {letter.stage}, is {wanted.stage}")
        elif letter.topic == raw_topic and (
            letter.key.attempt != wanted.attempt or (letter.whole and letter.digest != wanted.digest)
        ):
            report.note("wrong", f"{name}: not the record that failed")
    missing.without_letter |= due
    for topic, partition, offset in sorted(due):
        report.note("missing", f"{topic} partition {partition} offset {offset}")
    return report


def _was_read(expected: Refusals, record: PartitionOffset) -> bool:
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
    in_topic = {key: letter.dlq_record for key, letter in known.items() if letter.dlq_record is not None}
    due = {key for key, (partition, offset) in in_topic.items() if offset < committed.get(partition, 0)}
    report = TableReport(expected=len(due))
    found: set[Key] = set()
    async for row in connection.cursor(_EVENTS, topic):
        report.found += 1
        topic_id, partition, offset, attempt, source_topic, original_key, original_value, erased_at = row
        key = Key(str(topic_id), partition, offset, attempt)
        name = _named(source_topic, key)
        letter = known.get(key) if key in in_topic else None
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
        missing.letters.add(in_topic[key])
    return report


def _named(topic: str, key: Key) -> str:
    return f"{topic} partition {key.partition} offset {key.offset} attempt {key.attempt}"
