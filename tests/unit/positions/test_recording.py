"""What the database is told of the breaks of logs, and of topics that were made anew."""

from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from signalflow.errors import Retryable
from signalflow.positions.recording import record_breaks, record_topics
from signalflow.streams.breaks import LogBreak
from tests.unit.positions.fakes import TP0, TP1, Consumer, Database


async def test_breaks_are_recorded_in_order_and_those_that_the_database_does_not_take_wait(
    app: Any, consumer: Consumer, database: Database
) -> None:
    consumer.breaks = [LogBreak(TP0, "log_cut", 28, 20), LogBreak(TP1, "topic_made_anew", 5, 0)]
    database.room = 1
    with pytest.raises(Retryable):
        await record_breaks(app, "the pool")  # type: ignore[arg-type]
    assert consumer.recorded == consumer.breaks[:1]
    database.room = 1
    await record_breaks(app, "the pool")  # type: ignore[arg-type]
    assert consumer.recorded == consumer.breaks
    assert database.breaks[1] == {
        "topic": "raw", "partition": 1, "reason": "topic_made_anew", "committed": 5, "going_on_at": 0
    }  # fmt: skip


async def test_each_new_id_of_a_topic_that_fills_the_tables_is_logged_once(
    app: Any, consumer: Consumer, database: Database
) -> None:
    with capture_logs() as logs:
        await record_topics(app, "the pool")  # type: ignore[arg-type]
        consumer.brokers.ids["raw"] = UUID(int=9)
        await record_topics(app, "the pool")  # type: ignore[arg-type]
    names = [name for name in database.topics if name.endswith(".raw")]
    assert [(line["event"], line["topic"], line["id"]) for line in logs] == [
        ("tables_are_of_another_topic", name, str(UUID(int=9))) for name in names
    ]
    assert names
    consumer.brokers.failure = TimeoutError("no answer")
    with pytest.raises(Retryable, match=r"^brokers: TimeoutError: no answer$"):
        await record_topics(app, "the pool")  # type: ignore[arg-type]
