"""A dead letter is the record as it was, unless no topic would take it."""

from datetime import UTC, datetime

from signalflow.errors import Invalid
from signalflow.streams.dead_letters import dead_letter
from tests.unit.streams.fakes import Record

NOW = datetime(2026, 1, 3, tzinfo=UTC)
DLQ_BYTES = 2 << 20


def test_key_value_and_headers_are_untouched_and_the_attempt_is_carried_on() -> None:
    record = Record(7, partition=3, key=b"\x00k", value=b"\xff{", headers=(("trace", b"x"), ("attempt", b"2")))
    letter = dead_letter(record, Invalid("no JSON"), stage="validate", worker="w1", now=NOW)
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"\x00k", b"\xff{")
    assert headers["trace"] == b"x"
    assert (headers["dlq_topic"], headers["dlq_partition"], headers["dlq_offset"]) == (b"raw", b"3", b"7")
    assert (headers["dlq_attempt"], headers["dlq_error"]) == (b"2", b"no JSON")


def test_a_record_that_the_dead_letter_topic_would_refuse_is_cut_and_says_so() -> None:
    # Brokers limit the size of compressed batches: 3 MiB of one letter pass through a limit of 1 MiB as a few kB.
    record = Record(0, value=b"a" * (3 << 20), headers=tuple(("h", b"v" * 1000) for _ in range(500)))
    letter = dead_letter(record, Invalid("too long"), stage="validate", worker="w", now=NOW)
    size = len(letter.value or b"") + sum(len(name) + len(value) for name, value in letter.headers)
    assert size < DLQ_BYTES
    assert dict(letter.headers)["dlq_truncated"] == str(3 << 20).encode()
