"""What a repair sends again, and what it cannot."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify import repair
from signalflow.verify.report import Missing

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings()
TOPICS = TopicNames.of(SETTINGS)
ENRICHED = SimpleNamespace(key=b"a", value=b'{"id": "a", "observed_at": "2026-01-01T12:00:00Z"}', headers=())


class Log:
    """The enriched topic has one record, the other topics have none."""

    def __init__(self, settings: Settings, group: str) -> None: ...

    async def extent(self, topic: str) -> str:
        return topic

    async def records(self, topic: str, extent: str) -> AsyncIterator[list[Any]]:
        yield [ENRICHED] if topic == TOPICS.posts_enriched else []


async def test_an_observation_that_no_topic_has_any_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repair, "TopicLog", Log)
    gone = {("a", NOON + timedelta(seconds=1)), ("b", NOON)}
    planned = await repair.plan(SETTINGS, TOPICS, Missing(observations={("a", NOON)} | gone))
    assert planned.in_no_topic == gone
    assert planned.counts == {TOPICS.posts_enriched: 1}
