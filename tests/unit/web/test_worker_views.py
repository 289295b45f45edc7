"""What a worker says of itself."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from signalflow.metrics import REDDIT_UNANSWERED_SINCE
from web.worker.views import unanswered

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    REDDIT_UNANSWERED_SINCE.clear()


def test_while_reddit_answers_there_is_nothing_to_say() -> None:
    assert unanswered() is None


@pytest.mark.parametrize("reason", ["status_403", "no_answer", "unauthorized"])
def test_a_standstill_has_a_beginning_a_reason_and_an_advice(reason: str) -> None:
    REDDIT_UNANSWERED_SINCE.labels(reason=reason).set(SINCE.timestamp())
    found = unanswered()
    assert found is not None
    assert (found["since"], found["reason"]) == (SINCE, reason)
    assert found["what_to_do"]
