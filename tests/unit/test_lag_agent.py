"""The gauges of what a worker has not processed yet."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from faust.types import TP

from agents import lag
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTINGS = Settings()
RAW = TopicNames.of(SETTINGS).posts_raw
BEYOND, BEHIND = TP(RAW, 0), TP(RAW, 1)
END = 10


class Consumer:
    """Two partitions of the raw topic: the commit of one is beyond its end, that of the other is behind."""

    def __init__(self) -> None:
        self.asked_for_the_oldest: list[TP] = []

    def assignment(self) -> set[TP]:
        return {BEYOND, BEHIND}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        return dict.fromkeys(partitions, END)

    def started(self) -> set[TP]:
        return {BEYOND, BEHIND}

    def committed_upto(self, tp: TP) -> int:
        return {BEYOND: 30, BEHIND: 5}[tp]

    async def oldest_unprocessed(self, partitions: Collection[TP]) -> Mapping[TP, int]:
        self.asked_for_the_oldest += partitions
        return dict.fromkeys(partitions, int((NOW.timestamp() - 90) * 1000))

    def held(self, tp: TP) -> int:
        return 0


def gauge(name: str) -> float | None:
    return REGISTRY.get_sample_value(f"signalflow_{name}", {"topic": RAW})


async def test_a_commit_beyond_the_end_is_told_and_hides_no_lag_of_another_partition(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lag, "utcnow", lambda: NOW)
    consumer = Consumer()
    await lag.update_lag(SimpleNamespace(settings=SETTINGS, consumer=consumer))  # type: ignore[arg-type]
    assert (gauge("consumer_lag"), gauge("commits_beyond_end")) == (5, 20)
    assert gauge("oldest_unprocessed_seconds") == pytest.approx(90)
    assert consumer.asked_for_the_oldest == [BEHIND], "nothing is unprocessed where the commit is beyond the end"
