"""The signals' handler: a bad record harms no other, and signals are confirmed before what they follow from."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agents.detecting import SignalsHandler
from agents.signals import handler_of_subreddits
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.signals import subreddit
from signalflow.domain.signals.subreddit import Seen, SubredditState
from signalflow.errors import Fatal
from signalflow.kafka.producer import Outgoing, Refused
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import REGISTRY
from signalflow.settings import Settings
from signalflow.signal_detection import Detector
from signalflow.streams.batch_loop import Batch, Ownership
from signalflow.streams.watermarks import Watermarks
from tests.unit.streams.fakes import FakeApp, FakeEvent, FakeMessage, Record
from tests.unit.test_signal_detection import MS, PYTHON, change, given_input, record

NAMES = TopicNames.of(Settings())


class Brokers:
    """Takes all records but those whose value holds a word."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.records: dict[str, list[Outgoing]] = {}
        self.refusing = b"no such word"

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> dict[int, Any]:
        given = [each for records in by_partition.values() for each in records]
        if topic == NAMES.signals and any(self.refusing in (each.value or b"") for each in given):
            raise Refused("too large")
        self.journal.append(topic)
        self.records.setdefault(topic, []).extend(given)
        return {}


class Table:
    """Remembers what was written."""

    agent = "signals"

    def __init__(self, brokers: Brokers) -> None:
        self.values: dict[bytes, bytes | None] = {}
        self._brokers = brokers

    def read(self, partition: int, keys: Sequence[bytes]) -> dict[bytes, bytes | None]:
        return {key: self.values.get(key) for key in keys}

    async def write(self, producer: Any, states: Mapping[int, Mapping[bytes, bytes | None]], check: Any) -> None:
        self._brokers.journal.append("state")
        for state in states.values():
            self.values |= state


def follow(state: SubredditState | None, name: str, seen: Seen) -> tuple[SubredditState, Any]:
    """Two signals of each post; the post `bad` is one that nobody thought of."""
    if seen.post_id == "bad":
        raise ZeroDivisionError
    after, _ = subreddit.follow(state, name, seen)
    return after, (change(subject=seen.post_id), change(subject=seen.post_id, kind="unusual_here"))


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()


@pytest.fixture
def table(brokers: Brokers) -> Table:
    return Table(brokers)


@pytest.fixture
def watermarks() -> Watermarks:
    return Watermarks()


@pytest.fixture
def handler(brokers: Brokers, table: Table, watermarks: Watermarks) -> SignalsHandler[Any]:
    dead_letters = DeadLetters(Settings(), brokers, "w")  # type: ignore[arg-type]
    return handler_of_subreddits(
        Settings(),
        table,
        brokers,
        dead_letters,
        watermarks,
        Detector(follow),  # type: ignore[arg-type]
    )


def batch(*records: Record) -> Batch:
    return Batch([FakeEvent(FakeMessage(list(records)))])


def inputs(*posts: str) -> list[Record]:
    return [record(given_input(n, n, post_id=post), n, n) for n, post in enumerate(posts)]


async def take(handler: SignalsHandler[Any], *records: Record) -> None:
    await handler.commit(await handler.prepare(batch(*records)), Ownership(FakeApp(), 1))


async def test_signals_are_confirmed_before_the_state_and_a_redelivery_gives_none(
    handler: SignalsHandler[Any], brokers: Brokers, table: Table, watermarks: Watermarks
) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("signalflow_signal_changes_total", {"kind": "viral"}) or 0.0

    before = counted()
    await take(handler, *inputs("a", "b"))
    assert brokers.journal == [NAMES.signals, "state"]
    assert [each.key for each in brokers.records[NAMES.signals]] == [PYTHON] * 4
    assert counted() == before + 2
    assert watermarks.of(0) == (MS + 1) * 1000
    value = table.values[PYTHON]
    await take(handler, *inputs("a", "b"))
    assert len(brokers.records[NAMES.signals]) == 4
    assert table.values[PYTHON] == value


async def test_a_bad_record_and_a_defect_become_dead_letters_and_the_others_count(
    handler: SignalsHandler[Any], brokers: Brokers, table: Table
) -> None:
    first, bad, last = inputs("a", "bad", "b")
    await take(handler, first, bad, Record(7, NAMES.signal_inputs, key=b"x", value=b"no json"), last)
    assert [each.value for each in brokers.records[NAMES.posts_dlq]] == [bad.value, b"no json"]
    assert len(brokers.records[NAMES.signals]) == 4


async def test_a_record_whose_signals_are_refused_is_one_dead_letter(
    handler: SignalsHandler[Any], brokers: Brokers, table: Table
) -> None:
    brokers.refusing = b'"subject":"b"'
    first, second = inputs("a", "b")
    await take(handler, first, second)
    assert brokers.journal[-2:] == [NAMES.posts_dlq, "state"]
    assert [each.value for each in brokers.records[NAMES.posts_dlq]] == [second.value]
    assert len(brokers.records[NAMES.signals]) == 2


async def test_a_value_of_another_version_stops_the_worker(handler: SignalsHandler[Any], table: Table) -> None:
    table.values[PYTHON] = b"\xff\xff"
    with pytest.raises(Fatal):
        await handler.prepare(batch(*inputs("a")))
