"""What a consumer delivers of one fetch, and which partitions it seeks after it."""

import math
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP
from structlog.testing import capture_logs

from signalflow.errors import Retryable
from signalflow.streams import faust_consumer
from signalflow.streams.faust_consumer import OFFSET_CHECK_SECONDS, first_offset
from signalflow.streams.runs import Run
from signalflow.streams.sequence import MAX_SEEKS_TO_ONE_OFFSET
from tests.unit.streams.consumer_on_logs import (
    CURED,
    TP0,
    TP1,
    BrokersOfOneTopic,
    Log,
    breaks_of,
    make_rig,
    make_running_app,
)
from tests.unit.streams.fakes import Record

CHANGELOG0, CHANGELOG1 = TP("changelog", 0), TP("changelog", 1)


@pytest.fixture
async def app() -> faust.App:
    return make_running_app()


async def fetched(consumer: Any) -> list[tuple[TP, int, int]]:
    """What one fetch delivers: the partition of each run, its first offset and its last."""
    return [(tp, message.value[0].offset, message.offset) async for tp, message in consumer.getmany(0.1)]


def bring(consumer: Any, *runs: tuple[TP, Iterable[int]]) -> None:
    """Let the next fetches bring these runs in this order."""
    made = [(tp, Run([Record(offset, tp.topic, tp.partition) for offset in offsets])) for tp, offsets in runs]
    consumer.scheduler = SimpleNamespace(iterate=lambda records: iter(made))


def note_seeks(log: Log, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The offsets that are sought from now on."""
    seeks: list[int] = []
    seek = log.seek
    monkeypatch.setattr(log, "seek", lambda offset: (seeks.append(offset), seek(offset))[1])
    return seeks


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The consumer's clock, which stands still at `now`."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(faust_consumer, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def test_the_first_offset_of_a_message_is_that_of_its_first_record() -> None:
    run: Any = SimpleNamespace(value=[Record(5), Record(6)], offset=6)
    single: Any = SimpleNamespace(value=b"v", offset=7)
    assert (first_offset(run), first_offset(single)) == (5, 7)


async def test_the_client_is_asked_for_the_partitions_that_are_read_and_for_as_long_as_the_fetch_may_last(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=20, committed=10, partitions=[TP0, TP1]).consumer
    asked: list[tuple[Any, float]] = []

    async def getmany(active_partitions: Any, timeout: float) -> dict[TP, list[Record]]:
        asked.append((set(active_partitions), timeout))
        return {}

    monkeypatch.setattr(consumer._thread, "getmany", getmany)
    consumer.pause_partitions({TP1})
    await fetched(consumer)
    assert asked == [({TP0}, 0.1)]


async def test_partitions_that_are_not_delivered_do_not_hold_up_those_after_them_in_the_fetch(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_read, ahead, below, intact = (TP("raw", number) for number in range(4))
    rig = make_rig(app, CURED, monkeypatch, 60, committed=10, partitions=[CHANGELOG0, not_read, ahead, below, intact])
    consumer = rig.consumer
    with monkeypatch.context() as context:
        context.setattr(consumer, "assignment", lambda: {ahead, below, intact})
        await consumer.perform_seek()
    bring(
        consumer,
        (CHANGELOG0, [3]),
        (not_read, range(10, 20)),
        (ahead, range(30, 40)),
        (ahead, range(10, 20)),
        (below, range(10)),
        (below, range(10, 20)),
        (intact, range(10, 20)),
    )
    assert await fetched(consumer) == [(CHANGELOG0, 3, 3), (intact, 10, 19)]
    assert consumer.started() == {not_read, ahead, below, intact}


async def test_a_partition_that_is_ahead_is_sought_at_once(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust_consumer, "OFFSET_CHECK_SECONDS", math.inf)
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    await rig.consumer.perform_seek()
    rig.log.position = 40
    assert await fetched(rig.consumer) == []
    assert rig.log.position == 10


async def test_nothing_is_sought_during_a_rebalance(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The partition may be another worker's by then."""
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    await rig.consumer.perform_seek()
    seeks = note_seeks(rig.log, monkeypatch)
    rig.log.position = 40
    app.rebalancing = True
    assert await fetched(rig.consumer) == []
    app.rebalancing = False
    assert seeks == []
    assert await fetched(rig.consumer) == []
    assert seeks == [10]


@pytest.mark.parametrize(("expected", "position"), [(28, 40), (1, 0), (28, 28)])
async def test_after_records_below_the_expected_offset_a_partition_is_sought_unless_it_is_there(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, expected: int, position: int
) -> None:
    monkeypatch.setattr(faust_consumer, "OFFSET_CHECK_SECONDS", math.inf)
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=expected)
    await rig.consumer.perform_seek()
    seeks = note_seeks(rig.log, monkeypatch)
    rig.log.in_memory.append(list(range(expected)))
    rig.log.position = position
    assert await fetched(rig.consumer) == []
    assert seeks == ([] if position == expected else [expected])


async def test_only_the_log_of_a_partition_that_delivered_lower_offsets_is_compared(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28, partitions=[TP0, TP1])
    await rig.consumer.perform_seek()
    for log in rig.logs.values():
        log.cut_and_grow(20, 28)
    bring(rig.consumer, (TP0, range(10)))
    await fetched(rig.consumer)
    assert breaks_of(rig.consumer) == [(TP0, "log_cut", 28, 20)]


async def test_after_a_seek_of_changelogs_only_those_are_sought_again_that_are_still_assigned(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    partitions = [CHANGELOG0, CHANGELOG1, TP0]
    rig = make_rig(app, CURED, monkeypatch, length=20, committed=10, partitions=partitions)
    consumer, thread = rig.consumer, rig.consumer._thread
    await consumer.perform_seek()
    getmany = thread.getmany

    async def getmany_and_seek(active_partitions: Any, timeout: float) -> Any:
        found = await getmany(active_partitions, timeout)
        await consumer.seek_wait({CHANGELOG0: 5, CHANGELOG1: 7})
        monkeypatch.setattr(consumer, "assignment", lambda: {CHANGELOG0, TP0})
        for tp in (CHANGELOG0, CHANGELOG1):
            rig.logs[tp].position = 20
        return found

    monkeypatch.setattr(thread, "getmany", getmany_and_seek)
    assert await fetched(consumer) == [(TP0, 10, 19)]
    assert [rig.logs[tp].position for tp in partitions] == [5, 20, 20]


async def test_a_start_that_failed_is_tried_again_once_a_second(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    tried: list[float] = []

    class BrokersThatAreAway(BrokersOfOneTopic):
        async def topic_ids(self, names: Any) -> Any:
            tried.append(clock.now - 100)
            raise Retryable("away")

    consumer = make_rig(app, CURED, monkeypatch, length=20, committed=10).consumer
    monkeypatch.setattr(consumer, "brokers", BrokersThatAreAway())
    for part in (0.0, 0.5, 1.0, 1.5, 2.0):
        clock.now = 100 + part * OFFSET_CHECK_SECONDS
        await fetched(consumer)
    assert tried == [0.0, OFFSET_CHECK_SECONDS, 2 * OFFSET_CHECK_SECONDS]


async def test_dropped_records_are_looked_for_once_a_second(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    await rig.consumer.perform_seek()
    monkeypatch.setattr(rig.log, "fetch", list)
    found: list[float] = []
    for part in (0.0, 0.5, 1.0, 1.5, 2.0):
        clock.now = 100 + part * OFFSET_CHECK_SECONDS
        rig.log.position = 30
        await fetched(rig.consumer)
        if rig.log.position == 10:
            found.append(part)
    assert found == [0.0, 1.0, 2.0]


async def test_a_record_that_a_few_seeks_do_not_bring_is_not_sought_for_ever(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faust_consumer, "OFFSET_CHECK_SECONDS", 0.0)
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    await rig.consumer.perform_seek()
    seeks = note_seeks(rig.log, monkeypatch)
    monkeypatch.setattr(rig.log, "fetch", list)
    for _ in range(MAX_SEEKS_TO_ONE_OFFSET + 3):
        rig.log.position = 30
        await fetched(rig.consumer)
    assert seeks == [10] * MAX_SEEKS_TO_ONE_OFFSET


@pytest.mark.parametrize("reason", ["not assigned", "sought often enough", "delivered to its end", "of unknown end"])
async def test_partitions_of_which_nothing_can_be_fetched_again_are_passed_over_and_no_other(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Sets of partitions have no order. Of eight, one that is passed over comes before one that is not."""
    partitions = [TP("raw", number) for number in range(8)]
    passed_over, others = set(partitions[::2]), set(partitions[1::2])
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=0, partitions=partitions)
    consumer = rig.consumer
    await consumer.perform_seek()
    ends: dict[TP, int | None] = dict.fromkeys(partitions, 60)
    for tp in passed_over:
        if reason == "sought often enough":
            for _ in range(MAX_SEEKS_TO_ONE_OFFSET):
                consumer._sequence.note_seek(tp)
        elif reason == "delivered to its end":
            consumer._sequence.deliver(tp, 59, 0)
        elif reason == "of unknown end":
            ends[tp] = None
    if reason == "not assigned":
        monkeypatch.setattr(consumer, "assignment", lambda: others)
    for log in rig.logs.values():
        monkeypatch.setattr(log, "fetch", list)
        log.position = 60
    asked: set[TP] = set()

    async def position(tp: TP) -> int:
        asked.add(tp)
        return rig.logs[tp].position

    monkeypatch.setattr(consumer, "position", position)
    monkeypatch.setattr(consumer, "highwater", ends.__getitem__)
    await fetched(consumer)
    assert asked == others
    assert {tp for tp, log in rig.logs.items() if log.position == 0} == others


@pytest.mark.parametrize("position", [10, 9, None])
async def test_a_partition_that_is_fetched_from_its_expected_offset_is_not_sought(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, position: int | None
) -> None:
    """Nor is one whose fetch offset the client does not know."""
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    await rig.consumer.perform_seek()
    seeks = note_seeks(rig.log, monkeypatch)

    async def position_now(tp: TP) -> int | None:
        return position

    monkeypatch.setattr(rig.consumer, "position", position_now)
    monkeypatch.setattr(rig.log, "fetch", list)
    await fetched(rig.consumer)
    assert seeks == []


@pytest.mark.parametrize(("expected", "start", "removed"), [(10, 25, 15), (10, 10, 0), (10, 0, 0), (0, 0, 0)])
async def test_a_partition_goes_on_at_the_start_of_its_log_when_retention_removed_the_expected_record(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, expected: int, start: int, removed: int
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=expected)
    await rig.consumer.perform_seek()
    rig.log.start, rig.log.position = start, 40
    with capture_logs() as logs:
        assert await fetched(rig.consumer) == []
        going_on_at = rig.log.position
        assert going_on_at == max(expected, start)
        assert await fetched(rig.consumer) == [(TP0, going_on_at, going_on_at + 9)]
    expired = [line for line in logs if line["event"] == "records_expired_unprocessed"]
    assert [(line["topic"], line["partition"], line["records"]) for line in expired] == (
        [("raw", 0, removed)] if removed else []
    )
