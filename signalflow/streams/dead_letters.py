"""Dead letters: one bad record, set aside whole, with where it came from and why."""

from datetime import datetime
from typing import Any

from signalflow.errors import Invalid
from signalflow.events import DeadLetter, Stage, attempt_of
from signalflow.streams.producer import Outgoing

# The topic takes 2 MiB and a header or two. Limits of topics count compressed bytes, so a record may be larger than its topic's.
MOST_VALUE_BYTES = 1_500_000
MOST_HEADER_BYTES = 100_000


def dead_letter(record: Any, error: Invalid, *, stage: Stage, worker: str, now: datetime) -> Outgoing:
    """The record for the dead-letter topic: original key, value and headers, and ours beside them.

    A value that no topic would take is cut, and the header `dlq_truncated` gives its size: better than a worker that cannot go on.
    """
    headers = tuple((name, bytes(value or b"")) for name, value in record.headers)
    if sum(len(name) + len(value) for name, value in headers) > MOST_HEADER_BYTES:
        headers = (("dlq_headers_dropped", str(len(headers)).encode()),)
    value = record.value
    if value is not None and len(value) > MOST_VALUE_BYTES:
        headers = (*headers, ("dlq_truncated", str(len(value)).encode()))
        value = value[:MOST_VALUE_BYTES]
    letter = DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=value,
        headers=headers,
        stage=stage,
        error_type=type(error).__name__,
        error=str(error),
        worker=worker,
        failed_at=now,
        attempt=attempt_of(headers),
    )
    return Outgoing(letter.key, letter.value, letter.dlq_headers())
