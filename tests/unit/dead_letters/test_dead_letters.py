"""Sending dead letters: the limit first, then the brokers, and only then metrics and log."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from agents.computing import Work
from agents.enrich import EnrichHandler
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Fatal, Invalid, Retryable
from signalflow.events import DeadLetter
from signalflow.kafka.producer import Outgoing, Refused
from signalflow.kafka.topic_ids import substitute_id
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings
from signalflow.streams.batch_loop import GiveBack, Ownership
from signalflow.streams.watermarks import Watermarks
from tests.unit.streams.fakes import FakeApp, Record


class Brokers:
    """A producer that remembers what was confirmed; while it is away, every send fails."""

    def __init__(self) -> None:
        self.confirmed: list[tuple[str, int, int]] = []
        self.away: set[str] = set()
        self.most_bytes = 1 << 21

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
        if topic in self.away:
            raise Retryable("brokers away")
        records = [record for some in by_partition.values() for record in some]
        if any(len(record.value or b"") > self.most_bytes for record in records):
            raise Refused("too large")
        self.confirmed += [(topic, partition, len(records)) for partition, records in by_partition.items()]
        return {}


class Table:
    """A state table whose changelog may be away."""

    agent = "enrich"

    def __init__(self) -> None:
        self.away = False

    async def write(self, producer: Any, states: Any, check: Any) -> None:
        if self.away:
            raise Retryable("changelog away")


def counted() -> float:
    return REGISTRY.get_sample_value("signalflow_dead_letters_total", {"stage": "validate"}) or 0.0


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
def dead_letters(brokers: Brokers) -> DeadLetters:
    return DeadLetters(Settings(dlq_limit_in_row=5), brokers, "w1")  # type: ignore[arg-type]


def letters(dead_letters: DeadLetters, *offsets: int, partition: int = 0) -> list[DeadLetter]:
    return [dead_letters.letter(Record(o, partition=partition), Invalid("bad"), "validate") for o in offsets]


async def test_a_letter_counts_when_the_brokers_have_confirmed_it_and_not_before(
    dead_letters: DeadLetters, brokers: Brokers
) -> None:
    before = counted()
    batch = letters(dead_letters, 0, 2)
    brokers.away = {dead_letters.topic}
    with pytest.raises(Retryable):
        await dead_letters.send(batch)
    assert counted() == before
    brokers.away = set()
    await dead_letters.send(batch)
    assert counted() == before + 2


async def test_each_letter_goes_to_the_partition_of_its_record(dead_letters: DeadLetters, brokers: Brokers) -> None:
    await dead_letters.send([*letters(dead_letters, 0, 2), *letters(dead_letters, 7, partition=3)])
    assert brokers.confirmed == [(dead_letters.topic, 0, 2), (dead_letters.topic, 3, 1)]


async def test_a_letter_that_the_brokers_refuse_is_cut_and_the_others_are_sent_whole(
    dead_letters: DeadLetters, brokers: Brokers
) -> None:
    brokers.most_bytes = 100_000
    large = dead_letters.letter(Record(2, value=b"v" * 400_000), Invalid("bad"), "validate")
    await dead_letters.send([*letters(dead_letters, 0), large, *letters(dead_letters, 4)])
    assert sum(records for _, _, records in brokers.confirmed) == 3
    assert {topic for topic, _, _ in brokers.confirmed} == {dead_letters.topic}
    brokers.most_bytes = -1
    with pytest.raises(Fatal, match="takes no dead letter, whatever its size: too large"):
        await dead_letters.send(letters(dead_letters, 6))


async def test_letters_over_the_limit_are_neither_sent_nor_counted(dead_letters: DeadLetters, brokers: Brokers) -> None:
    before = counted()
    with pytest.raises(Fatal, match="5 records in a row"):
        await dead_letters.send(letters(dead_letters, 0, 1, 2, 3, 4))
    assert (brokers.confirmed, counted()) == ([], before)


async def test_a_batch_that_is_given_back_sends_and_counts_no_dead_letter(
    dead_letters: DeadLetters, brokers: Brokers
) -> None:
    before, app = counted(), FakeApp()
    owned = Ownership(app, app.consumer_generation_id)
    app.consumer_generation_id += 1
    with pytest.raises(GiveBack):
        await enrich_handler(dead_letters, brokers, Table()).commit(Work(letters(dead_letters, 0)), owned)
    assert (brokers.confirmed, counted()) == ([], before)


async def test_a_retry_of_the_batch_sends_and_counts_its_letters_once(
    dead_letters: DeadLetters, brokers: Brokers
) -> None:
    before, table = counted(), Table()
    handler, work = enrich_handler(dead_letters, brokers, table), Work(letters(dead_letters, 0))
    table.away = True
    with pytest.raises(Retryable):
        await handler.commit(work, Ownership(FakeApp(), 1))
    table.away = False
    await handler.commit(work, Ownership(FakeApp(), 1))
    assert (brokers.confirmed, counted()) == ([(dead_letters.topic, 0, 1)], before + 1)


def enrich_handler(dead_letters: DeadLetters, brokers: Brokers, table: Table) -> EnrichHandler:
    return EnrichHandler(Settings(), table, brokers, dead_letters, Watermarks(), lambda: 12)  # type: ignore[arg-type]


async def test_a_dead_letter_is_logged_with_its_place_and_reason_and_without_its_content(
    dead_letters: DeadLetters,
) -> None:
    with capture_logs() as logged:
        await dead_letters.send(letters(dead_letters, 7, partition=3))
    place = {"topic": "raw", "partition": 3, "offset": 7}
    assert logged == [{"event": "dead_letter", "log_level": "warning", **place, "error": "bad"}]


def test_dead_letters_go_to_the_topic_of_the_settings(brokers: Brokers) -> None:
    made = DeadLetters(Settings(topic_prefix="blue-"), brokers, "w1")  # type: ignore[arg-type]
    assert made.topic == "blue-" + DeadLetters(Settings(), brokers, "w1").topic  # type: ignore[arg-type]


def test_a_letter_names_the_topic_that_was_read_in_its_partition(brokers: Brokers) -> None:
    """A worker may have noticed in one partition alone that the topic was made anew."""
    ids = {0: UUID(int=1), 1: UUID(int=2)}
    dead_letters = DeadLetters(Settings(), brokers, "w1", topic_id_of=lambda topic, partition: ids.get(partition))  # type: ignore[arg-type]
    letters = [dead_letters.letter(Record(0, partition=number), Invalid("bad"), "validate") for number in range(3)]
    assert [letter.topic_id for letter in letters] == [UUID(int=1), UUID(int=2), substitute_id("raw")]
