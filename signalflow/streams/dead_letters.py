"""Dead letters: one bad record, set aside whole, with where it came from and why."""

from datetime import datetime
from typing import Any, Literal

from signalflow.errors import Invalid
from signalflow.events import DeadLetter, attempt_of
from signalflow.streams.producer import Outgoing


def dead_letter(
    record: Any, error: Invalid, *, stage: Literal["decode", "validate", "enrich", "write"], worker: str, now: datetime
) -> Outgoing:
    """The record for the dead-letter topic: original key, value and headers, and ours beside them."""
    headers = tuple((name, bytes(value or b"")) for name, value in record.headers)
    letter = DeadLetter(
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
        attempt=attempt_of(headers),
    )
    return Outgoing(letter.key, letter.value, letter.dlq_headers())
