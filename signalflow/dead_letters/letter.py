"""The dead letter: a record that cannot be processed, with its origin and the reason; and its form in the topic."""

from collections.abc import Sequence
from datetime import datetime
from typing import get_args
from uuid import UUID

from signalflow.domain.words import Stage
from signalflow.errors import Invalid
from signalflow.events import DeadLetter
from signalflow.kafka.producer import Outgoing
from signalflow.kafka.records import KafkaRecord, UnreadableRecord
from signalflow.kafka.topic_ids import substitute_id
from signalflow.lineage import attempt_of, lineage

# The topic takes 2 MiB. Limits of topics count compressed bytes, so a record may be larger than its topic's limit.
MOST_VALUE_BYTES = 1_500_000
MOST_HEADER_BYTES = 100_000
MOST_KEY_BYTES = 100_000
# Lengths up to 1 MiB take three bytes.
MOST_LENGTH_BYTES = 3
TRUNCATED = "dlq_truncated"
HEADERS_DROPPED = "dlq_headers_dropped"
UNREADABLE = "dlq_unreadable"
# The first header that `DeadLetter.dlq_headers` adds. The headers of dead letters follow the original ones.
_FIRST_DLQ_HEADER = "dlq_topic"
_MOST_OFFSET = 2**63 - 1
_MOST_INT = 2**31 - 1


class MalformedDeadLetter(Invalid):
    """A record of the dead-letter topic that holds no dead letter."""


def letter_of(
    record: KafkaRecord,
    error: Invalid,
    *,
    stage: Stage,
    worker: str,
    now: datetime,
    topic_id: UUID | None = None,
) -> DeadLetter:
    """The dead letter of a record: key, value and headers as they are, and why the record failed.

    `topic_id`: the id of the topic from which the record was read; None when it is not known.
    The value of a record that the client could not decode is not its producer's. The header `dlq_unreadable` says so.
    """
    headers = tuple((name, bytes(value or b"")) for name, value in record.headers)
    if isinstance(record, UnreadableRecord):
        headers = ((UNREADABLE, b"these bytes are not decoded"),)
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=headers,
        stage=stage,
        error_type=type(error).__name__,
        error=str(error),
        worker=worker,
        failed_at=now,
        topic_id=topic_id or substitute_id(record.topic),
        attempt=attempt_of(headers),
    )


def record_of(letter: DeadLetter, most_bytes: int = MOST_VALUE_BYTES) -> Outgoing:
    """The record for the dead-letter topic: original key, value and headers, followed by the headers `dlq_...`.

    A record that the topic would refuse is cut, so that the worker can go on. The header `dlq_truncated` then gives the
    original size of key and value in bytes, and `dlq_headers_dropped` the number of original headers. `most_bytes`:
    none of the three keeps more.
    """
    key, value, headers = letter.key, letter.value, list(letter.headers)
    most_of_key = min(MOST_KEY_BYTES, most_bytes)
    if sum(map(_size_of_header, headers)) > min(MOST_HEADER_BYTES, most_bytes):
        headers = [*lineage(headers), (HEADERS_DROPPED, str(len(headers)).encode())]
    if len(key or b"") > most_of_key or len(value or b"") > most_bytes:
        headers.append((TRUNCATED, str(len(key or b"") + len(value or b"")).encode()))
        key, value = key and key[:most_of_key], value and value[:most_bytes]
    return Outgoing(key, value, [*headers, *letter.dlq_headers()])


def _size_of_header(header: tuple[str, bytes]) -> int:
    """The bytes of a header in a record, with its two lengths."""
    name, content = header
    return len(name.encode()) + len(content) + 2 * MOST_LENGTH_BYTES


def parse_dead_letter(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> DeadLetter:
    """The dead letter that a record of the dead-letter topic holds. Raises MalformedDeadLetter when it holds none.

    A letter without a topic id gets the substitute id of its topic.
    """
    names = [name for name, _ in headers]
    if _FIRST_DLQ_HEADER not in names:
        raise MalformedDeadLetter(f"no header {_FIRST_DLQ_HEADER}", field=_FIRST_DLQ_HEADER)
    # Original headers may have the same names. The headers of the letter come last, and each of them only once.
    start = len(names) - 1 - names[::-1].index(_FIRST_DLQ_HEADER)
    ours = {name.removeprefix("dlq_"): content.decode("utf-8", "replace") for name, content in headers[start:]}
    try:
        topic = ours["topic"]
        stage = ours["stage"]
        if not 0 < len(topic) <= 249:
            raise ValueError(f"{topic[:80]!r} is not the name of a topic")
        if stage not in get_args(Stage):
            raise ValueError(f"{stage[:80]!r} is not the name of a stage")
        failed_at = datetime.fromisoformat(ours["failed_at"])
        if failed_at.tzinfo is None:
            raise ValueError("failed_at has no time zone")
        return DeadLetter(
            topic=topic,
            partition=_integer(ours["partition"], 0, _MOST_INT),
            offset=_integer(ours["offset"], 0, _MOST_OFFSET),
            key=key,
            value=value,
            headers=tuple(headers[:start]),
            stage=stage,  # type: ignore[arg-type]
            error_type=ours["error_type"][:200],
            error=ours["error"],
            worker=ours["worker"][:200],
            failed_at=failed_at,
            topic_id=UUID(ours["topic_id"]) if "topic_id" in ours else substitute_id(topic),
            attempt=_integer(ours["attempt"], 1, _MOST_INT),
        )
    except KeyError as error:
        raise MalformedDeadLetter(f"no header dlq_{error.args[0]}", field=f"dlq_{error.args[0]}") from error
    except ValueError as error:
        raise MalformedDeadLetter(f"a header is wrong: {error}") from error


def _integer(text: str, lowest: int, highest: int) -> int:
    """The integer that a header holds. Raises ValueError when it is no decimal number from `lowest` to `highest`."""
    # int() takes more than digits, such as spaces, and becomes slow for long texts.
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not lowest <= int(text) <= highest:
        raise ValueError(f"{text[:80]!r} is not an integer from {lowest} to {highest}")
    return int(text)


def is_whole(letter: DeadLetter) -> bool:
    """Whether the letter has all of the record, as its producer sent it."""
    return not any(name in (TRUNCATED, HEADERS_DROPPED, UNREADABLE) for name, _ in letter.headers)
