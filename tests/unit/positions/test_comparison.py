"""What a comparison of logs, tables and commits looks at, and in which order."""

from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from signalflow.errors import Retryable
from signalflow.positions.comparison import compare
from signalflow.streams.breaks import LogBreak
from tests.unit.positions.fakes import TP0, TP1, Consumer, Database


class Stored:
    """A stored topic. When it is compared, the break of a log is found."""

    def __init__(self, found: LogBreak) -> None:
        self._found = found

    async def compare(self, consumer: Consumer) -> None:
        consumer.breaks.append(self._found)


async def test_what_the_logs_and_each_stored_topic_tell_is_recorded_at_once(
    app: Any, consumer: Consumer, database: Database
) -> None:
    consumer.cut = LogBreak(TP0, "log_cut", 28, 20)
    stored = [Stored(LogBreak(TP1, "log_cut", 5, 3)), Stored(LogBreak(TP1, "log_cut", 4, 2))]
    await compare(app, "the pool", stored)  # type: ignore[arg-type]
    assert [(each["partition"], each["committed"]) for each in database.breaks] == [(0, 28), (1, 5), (1, 4)]
    assert {name.rpartition(".")[2] for name in database.topics} == {"raw", "enriched"}


async def test_while_the_brokers_are_away_nothing_is_compared(app: Any, consumer: Consumer, database: Database) -> None:
    consumer.failure = KafkaConnectionError("no broker")
    with pytest.raises(Retryable, match=r"^brokers: KafkaConnectionError: .*no broker$"):
        await compare(app, "the pool", [Stored(LogBreak(TP1, "log_cut", 5, 3))])  # type: ignore[arg-type,list-item]
    assert (consumer.breaks, database.topics) == ([], {})
