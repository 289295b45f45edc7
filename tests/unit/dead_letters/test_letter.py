"""A dead letter holds its record unchanged, unless the dead-letter topic would refuse it."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from signalflow.dead_letters.letter import MalformedDeadLetter, is_whole, letter_of, parse_dead_letter, record_of
from signalflow.errors import Invalid
from signalflow.events import DeadLetter
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.records import UnreadableRecord
from tests.unit.streams.fakes import Record

NOW = datetime(2026, 1, 3, tzinfo=UTC)
DLQ_BYTES = 2 << 20
TOPIC_ID = UUID(int=7)


def set_aside(record: Record) -> Outgoing:
    """What is sent to the dead-letter topic for this record."""
    letter = letter_of(record, Invalid("no JSON"), stage="validate", worker="w1", now=NOW, topic_id=TOPIC_ID)
    return record_of(letter)


def test_key_value_and_headers_are_untouched_and_the_attempt_is_carried_on() -> None:
    record = Record(7, partition=3, key=b"\x00k", value=b"\xff{", headers=(("trace", b"x"), ("attempt", b"2")))
    letter = set_aside(record)
    headers = dict(letter.headers)
    assert (letter.key, letter.value) == (b"\x00k", b"\xff{")
    assert headers["trace"] == b"x"
    assert (headers["dlq_topic"], headers["dlq_partition"], headers["dlq_offset"]) == (b"raw", b"3", b"7")
    assert (headers["dlq_attempt"], headers["dlq_error"]) == (b"2", b"no JSON")


@pytest.mark.parametrize(
    ("key", "value"), [(b"k", b"a" * (3 << 20)), (b"k" * (3 << 20), b"a"), (b"k" * (3 << 20), None)]
)
def test_a_record_that_the_dead_letter_topic_would_refuse_is_cut_and_says_so(key: bytes, value: bytes | None) -> None:
    # Brokers limit the size of compressed batches: 3 MiB of one letter pass through a limit of 1 MiB as a few kB.
    record = Record(0, key=key, value=value, headers=tuple(("h", b"v" * 1000) for _ in range(500)))
    letter = set_aside(record)
    size = (
        len(letter.key or b"")
        + len(letter.value or b"")
        + sum(len(name) + len(value) for name, value in letter.headers)
    )
    assert size < DLQ_BYTES
    assert dict(letter.headers)["dlq_truncated"] == str(len(key) + len(value or b"")).encode()
    assert (letter.value is None) is (value is None)


@pytest.mark.parametrize("most_bytes", [300_000, 5_000, 0])
@pytest.mark.parametrize("headers", [(("h", b"v" * 90_000),), (("", b""),) * 90_000, (("ü" * 30_000, b""),)])
def test_a_letter_can_be_cut_until_it_fits(most_bytes: int, headers: tuple[tuple[str, bytes], ...]) -> None:
    record = Record(0, key=b"k" * 200_000, value=b"v" * 1_000_000, headers=(*headers, ("attempt", b"2")))
    whole = letter_of(record, Invalid("bad"), stage="validate", worker="w1", now=NOW)
    cut = record_of(whole, most_bytes)
    names = sum(len(name.encode()) + len(value) + 2 for name, value in cut.headers)
    assert len(cut.key or b"") + len(cut.value or b"") + names < 3 * most_bytes + 1_000
    letter = parse_dead_letter(cut.key, cut.value, cut.headers)
    assert (letter.offset, letter.attempt, is_whole(letter)) == (0, 2, False)


HOSTILE_HEADERS = (("dlq_topic", b"elsewhere"), ("dlq_topic_id", b"x"), ("trace", b"\xff"), ("dlq_topic", b""))


@pytest.mark.parametrize("headers", [(), (("trace", b"x"), ("attempt", b"3")), HOSTILE_HEADERS])
def test_a_dead_letter_is_read_back_whatever_headers_its_record_had(
    headers: tuple[tuple[str, bytes], ...],
) -> None:
    record = Record(7, partition=3, key=None, value=b"\xff", headers=headers)
    outgoing = set_aside(record)
    letter = parse_dead_letter(outgoing.key, outgoing.value, outgoing.headers)
    assert (letter.topic, letter.partition, letter.offset, letter.topic_id) == ("raw", 3, 7, TOPIC_ID)
    assert (letter.key, letter.value, letter.headers) == (None, b"\xff", headers)
    assert (letter.stage, letter.error, letter.failed_at) == ("validate", "no JSON", NOW)
    assert letter.attempt == (3 if ("attempt", b"3") in headers else 1)
    assert is_whole(letter)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("dlq_partition", b"-1"),
        ("dlq_offset", b"9" * 30),
        ("dlq_attempt", b"0"),
        ("dlq_stage", b"lunch"),
        ("dlq_failed_at", b"yesterday"),
        ("dlq_topic_id", b"7"),
        ("dlq_topic", b""),
        ("dlq_partition", "\u0663".encode()),
    ],
)
def test_a_malformed_dead_letter_raises_invalid_and_no_other_error(name: str, wrong: bytes) -> None:
    outgoing = set_aside(Record(7))
    headers = [(key, wrong if key == name else value) for key, value in outgoing.headers]
    for broken in (headers, [pair for pair in headers if pair[0] != name]):
        if name == "dlq_topic_id" and broken is not headers:
            continue  # older letters have none
        with pytest.raises(MalformedDeadLetter):
            parse_dead_letter(outgoing.key, outgoing.value, broken)


def test_a_letter_without_its_original_headers_keeps_its_link_and_is_not_whole() -> None:
    link = (("attempt", b"4"), ("dlq_of", b"12:00000000-0000-0000-0000-000000000001"))
    outgoing = set_aside(Record(0, headers=(*link, *((("h", b"v" * 1000),) * 500))))
    letter = parse_dead_letter(outgoing.key, outgoing.value, outgoing.headers)
    assert letter.attempt == 4
    assert set(link) <= set(letter.headers)
    assert not is_whole(letter)


def test_the_letter_of_an_unreadable_record_keeps_its_bytes_and_says_that_they_are_not_decoded() -> None:
    record = UnreadableRecord("raw", 3, 7, 0, 0, value=b"\x28\xb5\x2f\xfd", reason="packed with zstd")
    letter = letter_of(record, Invalid("packed with zstd"), stage="validate", worker="w1", now=NOW)
    assert (letter.value, letter.attempt, is_whole(letter)) == (b"\x28\xb5\x2f\xfd", 1, False)
    assert letter.headers == (("dlq_unreadable", b"these bytes are not decoded"),)


# The sizes that the dead-letter topic keeps uncut, from its documentation. A header counts six bytes besides its own.
@pytest.mark.parametrize(
    ("key", "value", "cut"), [(100_000, 1_500_000, False), (100_001, 1, True), (1, 1_500_001, True)]
)
def test_a_record_of_exactly_the_size_that_fits_is_not_cut(key: int, value: int, cut: bool) -> None:
    letter = set_aside(Record(0, key=b"k" * key, value=b"v" * value))
    assert (len(letter.key or b""), len(letter.value or b"")) == (min(key, 100_000), min(value, 1_500_000))
    assert ("dlq_truncated" in dict(letter.headers)) is cut


@pytest.mark.parametrize(("content", "kept"), [(99_993, True), (99_994, False)])
def test_headers_of_exactly_the_size_that_fits_are_kept_and_otherwise_counted(content: int, kept: bool) -> None:
    headers = dict(set_aside(Record(0, headers=(("h", b"v" * content),))).headers)
    assert (len(headers.get("h", b"")), headers.get("dlq_headers_dropped")) == ((content, None) if kept else (0, b"1"))


def read_back(**changes: bytes) -> DeadLetter:
    """The dead letter that is read from a record whose headers `dlq_...` were changed."""
    outgoing = set_aside(Record(7, partition=3))
    headers = [(name, changes.get(name.removeprefix("dlq_"), value)) for name, value in outgoing.headers]
    return parse_dead_letter(outgoing.key, outgoing.value, headers)


def test_a_dead_letter_is_read_back_with_its_key_its_worker_and_the_type_of_its_error() -> None:
    letter = read_back()
    assert (letter.key, letter.value, letter.worker, letter.error_type) == (b"k", b"v", "w1", "Invalid")


def test_a_letter_without_a_topic_id_gets_the_one_that_stands_for_its_topic() -> None:
    outgoing = set_aside(Record(7))
    older = [pair for pair in outgoing.headers if pair[0] != "dlq_topic_id"]
    # md5sum of the three letters "raw"
    assert parse_dead_letter(None, b"v", older).topic_id == UUID("bdd166af3a63f7be696dd17a218a6ffb")


@pytest.mark.parametrize(
    ("header", "largest", "beyond"),
    [
        ("topic", b"t" * 249, b"t" * 250),
        ("partition", b"2147483647", b"2147483648"),
        ("offset", b"9223372036854775807", b"9223372036854775808"),
        ("attempt", b"2147483647", b"2147483648"),
        ("offset", b"0" * 18 + b"7", b"0" * 19 + b"7"),
    ],
)
def test_what_kafka_and_the_database_can_hold_is_accepted_and_more_is_not(
    header: str, largest: bytes, beyond: bytes
) -> None:
    assert str(getattr(read_back(**{header: largest}), header)) in (largest.decode(), "7")
    with pytest.raises(MalformedDeadLetter, match=r"a header is wrong: '.* is not "):
        read_back(**{header: beyond})


def test_a_topic_may_have_a_name_of_one_letter() -> None:
    assert read_back(topic=b"t").topic == "t"


def test_a_number_that_is_only_nearly_one_is_refused() -> None:
    with pytest.raises(MalformedDeadLetter):
        read_back(offset=b" 7")


def test_texts_of_a_letter_that_another_program_wrote_are_cut_and_need_not_be_utf_8() -> None:
    letter = read_back(error=b"caf\xe9", error_type=b"t" * 300, worker=b"w" * 300)
    assert letter.error == "caf\ufffd"
    assert (len(letter.error_type), len(letter.worker)) == (200, 200)


@pytest.mark.parametrize("header", ["topic", "stage", "failed_at", "error_type", "worker", "attempt"])
def test_a_malformed_letter_says_which_header_is_missing(header: str) -> None:
    outgoing = set_aside(Record(7))
    headers = [pair for pair in outgoing.headers if pair[0] != f"dlq_{header}"]
    with pytest.raises(MalformedDeadLetter, match=f"^no header dlq_{header}$") as refused:
        parse_dead_letter(None, None, headers)
    assert refused.value.field == f"dlq_{header}"


@pytest.mark.parametrize(
    ("header", "content", "said"),
    [
        ("stage", b"s" * 300, "'s{80}' is not the name of a stage"),
        ("topic", b"t" * 300, "'t{80}' is not the name of a topic"),
        ("offset", b"o" * 300, "'o{80}' is not an integer from 0 to 9223372036854775807"),
        ("failed_at", b"2026-01-03T00:00:00", "failed_at has no time zone"),
    ],
)
def test_a_malformed_letter_quotes_the_beginning_of_what_is_wrong(header: str, content: bytes, said: str) -> None:
    with pytest.raises(MalformedDeadLetter, match=f"^a header is wrong: {said}$"):
        read_back(**{header: content})
