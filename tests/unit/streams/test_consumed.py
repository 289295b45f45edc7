"""A consumer commits a position with the id of its topic and the time of the record before it."""

from typing import Any
from uuid import UUID

import pytest
from faust.types import TP

from signalflow.domain.positions import Position
from signalflow.streams.consumed import Consumed, Rewinds
from tests.unit.streams.fakes import FakeMessage, Record

TP0, TP1 = TP("raw", 0), TP("raw", 1)
TOPIC_ID = UUID(int=7)


@pytest.fixture
def consumed() -> Consumed:
    noted = Consumed()
    noted.note_topics({"raw": TOPIC_ID})
    return noted


def times(consumed: Consumed, tp: TP, *offsets: int) -> list[int | None]:
    return [consumed.position(tp, offset).timestamp for offset in offsets]


def test_a_position_has_the_id_of_its_topic_and_the_time_of_the_record_before(consumed: Consumed) -> None:
    assert (consumed.topic_id("raw"), consumed.topic_id("other")) == (TOPIC_ID, None)
    consumed.begin(TP0, Position(40, TOPIC_ID, 4_000), TOPIC_ID)
    assert (consumed.topic_read(TP0), consumed.topic_read(TP1)) == (TOPIC_ID, None)
    assert consumed.position(TP0, 40) == Position(40, TOPIC_ID, 4_000)
    consumed.acknowledge(TP0, 50, 5_000)
    assert consumed.position(TP0, 50) == Position(50, TOPIC_ID, 5_000)
    assert consumed.position(TP("other", 0), 50) == Position(50, None, None)


def test_partitions_keep_their_times_apart_and_need_no_begin(consumed: Consumed) -> None:
    consumed.acknowledge(TP0, 50, 5_000)
    consumed.acknowledge(TP1, 60, 6_000)
    assert (times(consumed, TP0, 50, 60), times(consumed, TP1, 50, 60)) == ([5_000, None], [None, 6_000])


def test_a_partition_that_is_read_from_elsewhere_forgets_its_times(consumed: Consumed) -> None:
    consumed.acknowledge(TP0, 50, 5_000)
    consumed.begin(TP0)
    assert times(consumed, TP0, 50) == [None]
    consumed.begin(TP0, Position(40, TOPIC_ID, None))
    assert times(consumed, TP0, 40) == [None]


def test_a_partition_is_of_the_topic_that_it_was_read_from_until_it_begins_in_another(consumed: Consumed) -> None:
    consumed.begin(TP0, topic_id=TOPIC_ID)
    consumed.begin(TP1, topic_id=TOPIC_ID)
    consumed.note_topics({"raw": UUID(int=8)})
    consumed.begin(TP1, topic_id=UUID(int=8))
    consumed.begin(TP0)
    assert [consumed.position(tp, 0).topic_id for tp in (TP0, TP1)] == [TOPIC_ID, UUID(int=8)]


def test_times_between_two_offsets_that_may_be_committed_are_forgotten_and_theirs_stay(consumed: Consumed) -> None:
    for offset in (10, 20, 30, 40):
        consumed.acknowledge(TP0, offset, offset * 100)
        consumed.acknowledge(TP1, offset, offset * 100)
    consumed.pass_over(TP0, 10, 40)
    assert times(consumed, TP0, 10, 20, 30, 40) == [1_000, None, None, 4_000]
    assert times(consumed, TP1, 20) == [2_000]
    consumed.pass_over(TP("other", 0), 10, 40)


def test_a_message_is_stale_if_its_partition_was_rewound_after_it_was_delivered() -> None:
    rewinds = Rewinds()
    messages: list[Any] = [FakeMessage([Record(0)]), FakeMessage([Record(0)]), FakeMessage([Record(0)])]
    elsewhere: Any = FakeMessage([Record(0, partition=1)])
    rewinds.note_delivery(TP1, elsewhere)
    for message in messages:
        rewinds.note_delivery(TP0, message)
        assert not rewinds.is_stale(message)
        rewinds.note_rewind(TP0)
        assert rewinds.is_stale(message)
    assert all(map(rewinds.is_stale, messages))
    assert not rewinds.is_stale(elsewhere)
