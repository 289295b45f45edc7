"""What the brokers confirm to the poller is noted, and new records tell when the log has lost earlier ones."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from signalflow.domain.positions import takes_the_place
from signalflow.errors import Retryable
from signalflow.kafka.producer import Outgoing, Span
from signalflow.kafka.publisher import Publisher
from signalflow.positions.published import note_of
from tests.integration.workers import observation
from tests.unit.positions.fakes import OTHER_ID, TOPIC_ID, Database, at

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first", "time", "told"),
    [(10, 2_000, False), (9, 2_000, True), (9, 1_000, False), (9, 999, False), (9, None, False)],
    ids=["after the known ones", "later at a lower offset", "at the same time", "noted late", "times of producers"],
)
def test_a_later_record_at_a_lower_offset_takes_the_place_of_a_lost_one(
    first: int, time: int | None, told: bool
) -> None:
    assert takes_the_place(first, time, at(10, 1_000)) is told


@pytest.fixture(autouse=True)
def known(database: Database) -> None:
    """The database knows what was published before."""
    database.published.positions = {0: at(10, 1_000), 1: at(20, 1_000)}


def a_worker(id_now: UUID | None) -> Any:
    """A worker that knows the raw topic by one id; the brokers have it under another, or not at all."""

    async def topic_ids(names: Sequence[str]) -> Mapping[str, UUID]:
        return {} if id_now is None else dict.fromkeys(names, id_now)

    brokers = SimpleNamespace(topic_ids=topic_ids)
    return SimpleNamespace(consumer=SimpleNamespace(topic_id={"raw": TOPIC_ID}.get, brokers=brokers))


CONFIRMED = {0: [Span(6, 7, 0, 2_000), Span(8, 8, 2, 2_001)], 1: [Span(20, 21, 0, 2_000)]}


async def test_a_cut_is_recorded_for_the_partitions_whose_offsets_were_given_again(database: Database) -> None:
    with capture_logs() as logs:
        await note_of(a_worker(TOPIC_ID), "the pool", "raw")(CONFIRMED)  # type: ignore[arg-type]
    assert [(entry["event"], entry["partition"], entry["since"], entry["most"]) for entry in logs] == [
        ("published_records_lost", 0, 6, 4)
    ]
    assert database.breaks == [{"topic": "raw", "partition": 0, "reason": "log_cut", "committed": 10, "going_on_at": 6}]
    assert database.published.writes == [{0: at(9, 2_001), 1: at(22, 2_000)}]


@pytest.mark.parametrize("id_now", [OTHER_ID, None], ids=["made anew", "deleted"])
async def test_a_topic_that_was_made_anew_is_not_called_cut(database: Database, id_now: UUID | None) -> None:
    await note_of(a_worker(id_now), "the pool", "raw")(CONFIRMED)  # type: ignore[arg-type]
    assert database.breaks == []


async def test_brokers_that_do_not_say_whether_the_topic_was_made_anew_are_asked_again(database: Database) -> None:
    async def topic_ids(names: Sequence[str]) -> Mapping[str, UUID]:
        raise KafkaConnectionError("no broker")

    worker = a_worker(TOPIC_ID)
    worker.consumer.brokers.topic_ids = topic_ids
    with pytest.raises(Retryable, match="brokers: KafkaConnectionError"):
        await note_of(worker, "the pool", "raw")(CONFIRMED)  # type: ignore[arg-type]
    assert (database.breaks, database.published.writes) == ([], [])


async def test_what_was_confirmed_counts_as_published_also_where_it_cannot_be_noted() -> None:
    class Producer:
        async def partitions_of(self, topic: str) -> int:
            return 1

        async def send(self, topic: str, batches: Mapping[int, Sequence[Outgoing]]) -> Mapping[int, list[Span]]:
            return {0: [Span(0, 0, 0, 1_000)]}

    async def away(confirmed: object) -> None:
        raise Retryable("the database is away")

    publisher = Publisher(Producer(), "raw", away)  # type: ignore[arg-type]
    with capture_logs() as logs:
        assert await publisher.publish([observation("a1", NOW, created_at=NOW)]) == [True]
    assert [entry["event"] for entry in logs] == ["publish_not_noted"]
