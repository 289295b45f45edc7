"""What a consumer commits of what was acknowledged, and what it says of the rest."""

import asyncio
from typing import Any

import faust
import pytest
from faust.types import TP

from signalflow.domain.positions import Position
from signalflow.streams.consumer_thread import ConsumerThread
from signalflow.streams.faust_consumer import consumer_class
from signalflow.streams.runs import Run
from tests.unit.streams.consumer_on_logs import (
    CURED,
    TOPIC_ID,
    TP0,
    TP1,
    BrokersOfOneTopic,
    Rig,
    drained,
    make_rig,
    make_running_app,
    timestamp_of,
)
from tests.unit.streams.fakes import Record

CHANGELOG = TP("changelog", 0)
WITHOUT_GUARD = consumer_class(frozenset({"raw"}), BrokersOfOneTopic(), contiguity_guard=False)


@pytest.fixture
async def app() -> faust.App:
    return make_running_app()


@pytest.fixture
async def rig(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A consumer that has begun to read at offset 20 of 28."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=20)
    await rig.consumer.perform_seek()
    return rig


def delivered(consumer: Any, *offsets: int) -> Any:
    """A message of these records, which an agent has."""
    message = consumer._to_message(TP0, Run([Record(offset, timestamp=timestamp_of(offset)) for offset in offsets]))
    consumer._rewinds.note_delivery(TP0, message)
    consumer.track_message(message)
    return message


def test_what_is_read_has_the_id_of_its_topic(rig: Rig) -> None:
    assert (rig.consumer.topic_id("raw"), rig.consumer.topic_id("other")) == (TOPIC_ID, None)
    assert (rig.consumer.topic_read(TP0), rig.consumer.topic_read(TP1)) == (TOPIC_ID, None)


async def test_records_that_were_delivered_and_not_committed_are_held(rig: Rig) -> None:
    consumer = rig.consumer
    assert (consumer.held(TP0), consumer.held(TP1), consumer.committed_upto(TP1)) == (0, 0, 0)
    await drained(consumer, rig.delivered, upto=27)
    assert consumer.held(TP0) == 8
    consumer._committed_offset[TP0] = 25
    assert consumer.held(TP0) == 3
    # As it is between a rewind's commit and its seek.
    consumer._committed_offset[TP0] = 30
    assert consumer.held(TP0) == 0


async def test_the_oldest_record_that_is_not_committed_is_found_by_its_time(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=20, partitions=[TP0, TP1])
    rig.logs[TP1].committed = 28
    # The next record came a millisecond after the last committed one.
    monkeypatch.setattr(rig.log, "timestamp_of", lambda offset: timestamp_of(19) + offset - 19)
    await rig.consumer.perform_seek()
    assert await rig.consumer.oldest_unprocessed([TP0, TP1]) == {TP0: timestamp_of(19) + 1}
    # The times of an offset that another program committed are not known: the whole log may be unprocessed.
    rig.consumer._committed_offset[TP0] = 15
    assert await rig.consumer.oldest_unprocessed([TP0]) == {TP0: timestamp_of(19) - 19}


def test_an_acknowledgement_counts_each_record_from_the_commit_on_once(rig: Rig) -> None:
    consumer = rig.consumer
    assert consumer.ack(delivered(consumer, *range(15, 23)))
    assert (consumer._n_acked, consumer._new_offset(TP0)) == (3, 23)
    consumer._committed_offset[TP0] = 23
    assert consumer.ack(delivered(consumer, *range(23, 28)))
    assert (consumer._n_acked, consumer._new_offset(TP0)) == (8, 28)


async def test_the_first_record_of_a_log_is_acknowledged_as_any_other(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=0).consumer
    await consumer.perform_seek()
    consumer._committed_offset[TP0] = None
    assert consumer.ack(delivered(consumer, 0, 1))
    assert consumer._new_offset(TP0) == 2


@pytest.mark.parametrize("stale", [False, True])
async def test_who_waits_for_acknowledgements_is_told_of_each(rig: Rig, stale: bool) -> None:
    message = delivered(rig.consumer, 20, 21)
    if stale:
        rig.consumer._rewinds.note_rewind(TP0)
    waiting = asyncio.get_running_loop().create_future()
    rig.consumer._waiting_for_ack = waiting
    assert rig.consumer.ack(message) is not stale
    assert waiting.done()


def test_what_is_committed_is_forgotten_and_what_lies_beyond_a_hole_is_kept(rig: Rig) -> None:
    consumer = rig.consumer
    for offsets in ([20, 21], [22], [24]):
        consumer.ack(delivered(consumer, *offsets))
    assert consumer._new_offset(TP0) == 23
    assert (consumer._acked[TP0], consumer._acked_index[TP0]) == ([24], {24})
    assert consumer.position_at(TP0, 23) == Position(23, TOPIC_ID, timestamp_of(22))
    assert consumer.position_at(TP0, 22).timestamp is None, "no commit ends there any more"
    consumer._committed_offset[TP0] = 23
    consumer.ack(delivered(consumer, 23))
    assert consumer._new_offset(TP0) == 25
    assert consumer._acked[TP0] == []


def test_records_of_changelogs_are_acknowledged_and_committed_as_faust_does_it(rig: Rig, app: faust.App) -> None:
    consumer = rig.consumer
    app.topics._acking_topics.add("changelog")

    class One:
        """A message of one record."""

        value = b"v"
        acked = False
        tp, topic, offset = CHANGELOG, "changelog", 3

    assert consumer.ack(One())
    consumer._committed_offset[CHANGELOG] = 3
    assert consumer._new_offset(CHANGELOG) == 4


def test_of_source_partitions_faust_finds_no_offset_that_it_read_last(rig: Rig) -> None:
    """By its own note it would drop the records that a rewind asked for."""
    note = rig.consumer._read_offset
    note[TP0], note[CHANGELOG] = 27, 27
    assert (note[TP0], note[CHANGELOG], note[TP("changelog", 1)]) == (None, 27, None)


async def test_without_the_guard_a_hole_is_passed_as_faust_does_it(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, WITHOUT_GUARD, monkeypatch, length=60, committed=10).consumer
    await consumer.perform_seek()
    consumer._acked[TP0].extend(range(40, 50))
    assert consumer._new_offset(TP0) is None
    await consumer._add_gap(TP0, 10, 39)
    assert consumer._new_offset(TP0) == 50


def test_the_consumer_has_our_thread(rig: Rig) -> None:
    thread = rig.consumer._new_consumer_thread()
    assert isinstance(thread, ConsumerThread)
    assert thread.consumer is rig.consumer
