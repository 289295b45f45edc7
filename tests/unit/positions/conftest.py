"""A worker without servers, for the tests of positions."""

from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.domain.positions import Position
from signalflow.positions import published, read_topic, recording
from signalflow.settings import Settings
from tests.unit.positions.fakes import OTHER, OTHER_ID, TOPIC_ID, TP0, TP1, Consumer, Database, at


@pytest.fixture
def consumer() -> Consumer:
    """A consumer that reads two partitions of the raw topic, and one of another topic."""
    read = {TP0: at(28, 1_270), TP1: at(5, 1_040), OTHER: Position(9, OTHER_ID, 1_080)}
    return Consumer(read, {"raw": TOPIC_ID})


@pytest.fixture
def app(consumer: Consumer) -> Any:
    return SimpleNamespace(consumer=consumer, consumer_generation_id=1, settings=Settings())


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    """The database of what is noted and recorded."""
    database = Database()
    monkeypatch.setattr(read_topic, "READ", database.read)
    for module in (read_topic, published):
        monkeypatch.setattr(module, "PUBLISHED", database.published)
    for module in (recording, published):
        monkeypatch.setattr(module, "note_break", database.note_break)
    monkeypatch.setattr(recording, "note_topics", database.note_topics)
    return database
