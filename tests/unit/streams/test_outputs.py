"""Outputs that a log lost are made again: where their sources are read, and how that is noticed."""

import asyncio
from collections.abc import Collection, Iterable
from uuid import UUID

import pytest
from faust.types import TP
from structlog.testing import capture_logs

from signalflow.domain.positions import Outputs, Position
from signalflow.kafka.producer import Span
from signalflow.streams import outputs as module
from signalflow.streams.faust_consumer import consumer_class
from signalflow.streams.outputs import OutputLogs
from signalflow.streams.written import Written
from tests.unit.streams.consumer_on_logs import (
    TOPIC_ID,
    TP0,
    BrokersOfOneTopic,
    Log,
    Rig,
    breaks_of,
    events_of,
    fake_io,
    make_consumer,
    make_running_app,
    timestamp_of,
)

MADE = TP("made", 0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "steady", clock)
    return clock


def at(offset: int) -> Position:
    """The position in a log that was never cut."""
    return Position(offset, None, timestamp_of(offset - 1))


def test_reading_again_begins_where_was_committed_three_minutes_ago(clock: Clock) -> None:
    logs = OutputLogs(Written(), {"raw": ["made"]})
    logs.begin(TP0, 100)
    since = {}
    for second in range(0, 601, 10):
        clock.now = float(second)
        logs.note_commit(TP0, 100 + second)
        since[second] = logs.again_from(TP0)
    assert {since[second] for second in range(0, 180, 10)} == {100}, "before that, where reading began"
    assert all(180 <= second - (since[second] - 100) <= 210 for second in range(210, 601, 10))


def test_a_worker_that_takes_over_keeps_the_offset_of_the_one_before_for_three_minutes(clock: Clock) -> None:
    logs = OutputLogs(Written(), {"raw": ["made"]})
    logs.begin(TP0, 500, Outputs(320, {"made": at(70)}))
    assert logs.of(TP0) == Outputs(320, {"made": at(70)})
    clock.now = 170.0
    logs.note_commit(TP0, 650)
    assert logs.again_from(TP0) == 320
    clock.now = 350.0
    logs.note_commit(TP0, 800)
    assert logs.again_from(TP0) == 650


def test_a_worker_that_gets_its_partition_back_goes_on_counting(clock: Clock) -> None:
    logs = OutputLogs(Written(), {"raw": ["made"]})
    logs.begin(TP0, 100)
    for second in range(0, 600, 20):
        clock.now = float(second)
        logs.note_commit(TP0, 100 + second)
        if second % 100 == 0:
            logs.begin(TP0, 100 + second, logs.of(TP0))
    assert 580 - (logs.again_from(TP0) - 100) <= 210


def test_few_offsets_are_kept_however_often_is_committed(clock: Clock) -> None:
    logs = OutputLogs(Written(), {"raw": ["made"]})
    logs.begin(TP0, 0)
    for second in range(1_000):
        clock.now = float(second)
        logs.note_commit(TP0, second)
    assert len(logs._committed[TP0]) <= 180 / 30 + 2


def test_of_several_sources_the_latest_end_of_an_output_counts() -> None:
    letters, other = TP("letters", 0), TP("other", 0)
    for told in ((at(5), at(9)), (at(9), at(5))):
        logs = OutputLogs(Written(), {"raw": ["letters"], "other": ["letters"], "silent": ["made"]})
        outputs = {tp: Outputs(0, {"letters": end}) for tp, end in zip((TP0, other), told, strict=True)}
        assert logs.ends([TP0, other], outputs) == {letters: at(9)}
        assert logs.sources(letters, [TP0, other, TP("silent", 0), TP("unknown", 0), TP("raw", 1)]) == [TP0, other]


def test_after_a_rewind_no_later_offset_counts(clock: Clock) -> None:
    logs = OutputLogs(Written(), {"raw": ["made"]})
    logs.begin(TP0, 100)
    for second in range(0, 400, 30):
        clock.now = float(second)
        logs.note_commit(TP0, 100 + second)
    again_from = logs.again_from(TP0)
    assert again_from == 310
    logs.begin(TP0, again_from)
    clock.now = 450.0
    logs.note_commit(TP0, 320)
    assert logs.again_from(TP0) == 310


def test_a_partition_whose_commit_is_lost_keeps_the_offset_of_before(clock: Clock) -> None:
    logs = OutputLogs(Written(), {"raw": ["made"]})
    logs.begin(TP0, 500, Outputs(320, {"made": at(70)}))
    logs.begin(TP0, 450)
    assert logs.again_from(TP0) == 320
    logs.begin(TP0, 300)
    assert logs.again_from(TP0) == 300, "it never lies beyond what is read"


def test_what_this_worker_wrote_later_than_the_commit_tells_counts(clock: Clock) -> None:
    written = Written()
    logs = OutputLogs(written, {"raw": ["made", "letters"], "other": ["letters"]})
    logs.begin(TP0, 500, Outputs(320, {"made": at(70), "letters": at(5)}))
    written.note("made", {0: [Span(70, 79, 0, timestamp_of(79))], 1: [Span(0, 200, 0, timestamp_of(200))]})
    written.note("letters", {0: [Span(2, 2, 0, timestamp_of(2))]})
    assert logs.ends([TP0]) == {MADE: at(80), TP("letters", 0): at(5)}
    assert logs.sources(TP("letters", 0), [TP0, TP("raw", 1), TP("other", 0)]) == [TP0, TP("other", 0)]
    logs.forget(MADE)
    assert logs.ends([TP0]) == {TP("letters", 0): at(5)}


class BrokersOfTwoTopics(BrokersOfOneTopic):
    async def topic_ids(self, names: Iterable[str]) -> dict[str, UUID]:
        return dict.fromkeys(names, TOPIC_ID)


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
async def rig(written: Written, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A consumer of `raw` whose commit at 60 tells that `made` was written up to 40, and to go back to 33."""
    kind = consumer_class(
        frozenset({"raw"}),
        BrokersOfTwoTopics(),
        contiguity_guard=True,
        outputs=OutputLogs(written, {"raw": ["made"]}),
    )
    app = make_running_app()
    logs = {TP0: Log(70, 60), MADE: Log(40, 0)}
    logs[TP0].outputs = Outputs(33, {"made": at(40)})
    delivered: list[int] = []

    async def callback(message: object) -> None: ...

    consumer = make_consumer(app, kind, callback, [TP0])
    fake_io(consumer, logs, monkeypatch)
    monkeypatch.setattr(consumer, "assignment", lambda: {TP0})
    return Rig(consumer, logs, delivered)


async def test_a_start_goes_on_at_the_commit_where_its_outputs_are_there(rig: Rig) -> None:
    rig.logs[MADE].length = 50
    with capture_logs() as logs:
        await rig.consumer.perform_seek()
    assert (rig.log.position, rig.log.committed, breaks_of(rig.consumer), logs) == (60, 60, [], [])


@pytest.mark.parametrize(("cut", "length"), [(None, 31), (31, 31), (31, 45)])
async def test_a_start_goes_back_where_outputs_of_the_commit_are_lost(rig: Rig, cut: int | None, length: int) -> None:
    rig.logs[MADE].cut, rig.logs[MADE].length = cut, length
    with capture_logs() as logs:
        await rig.consumer.perform_seek()
    assert (rig.log.position, rig.log.committed) == (33, 33)
    assert breaks_of(rig.consumer) == [], "nothing is lost for good"
    assert [line["event"] for line in logs] == ["outputs_lost", "partition_rewound"]
    (lost,), (rewound,) = (events_of(logs, event) for event in ("outputs_lost", "partition_rewound"))
    assert lost == {"topic": "made", "partition": 0, "written": 40, "log": f"0..{length}"}
    assert rewound == {"topic": "raw", "partition": 0, "reason": "outputs_lost", "committed": 60, "going_on_at": 33}
    # Once is enough.
    rig.log.seek(40)
    rig.consumer._sequence.deliver(TP0, 39, timestamp_of(39))
    await rig.consumer.check_positions()
    assert rig.log.position == 40


async def test_reading_again_begins_no_earlier_than_the_log(rig: Rig) -> None:
    rig.logs[MADE].length, rig.log.start = 31, 50
    await rig.consumer.perform_seek()
    assert (rig.log.position, rig.log.committed) == (50, 50)


async def test_a_running_worker_goes_back_when_its_outputs_are_lost(rig: Rig, written: Written) -> None:
    await rig.consumer.perform_seek()
    written.note("made", {0: [Span(40, 49, 0, timestamp_of(49))]})
    rig.logs[MADE].length = 50
    await rig.consumer.check_positions()
    assert rig.log.position == 60
    rig.logs[MADE].length = 42
    await rig.consumer.check_positions()
    assert rig.log.position == 33


async def test_outputs_behind_an_open_transaction_of_another_program_are_not_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our consumer sees nothing from the first record of such a transaction on."""
    rig.logs[MADE].length = 31

    async def log_ends(partitions: Collection[TP]) -> dict[TP, int]:
        return dict.fromkeys(partitions, 40)

    monkeypatch.setattr(rig.consumer.brokers, "log_ends", log_ends)
    with capture_logs() as logs:
        await rig.consumer.perform_seek()
        await rig.consumer.check_positions()
    assert (rig.log.position, logs) == (60, [])


async def test_a_comparison_that_another_one_has_overtaken_rewinds_nothing_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.consumer.perform_seek()
    rig.logs[MADE].length = 31
    consumer, looked, find = rig.consumer, asyncio.Event(), rig.consumer._lost_outputs

    async def slowly(ends: object) -> list[TP]:
        lost: list[TP] = await find(ends)
        if not looked.is_set():
            looked.set()
            await overtaken.wait()
        return lost

    overtaken = asyncio.Event()
    monkeypatch.setattr(consumer, "_lost_outputs", slowly)
    slow = asyncio.create_task(consumer.check_positions())
    await looked.wait()
    await consumer.check_positions()
    assert rig.log.position == 33
    rig.log.seek(40)
    consumer._sequence.deliver(TP0, 39, timestamp_of(39))
    overtaken.set()
    await slow
    assert rig.log.position == 40


async def test_a_rewind_that_is_cancelled_while_it_waits_for_a_commit_ends(rig: Rig) -> None:
    """Faust's own wait swallows the cancellation and then never yields again."""
    await rig.consumer.perform_seek()
    commit = rig.consumer._commit_fut = asyncio.get_running_loop().create_future()
    rewind = asyncio.create_task(rig.consumer.rewind({TP0: 33}, "a test"))
    await asyncio.sleep(0)
    rewind.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rewind
    assert (commit.cancelled(), rig.log.position) == (False, 60)


async def test_new_outputs_at_lost_places_are_compared_with_the_next_fetch(rig: Rig, written: Written) -> None:
    """Also when the source is fetched over the same connection as before."""
    await rig.consumer.perform_seek()
    written.note("made", {0: [Span(36, 41, 0, 1_000_041)]})
    rig.logs[MADE].cut_and_grow(36, 42)
    assert await rig.consumer.unproven([]) == ()
    assert rig.log.position == 33


async def test_nothing_is_committed_between_new_outputs_at_lost_places_and_the_comparison(
    rig: Rig, written: Written
) -> None:
    """The commit still tells of the lost outputs, and new ones would hide that from whoever reads on."""
    await rig.consumer.perform_seek()
    consumer = rig.consumer
    consumer._acked[TP0] = list(range(60, 65))
    assert consumer._new_offset(TP0) == 65
    written.note("made", {0: [Span(36, 41, 0, 1_000_041)]})
    rig.logs[MADE].cut_and_grow(36, 42)
    consumer._acked[TP0] = list(range(60, 65))
    assert consumer._new_offset(TP0) is None
    await consumer.check_positions()
    assert rig.log.position == 33
    consumer._acked[TP0] = list(range(33, 38))
    assert consumer._new_offset(TP0) == 38


async def test_while_the_brokers_are_away_nothing_counts_as_lost_and_the_start_is_tried_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.logs[MADE].length = 31
    answers: list[object] = [{"raw": TOPIC_ID}, TimeoutError("no answer")]
    known = rig.consumer.brokers.topic_ids

    async def topic_ids(names: Iterable[str]) -> dict[str, UUID]:
        if not answers:
            return await known(names)  # type: ignore[no-any-return]
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    monkeypatch.setattr(rig.consumer.brokers, "topic_ids", topic_ids)
    await rig.consumer.perform_seek()
    assert rig.consumer.started() == frozenset()
    await rig.consumer.perform_seek()
    assert rig.log.position == 33
