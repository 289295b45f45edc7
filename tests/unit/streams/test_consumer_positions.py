"""Where a consumer begins to read its partitions, and what it reports when a log is not the one of its position."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import faust
import pytest
from faust.types import TP
from structlog.testing import capture_logs

from signalflow.domain.positions import Break, Commit, Position, Start
from signalflow.errors import Retryable
from signalflow.metrics import EXPIRED_BY_RETENTION
from signalflow.streams.faust_consumer import consumer_class
from signalflow.streams.runs import Run
from tests.unit.streams.consumer_on_logs import (
    CURED,
    NEW_ID,
    TOPIC_ID,
    TP0,
    TP1,
    BrokersOfANewTopic,
    BrokersOfOneTopic,
    breaks_of,
    drained,
    events_of,
    make_rig,
    make_running_app,
    no_commits,
    timestamp_of,
)
from tests.unit.streams.fakes import Record

# Sets of partitions have no order. Of so many, one that must be passed over comes before one that must not be.
EIGHT = [TP("raw", number) for number in range(8)]


@pytest.fixture
async def app() -> faust.App:
    return make_running_app()


def acknowledge(consumer: Any, *offsets: int) -> None:
    """As if an agent had got these records, and was done with them."""
    message = consumer._to_message(TP0, Run([Record(offset, timestamp=timestamp_of(offset)) for offset in offsets]))
    consumer._rewinds.note_delivery(TP0, message)
    consumer.track_message(message)
    assert consumer.ack(message)


async def test_partitions_of_which_nothing_was_committed_are_read_from_the_start_of_their_logs(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever others of them have committed."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=20, partitions=EIGHT)
    ask = rig.consumer._thread.committed

    async def of_the_odd_ones(partitions: Collection[TP]) -> dict[TP, Commit]:
        return await ask([tp for tp in partitions if tp.partition % 2])  # type: ignore[no-any-return]

    monkeypatch.setattr(rig.consumer._thread, "committed", of_the_odd_ones)
    for log in rig.logs.values():
        log.start = 5
    with capture_logs() as logs:
        await rig.consumer.perform_seek()
    expected = {tp: 20 if tp.partition % 2 else 5 for tp in EIGHT}
    assert {tp: log.position for tp, log in rig.logs.items()} == expected
    assert {tp: rig.consumer.committed_upto(tp) for tp in rig.consumer.started()} == expected
    assert logs == []


async def test_records_that_retention_removed_before_they_were_read_are_counted(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = EXPIRED_BY_RETENTION.labels(topic="raw")._value
    before = counter.get()
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=10)
    rig.log.start = 17
    with capture_logs() as logs:
        await rig.consumer.perform_seek()
    assert events_of(logs, "records_expired_unprocessed") == [{"topic": "raw", "partition": 0, "records": 7}]
    assert counter.get() == before + 7
    assert (rig.log.position, rig.consumer.committed_upto(TP0)) == (17, 10)
    await drained(rig.consumer, rig.delivered, upto=27)
    assert rig.delivered == list(range(17, 28))


async def test_a_partition_that_is_not_read_where_it_was_left_is_logged_with_the_offsets(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    rig.log.start = 3
    rig.log.cut_and_grow(20, 70)
    with capture_logs() as logs:
        await rig.consumer.perform_seek()
    assert events_of(logs, "partition_rewound") == [
        {"topic": "raw", "partition": 0, "reason": "log_cut", "committed": 28, "going_on_at": 20, "log": "3..70"}
    ]


async def test_what_was_left_is_compared_once_with_the_log(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer = rig.consumer
    await consumer.perform_seek()
    await consumer.on_partitions_revoked({TP0})
    rig.log.cut_and_grow(20, 70)
    rig.log.committed = 15
    await consumer.perform_seek()
    (found,) = consumer.unrecorded_breaks()
    await consumer.note_recorded(found)
    await consumer.perform_seek()
    assert breaks_of(consumer) == []


async def test_a_cut_that_the_first_comparison_over_a_new_connection_finds_may_be_below_what_was_delivered(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was delivered since the seek: the time of the record before tells it."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    await rig.consumer.perform_seek()
    rig.log.cut_and_grow(20, 70)
    rig.log.connection = "the second connection"
    assert await rig.consumer.unproven({TP0}) == ()
    assert (breaks_of(rig.consumer), rig.log.position) == ([(TP0, "log_cut", 28, 20)], 20)


async def test_a_topic_made_anew_is_noticed_over_a_new_connection_though_its_log_looks_the_same(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    await rig.consumer.perform_seek()
    monkeypatch.setattr(rig.consumer, "brokers", BrokersOfANewTopic())
    rig.log.connection = "the second connection"
    await rig.consumer.unproven({TP0})
    assert (breaks_of(rig.consumer), rig.log.position) == ([(TP0, "topic_made_anew", 28, 0)], 0)


async def test_without_connection_and_brokers_only_what_was_fetched_before_is_held_up(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=20, partitions=[TP0, TP1])
    await rig.consumer.perform_seek()
    monkeypatch.setattr(rig.consumer, "brokers", BrokersOfANewTopic(Retryable("away")))
    for log in rig.logs.values():
        log.connection = None
    assert set(await rig.consumer.unproven({TP0})) == {TP0}


async def test_each_cut_log_is_rewound_and_no_other(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28, partitions=EIGHT)
    await rig.consumer.perform_seek()
    for tp in EIGHT[::2]:
        rig.logs[tp].cut_and_grow(20, 70)
    await rig.consumer.check_positions()
    assert sorted(breaks_of(rig.consumer)) == [(tp, "log_cut", 28, 20) for tp in EIGHT[::2]]
    assert [log.position for log in rig.logs.values()] == [20, 28] * 4


async def test_what_was_acknowledged_before_a_rewind_is_neither_committed_after_it_nor_passed_over(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=20, committed=10)
    consumer = rig.consumer
    await consumer.perform_seek()
    acknowledge(consumer, *range(15, 20))
    with capture_logs() as logs:
        await consumer.rewind({TP0: 5}, "test")
    assert events_of(logs, "partition_rewound") == [
        {"topic": "raw", "partition": 0, "reason": "test", "committed": 10, "going_on_at": 5}
    ]
    acknowledge(consumer, *range(5, 15))
    assert consumer._new_offset(TP0) == 15
    acknowledge(consumer, *range(15, 20))
    consumer._committed_offset[TP0] = 15
    assert consumer._new_offset(TP0) == 20


@pytest.mark.parametrize(
    ("cut", "start", "found"),
    [
        (None, 0, Start(28)),
        (None, 40, Start(40)),
        (20, 0, Start(20, Break.LOG_CUT)),
    ],
)
async def test_a_position_that_is_kept_elsewhere_is_compared_with_the_log_and_nothing_is_rewound(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, cut: int | None, start: int, found: Start
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=70, committed=60)
    await rig.consumer.perform_seek()
    rig.log.cut, rig.log.start = cut, start
    with capture_logs() as logs:
        starts = await rig.consumer.check_kept_positions({TP0: Position(28, TOPIC_ID, timestamp_of(27))})
    assert starts == {TP0: found}
    assert rig.log.position == 60
    if cut is None:
        assert (breaks_of(rig.consumer), logs) == ([], [])
        return
    assert breaks_of(rig.consumer) == [(TP0, "log_cut", 28, 20)]
    assert [line["event"] for line in logs] == ["log_break_found"]
    assert events_of(logs, "log_break_found") == [
        {"topic": "raw", "partition": 0, "reason": "log_cut", "committed": 28, "going_on_at": 20, "log": "0..70"}
    ]


async def test_kept_positions_of_other_topics_than_those_that_are_there_tell_nothing(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=28, partitions=[TP0, TP1]).consumer
    kept = {
        TP0: Position(40, NEW_ID, timestamp_of(39)),
        TP1: Position(28, TOPIC_ID, timestamp_of(27)),
        TP("gone", 0): Position(40, TOPIC_ID, timestamp_of(39)),
    }
    assert await consumer.check_kept_positions(kept) == {TP1: Start(28)}
    assert breaks_of(consumer) == []


async def test_kept_positions_are_not_compared_while_the_brokers_are_away(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=28).consumer

    async def away(names: Any) -> dict[str, UUID]:
        raise TimeoutError("no answer")

    monkeypatch.setattr(consumer.brokers, "topic_ids", away)
    with pytest.raises(Retryable, match=r"^brokers: TimeoutError: no answer$"):
        await consumer.check_kept_positions({TP0: Position(28, TOPIC_ID, timestamp_of(27))})


class BrokersOfTwoTopics(BrokersOfOneTopic):
    """`gone` was deleted, `raw` was made anew, each when it was."""

    def __init__(self) -> None:
        self.ids = {"raw": TOPIC_ID, "gone": TOPIC_ID}

    async def topic_ids(self, names: Any) -> dict[str, UUID]:
        return {name: self.ids[name] for name in names if name in self.ids}


async def test_a_topic_made_anew_after_it_was_left_to_others_is_noticed_though_another_one_is_deleted(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, brokers = TP("gone", 0), BrokersOfTwoTopics()
    kind = consumer_class(frozenset({"raw", "gone"}), brokers, contiguity_guard=True)
    rig = make_rig(app, kind, monkeypatch, length=28, committed=28, partitions=[gone, TP0])
    consumer, assigned = rig.consumer, {gone, TP0}
    monkeypatch.setattr(consumer, "assignment", lambda: assigned)
    for tp in (gone, TP0):
        await consumer.perform_seek()
        await consumer.on_partitions_revoked({tp})
        assigned.discard(tp)
    brokers.ids = {"raw": NEW_ID}
    with capture_logs() as logs:
        await consumer.check_positions()
    assert breaks_of(consumer) == [(TP0, "topic_made_anew", 28, 0)]
    assert [line["event"] for line in logs] == ["log_break_found"]
    brokers.ids = {"raw": NEW_ID, "gone": NEW_ID}
    await consumer.check_positions()
    assert breaks_of(consumer)[1:] == [(gone, "topic_made_anew", 28, 0)], "once it is there again"


async def test_a_first_start_without_any_commit_finds_no_break(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=0, committed=0)
    monkeypatch.setattr(rig.consumer._thread, "committed", no_commits)
    monkeypatch.setattr(rig.consumer, "brokers", BrokersOfANewTopic({"raw": TOPIC_ID}))
    await rig.consumer.perform_seek()
    assert (rig.consumer.started(), breaks_of(rig.consumer)) == ({TP0}, [])


async def test_the_consumer_joins_its_group_again_in_its_thread(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=28).consumer
    called: list[str] = []

    class Thread:
        async def call_thread(self, method: Any) -> None:
            called.append("in the thread")
            await method()

        async def rejoin(self) -> None:
            called.append("rejoin")

    consumer._thread = Thread()
    await consumer.rejoin()
    assert called == ["in the thread", "rejoin"]
