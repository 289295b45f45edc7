"""Dead letters compared with the log: which must exist, whole, and which must not."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from signalflow.verify import Scope, expected
from signalflow.verify.letters import Letters, RawTopic, compare_events, compare_letters
from signalflow.verify.report import Missing

BAD = (b"k", b"not json", (("trace", b"1"), ("attempt", b"2")))


def record(offset: int, key: bytes | None, value: bytes | None, headers: Any = (), topic: str = "raw") -> Any:
    return SimpleNamespace(
        topic=topic, partition=3, offset=offset, timestamp=1_800_000_000_000, key=key, value=value, headers=headers
    )


def letter(offset: int = 7, *, key: bytes | None = b"k", value: bytes | None = b"not json", original: Any = BAD[2],
           **changed: str | None) -> Any:  # fmt: skip
    ours = {
        "topic": "raw", "partition": "3", "offset": str(offset), "stage": "validate", "error_type": "Invalid",
        "error": "no JSON", "attempt": "2", "worker": "w1", "failed_at": "2026-01-01T00:00:00+00:00",
        "topic_id": "00000000-0000-0000-0000-000000000001",
    } | changed  # fmt: skip
    headers = (*original, *((f"dlq_{name}", text.encode()) for name, text in ours.items() if text is not None))
    return record(0, key, value, headers, topic="dlq")


def found(*dead: Any, enriched_up_to: int = 99, broken: datetime | None = None) -> tuple[int, int, int, int]:
    """The numbers expected, missing, extra and wrong, for a log with one bad record at offset 7."""
    letters = Letters(RawTopic("raw", UUID(int=1), broken))
    for each in dead:
        letters.take(each)
    log = expected([record(7, *BAD)], scope=Scope(enriched={3: enriched_up_to}, set_aside=letters.set_aside("raw")))
    report = compare_letters({"raw": log}, letters, Missing())
    log.close()
    return report.expected, report.missing, report.extra, report.wrong


class Rows:
    """A database whose dlq_events has one letter of the record at offset 7."""

    def __init__(self, value: bytes | None, whole: bool, topic: str) -> None:
        self._row = (UUID(int=1), 3, 7, 2, topic, b"k", value, "validate", "Invalid", datetime.now(UTC), whole)

    async def cursor(self, statement: str, dlq_topic: str) -> AsyncIterator[Any]:
        assert dlq_topic == "dlq"
        erased_at = None if self._row[-1] else datetime.now(UTC)
        yield self._row if "stage" in statement else (*self._row[:7], erased_at)


OF_SEVEN = json.dumps({"source": {"topic": "raw", "partition": 3, "offset": 7}}).encode()


@pytest.mark.parametrize("topic", ["inputs", "signals"])
def test_a_letter_of_what_signals_are_computed_from_says_nothing_of_its_post(topic: str) -> None:
    letters = Letters(RawTopic("raw"), of_signals=frozenset({"inputs", "signals"}))
    letters.take(letter(value=OF_SEVEN, stage="enrich", topic=topic))
    assert letters.set_aside("raw") == {}
    log = expected([record(7, *BAD)], scope=Scope(enriched={3: 99}))
    report = compare_letters({"raw": log}, letters, Missing())
    log.close()
    assert (report.missing, report.unchecked) == (1, 1)


@pytest.mark.parametrize(
    ("value", "whole", "topic", "missing"),
    [
        (b"not json", True, "raw", 0),
        (b"of the record that was lost", True, "raw", 1),
        (None, False, "raw", 0),  # erased
        (OF_SEVEN, True, "enriched", 0),
    ],
)
async def test_a_letter_that_the_topic_lost_and_the_table_has_is_not_missing(
    value: bytes | None, whole: bool, topic: str, missing: int
) -> None:
    letters = Letters(RawTopic("raw", UUID(int=1)))
    await letters.take_stored(Rows(value, whole, topic), "dlq")
    log = expected([record(7, *BAD)], scope=Scope(enriched={3: 99}, set_aside=letters.set_aside("raw")))
    report = compare_letters({"raw": log}, letters, Missing())
    log.close()
    assert (report.missing, report.wrong, report.extra, report.unchecked) == (missing, 0, 0, missing)
    events = await compare_events(Rows(value, whole, topic), letters, "dlq", {}, False, Missing())
    assert (events.expected, events.differences, events.unchecked) == (0, 0, 1)


def test_a_dead_letter_that_came_twice_is_one() -> None:
    assert found(letter(), letter()) == (1, 0, 0, 0)


def test_a_letter_of_the_topic_that_was_deleted_says_nothing_about_the_new_record_at_its_offset() -> None:
    former = letter(topic_id="00000000-0000-0000-0000-000000000002", attempt="1")
    assert found(former) == (1, 1, 0, 0)
    assert found(former, letter()) == (1, 0, 0, 0)


def test_a_row_that_was_refused_before_the_log_was_broken_is_not_compared_with_the_new_record_at_its_offset() -> None:
    row = json.dumps({"source": {"topic": "raw", "partition": 3, "offset": 7}}).encode()
    refused = letter(topic="enriched", stage="write", value=row, offset=40)
    assert found(letter(), refused) == (1, 0, 0, 1)
    assert found(letter(), refused, broken=datetime(2030, 1, 1, tzinfo=UTC)) == (1, 0, 0, 0)


@pytest.mark.parametrize(("emitted", "wrong"), [("2026-01-01T11:00:00Z", 0), ("2026-01-01T13:00:00Z", 1)])
def test_a_row_that_was_emitted_before_the_log_was_broken_may_be_refused_long_afterwards(
    emitted: str, wrong: int
) -> None:
    row = json.dumps({"source": {"topic": "raw", "partition": 3, "offset": 7}, "emitted_at": emitted}).encode()
    refused = letter(topic="enriched", stage="write", value=row, offset=40)
    refused.timestamp = int(datetime(2026, 1, 1, 14, tzinfo=UTC).timestamp() * 1000)
    assert found(letter(), refused, broken=datetime(2026, 1, 1, 12, tzinfo=UTC)) == (1, 0, 0, wrong)


def test_a_letter_whose_value_is_nested_too_deeply_is_compared_like_any_other() -> None:
    assert found(letter(value=b"[" * 20_000)) == (1, 0, 0, 1), "not the record that failed"
    assert found(letter(), letter(topic="enriched", value=b"[" * 20_000, offset=40)) == (1, 0, 0, 0)


def test_a_bad_record_without_a_dead_letter_is_missing_once_the_group_has_passed_it() -> None:
    assert found() == (1, 1, 0, 0)
    assert found(enriched_up_to=7) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": b"other"},
        {"key": None},
        {"value": b"not  json"},
        {"original": BAD[2][:1]},
        {"original": BAD[2][::-1]},
        {"attempt": "1"},
        {"stage": "write"},
    ],
    ids=str,
)
def test_a_dead_letter_that_is_not_the_record_that_failed_is_wrong(changed: dict[str, Any]) -> None:
    assert found(letter(**changed)) == (1, 0, 0, 1)


def test_a_dead_letter_without_its_origin_or_reason_is_wrong() -> None:
    for name in ("offset", "error", "worker"):
        assert found(letter(**{name: None})) == (1, 1, 0, 1), name


def test_a_record_of_another_program_among_the_dead_letters_is_neither_wrong_nor_missing() -> None:
    stray = letter(topic=None)
    assert found(letter(), stray) == (1, 0, 0, 0)
    assert found(stray) == (1, 1, 0, 0)


def test_a_cut_dead_letter_says_so_and_its_bytes_are_not_compared() -> None:
    assert found(letter(value=b"not", original=(*BAD[2], ("dlq_truncated", b"8")))) == (1, 0, 0, 0)


def test_headers_of_an_earlier_attempt_belong_to_the_original() -> None:
    again = letter(original=(("attempt", b"2"), ("dlq_of", b"5:token")))
    letters = Letters(RawTopic("raw"))
    letters.take(again)
    log = expected([record(7, b"k", b"not json", (("attempt", b"2"), ("dlq_of", b"5:token")))])
    assert compare_letters({"raw": log}, letters, Missing()).differences == 0
    log.close()


def valid_record() -> Any:
    """An observation of 2026-01-01 at offset 5."""
    moment = "2026-01-01T12:00:00Z"
    payload = {
        "id": "a", "subreddit": "x", "author": None, "title": "t", "created_utc": moment, "score": 1, "num_comments": 0,
    }  # fmt: skip
    value = json.dumps({
        "entity_type": "reddit_submission", "source": "s", "mode": "new", "emitted_at": moment, "payload": payload,
        "metadata": {"subreddit": "x", "observed_at": moment},
    }).encode()  # fmt: skip
    return record(5, b"a", value)


def letter_of_the_sink(error_type: str = "Invalid") -> Any:
    """The dead letter of the enriched record that was made of the record at offset 5."""
    enriched = json.dumps({"source": {"topic": "raw", "partition": 3, "offset": 5}}).encode()
    return letter(901, value=enriched, topic="enriched", stage="write", error_type=error_type)


def test_a_valid_record_among_the_dead_letters_is_extra_and_its_rows_are_not_missed() -> None:
    letters = Letters(RawTopic("raw"))
    letters.take(letter_of_the_sink())
    log = expected([valid_record()], scope=Scope(set_aside=letters.set_aside("raw")))
    report = compare_letters({"raw": log}, letters, Missing())
    assert (report.extra, report.missing, report.wrong) == (1, 0, 0)
    assert "enriched partition 3 offset 901" in report.examples[0]
    assert [row.due for row in log.history] == [False]
    assert log.posts["a"].unsure
    log.close()


@pytest.mark.parametrize(("history_from", "extra"), [((2026, 1, 2), 0), ((2025, 12, 30), 1)])
def test_the_sink_may_have_refused_a_valid_record_only_where_history_has_dropped_its_day(
    history_from: tuple[int, int, int], extra: int
) -> None:
    letters = Letters(RawTopic("raw"))
    letters.take(letter_of_the_sink())
    first = datetime(*history_from, tzinfo=UTC)
    log = expected([valid_record()], scope=Scope(set_aside=letters.set_aside("raw"), history_from=first))
    report = compare_letters({"raw": log}, letters, Missing())
    assert (report.differences, report.unchecked) == (extra, 1 - extra)
    log.close()


@pytest.mark.parametrize(
    ("stage", "error_type", "extra"),
    [
        ("enrich", "Refused", 0),
        ("enrich", "Invalid", 1),
        ("enrich", "Defect", 1),
        ("write", "TooSlow", 0),
        ("write", "Invalid", 1),
        ("validate", "Invalid", 1),
    ],
)
def test_a_valid_record_may_be_set_aside_for_what_a_server_refused_and_not_for_a_defect_of_ours(
    stage: str, error_type: str, extra: int
) -> None:
    letters, valid = Letters(RawTopic("raw")), valid_record()
    letters.take(
        letter_of_the_sink(error_type)
        if stage == "write"
        else letter(5, key=valid.key, value=valid.value, original=(), stage=stage, error_type=error_type)
    )
    log = expected([valid], scope=Scope(set_aside=letters.set_aside("raw")))
    report = compare_letters({"raw": log}, letters, Missing())
    assert (report.differences, report.unchecked) == (extra, 1 - extra)
    log.close()
