"""Signals under the names of the schema."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from signalflow.domain.signals.sentences import About, words_of
from signalflow.domain.signals.usual import Usual, usual
from signalflow.storage.read_router import Row
from signalflow.storage.signals import SERIES_STEP, StoredSignal

_UNITS = {"post": "score", "subreddit": "posts", "term": "none"}


def signal_of(signal: StoredSignal, about: About) -> dict[str, Any]:
    """The fields of a signal, and what it says in words."""
    return asdict(signal) | {"keywords": about.keywords, "term": about.term} | words_of(signal, about)


def series_of_rows(signal: StoredSignal, rows: Sequence[Row]) -> dict[str, Any]:
    """The numbers around a signal, each with what was usual then, as far as the signal tells."""
    return {
        "unit": _UNITS[signal.subject_kind],
        "items": [{"at": row["at"], "value": row["value"]} | _usual_then(signal, row) for row in rows],
    }


def _usual_then(signal: StoredSignal, row: Row) -> dict[str, float | None]:
    """What the rule says of this moment. It grows with a post's age, so it is known of the newest moment alone there.

    What the best posts of a subreddit reach holds at any moment.
    """
    if signal.kind == "viral":
        return asdict(Usual(signal.expected, None, None))
    end = signal.changed_at if signal.ended_at is None else signal.ended_at
    begin = (signal.changed_at if signal.subject_kind == "post" else signal.started_at) - SERIES_STEP
    if not begin <= row["at"] <= end:
        return asdict(Usual(None, None, None))
    return asdict(usual(signal.subject_kind, signal.expected, signal.inputs))
