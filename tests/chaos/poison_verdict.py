"""What became of poison: each record is stored or a dead letter, as its kind says, and never both or neither."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from signalflow.kafka.topics import TopicNames
from tests.chaos import poison
from tests.chaos.faults.base import Run

# Topic, partition and offset.
Place = tuple[str, int, int]
DAMAGED = "damaged batches"


@dataclass
class PoisonVerdict:
    """What became of one kind of poison."""

    sent: int = 0
    lost: int = 0
    wrong: int = 0
    duplicated: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """The records of the topics; of those of comments and signals the poisoned ones; `rows` of dead letters.

    `stored_ids`: those of the posts and comments in the tables. The enriched topic may have lost what is stored.
    """

    raw: list[Any]
    enriched: list[Any]
    letters: list[Any]
    rows: Counter[Place]
    of_comments: list[Any]
    of_signals: list[Any]
    stored_ids: set[str]


def mark_of(record: Any) -> str | None:
    """The kind and number of a poisoned record; None for other records."""
    return next((value.decode() for name, value in record.headers if name == poison.HEADER), None)


def source_of(record: Any) -> tuple[int, int]:
    """Partition and offset of the raw record that an enriched one was made from."""
    source = orjson.loads(record.value)["source"]
    return source["partition"], source["offset"]


def judge_damaged(places: list[Place], rows: Counter[Place]) -> PoisonVerdict:
    """Every record of a damaged batch must be a dead letter, once."""
    verdict = PoisonVerdict(len(places))
    for place in places:
        _judge_rows(verdict, f"{DAMAGED} at {place}", rows[place])
    return verdict


def judge_poison(run: Run, names: TopicNames, raw_id: UUID, found: Found) -> dict[str, PoisonVerdict]:
    """Whether each poisoned record became a complete dead letter or was stored, as its kind says, and never both.

    When the raw topic was made anew, records of both have the same places. A letter names its topic by id; otherwise
    what came of a record is later than the record.
    """
    expected = {f"{each.kind}:{each.number}": each for each in run.poisons}
    verdicts: dict[str, PoisonVerdict] = {kind: PoisonVerdict() for kind in dict.fromkeys(p.kind for p in run.poisons)}
    stored = {source_of(record): record.timestamp for record in found.enriched if mark_of(record) is None}
    # A batch that was damaged may be there whole, too, when its producer sent it twice: letters of that are no poison.
    ours = [
        letter
        for letter in found.letters
        if _header(letter, "dlq_topic") and not (letter.key or b"").startswith(poison.DAMAGED_KEY)
    ]
    dead = {
        _source_of_letter(letter): letter
        for letter in ours
        if _from(letter, names.posts_raw) and _header(letter, "dlq_topic_id") == str(raw_id).encode()
    }
    # What other programs wrote to the enriched topic is no enriched record: it is refused before it is written.
    refused_late = {
        source_of(letter): letter.timestamp
        for letter in ours
        if _from(letter, names.posts_enriched) and _header(letter, "dlq_stage") == b"write"
    }
    met = _foreign(expected, verdicts, found) | judge_comments(expected, verdicts, found)
    for record in found.raw:
        mark = mark_of(record)
        if mark is None:
            continue
        met.add(mark)
        wanted, place = expected[mark], (record.partition, record.offset)
        verdict = verdicts[wanted.kind]
        verdict.sent += 1
        if wanted.expected == "nowhere":
            verdict.wrong += 1
            verdict.examples.append(f"{mark} at {place}: in the log, though its transaction was aborted")
            continue
        letter = dead.get(place)
        is_stored = stored.get(place, 0) >= record.timestamp or f"z{wanted.number}" in found.stored_ids
        is_dead = letter is not None or refused_late.get(place, 0) >= record.timestamp
        # The dead-letter topic may have lost what the table has.
        is_dead = is_dead or (wanted.expected == "dead" and bool(found.rows[names.posts_raw, *place]))
        if not is_dead and (not is_stored or wanted.expected == "dead"):
            verdict.lost += not is_stored
            verdict.wrong += is_stored
            verdict.examples.append(f"{mark} at {place}: {'stored' if is_stored else 'nowhere'}")
        elif is_dead and (wanted.expected == "stored" or (letter is not None and is_stored)):
            verdict.wrong += 1
            verdict.examples.append(f"{mark} at {place}: a dead letter, and should be stored")
        elif letter is not None and (letter.key, letter.value, _original(letter)) != (
            wanted.key,
            wanted.value,
            list(wanted.headers),
        ):
            verdict.wrong += 1
            verdict.examples.append(f"{mark} at {place}: not the original bytes")
        elif letter is not None:
            _judge_rows(verdict, mark, found.rows[names.posts_raw, *place])
    for mark in expected.keys() - met:
        if expected[mark].expected != "nowhere" and expected[mark].number not in run.lost_with_a_log.poisons:
            verdicts[expected[mark].kind].lost += 1
            verdicts[expected[mark].kind].examples.append(f"{mark}: not in the log")
    return verdicts


def judge_comments(
    expected: Mapping[str, poison.Poison], verdicts: Mapping[str, PoisonVerdict], found: Found
) -> set[str]:
    """Judge the poisoned records of comments: each is in the table or a dead letter, as its kind says, and not both.

    Returns the marks that were met.
    """
    met = set()
    for record in found.of_comments:
        mark = mark_of(record) or ""
        met.add(mark)
        wanted, verdict = expected[mark], verdicts[expected[mark].kind]
        verdict.sent += 1
        is_stored = f"z{wanted.number}" in found.stored_ids
        rows = found.rows[record.topic, record.partition, record.offset]
        if wanted.expected == "nowhere":
            verdict.wrong += 1
            verdict.examples.append(f"{mark}: a comment in the log, though its transaction was aborted")
        elif is_stored != (wanted.expected == "stored"):
            verdict.lost += not is_stored and not rows
            verdict.wrong += is_stored or bool(rows)
            verdict.examples.append(f"{mark}: a comment {'in' if is_stored else 'not in'} the table, {rows} letters")
        elif wanted.expected == "dead":
            _judge_rows(verdict, mark, rows)
        elif rows:
            verdict.wrong += 1
            verdict.examples.append(f"{mark}: a comment that is stored and a dead letter")
    return met


def _foreign(expected: Mapping[str, poison.Poison], verdicts: Mapping[str, PoisonVerdict], found: Found) -> set[str]:
    """Judge the records of other programs on the topics behind the raw one. Returns the marks that were met."""
    met = set()
    strays = found.of_signals + [record for record in found.enriched if mark_of(record) is not None]
    strays += [record for record in found.letters if mark_of(record) is not None and not _header(record, "dlq_topic")]
    for record in strays:
        mark = mark_of(record) or ""
        met.add(mark)
        verdict = verdicts[expected[mark].kind]
        verdict.sent += 1
        if expected[mark].expected == "nowhere":
            verdict.wrong += 1
            verdict.examples.append(f"{mark}: in {record.topic}, though its transaction was aborted")
        else:
            _judge_rows(verdict, mark, found.rows[record.topic, record.partition, record.offset])
    return met


def _judge_rows(verdict: PoisonVerdict, mark: str, rows: int) -> None:
    if rows != 1:
        verdict.lost += rows == 0
        verdict.duplicated += rows > 1
        verdict.examples.append(f"{mark}: {rows} rows in dlq_events")


def _from(letter: Any, topic: str) -> bool:
    return _header(letter, "dlq_topic") == topic.encode()


def _header(record: Any, name: str) -> bytes:
    return next((bytes(value) for given, value in record.headers if given == name), b"")


def _source_of_letter(letter: Any) -> tuple[int, int]:
    return int(_header(letter, "dlq_partition")), int(_header(letter, "dlq_offset"))


def _original(letter: Any) -> list[tuple[str, bytes]]:
    return [(name, bytes(value)) for name, value in letter.headers if not name.startswith("dlq_")]
