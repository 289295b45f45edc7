"""What a worker says of itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from faust.exceptions import ConsumerNotStarted

from signalflow.metrics import REDDIT_UNANSWERED_SINCE
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.workspace import claim_workspace
from web.worker.views import assigned_partitions, unanswered

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


def test_a_worker_whose_consumer_does_not_run_yet_has_no_partitions(tmp_path: Path) -> None:
    """Its web server answers before: an error with a traceback came of the first question at a slow start."""
    settings = Settings(state_dir=tmp_path, worker_name="w1")
    app = create_faust_app(Application, settings, claim_workspace(settings))
    with pytest.raises(ConsumerNotStarted):
        app.consumer.assignment()
    assert assigned_partitions(app) == []
