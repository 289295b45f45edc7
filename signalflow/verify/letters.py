"""Dead letters: what must be set aside is, whole, and nothing else is; and the table holds what the topic has."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signalflow.verify.contract import RawRecord
from signalflow.verify.expect import Expected, digest
from signalflow.verify.report import TableReport

_OURS = "dlq_"
_IN_DOUBT = frozenset({"write", "decode"})
_EVENTS = """
SELECT source_topic, source_partition, source_offset, attempt, original_key, original_value FROM dlq_events
ORDER BY source_topic, source_partition, source_offset, attempt
"""

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter. `place`: partition and offset of the raw record that it goes back to, None where that cannot be told;
    `stored_at`: its own in the dead-letter topic."""

    topic: str
    partition: int
    offset: int
    attempt: int
    stage: str
    place: Place | None
    whole: bool
    digest: bytes
    contents: bytes
    stored_at: Place


@dataclass
class Letters:
    """All dead letters of a topic, each once however often it was sent."""

    raw_topic: str
    by_record: dict[tuple[str, int, int, int], Letter] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def take(self, record: RawRecord) -> None:
        """Take one record of the dead-letter topic."""
        try:
            letter = _letter(record, self.raw_topic)
        except (KeyError, ValueError) as error:
            self.unreadable.append(f"offset {record.offset} of partition {record.partition}: {type(error).__name__}")
            return
        self.by_record.setdefault((letter.topic, letter.partition, letter.offset, letter.attempt), letter)

    def set_aside(self) -> Mapping[Place, str]:
        """Raw records of which a dead letter exists, and the stage that refused them."""
        return {letter.place: letter.stage for letter in self.by_record.values() if letter.place is not None}


def _letter(record: RawRecord, raw_topic: str) -> Letter:
    headers = [(name, bytes(value or b"")) for name, value in record.headers or ()]
    ours = {name: value.decode() for name, value in headers if name.startswith(_OURS)}
    original = [(name, value) for name, value in headers if not name.startswith(_OURS)]
    topic, partition, offset = ours["dlq_topic"], int(ours["dlq_partition"]), int(ours["dlq_offset"])
    if not ours["dlq_error"] or not ours["dlq_error_type"] or not ours["dlq_worker"] or not ours["dlq_failed_at"]:
        raise ValueError("an empty header")
    return Letter(
        topic, partition, offset, int(ours["dlq_attempt"]), ours["dlq_stage"],
        (partition, offset) if topic == raw_topic else _source(record.value, raw_topic),
        not {"dlq_truncated", "dlq_headers_dropped"} & ours.keys(),
        digest(record.key, record.value, original), digest(record.key, record.value, ()), (record.partition, record.offset),
    )  # fmt: skip


def _source(value: bytes | None, raw_topic: str) -> Place | None:
    """Where an enriched record came from."""
    try:
        source = json.loads(value or b"")["source"]
        return (int(source["partition"]), int(source["offset"])) if source["topic"] == raw_topic else None
    except (ValueError, KeyError, TypeError):
        return None


def compare_letters(expected: Expected, letters: Letters) -> TableReport:
    """The dead-letter topic against the records of the log that must be set aside."""
    report = TableReport(expected=sum(letter.due for letter in expected.letters.values()))
    for what in letters.unreadable:
        report.found += 1
        report.note("wrong", what)
    places = set()
    for letter in letters.by_record.values():
        report.found += 1
        if letter.place is None or not _was_read(expected, letter.place):
            report.unchecked += 1
            continue
        places.add(letter.place)
        name = f"{letter.topic} partition {letter.partition} offset {letter.offset}"
        wanted = expected.letters.get(letter.place)
        if wanted is None:
            report.note("extra", f"{name}, stage {letter.stage}: the record is valid")
        elif (wanted.stage in _IN_DOUBT) != (letter.stage in _IN_DOUBT):
            report.note("wrong", f"{name}: stage {letter.stage}, is {wanted.stage}")
        elif letter.topic == letters.raw_topic and (
            letter.attempt != wanted.attempt or (letter.whole and letter.digest != wanted.digest)
        ):
            report.note("wrong", f"{name}: not the record that failed")
    for place, wanted in expected.letters.items():
        if wanted.due and place not in places:
            report.note("missing", f"{letters.raw_topic} partition {place[0]} offset {place[1]}")
    return report


def _was_read(expected: Expected, place: Place) -> bool:
    first, end = expected.seen_offsets.get(place[0], (0, 0))
    return first <= place[1] < end


async def compare_events(
    connection: Any, letters: Letters, committed: Mapping[int, int], all_kept: bool
) -> TableReport:
    """The table `dlq_events` against the dead-letter topic: what is below the committed offsets must be stored.

    `all_kept`: the topic still has all its records, so that the table may hold no others.
    """
    known = letters.by_record
    due = {key for key, letter in known.items() if letter.stored_at[1] < committed.get(letter.stored_at[0], 0)}
    report = TableReport(expected=len(due))
    found = set()
    async for row in connection.cursor(_EVENTS):
        report.found += 1
        topic, partition, offset, attempt, original_key, original_value = row
        key = topic, partition, offset, attempt
        letter = known.get(key)
        if key in found:
            report.note("duplicated", _named(key))
        elif letter is None and all_kept:
            report.note("extra", _named(key))
        elif letter is None:
            report.unchecked += 1
        elif letter.whole and letter.contents != digest(original_key, original_value, ()):
            report.note("wrong", f"{_named(key)}: not the original bytes")
        found.add(key)
    for key in sorted(due - found):
        report.note("missing", _named(key))
    return report


def _named(key: tuple[str, int, int, int]) -> str:
    return f"{key[0]} partition {key[1]} offset {key[2]} attempt {key[3]}"
