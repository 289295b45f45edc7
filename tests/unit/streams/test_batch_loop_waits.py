"""How long the batch loop waits: for a batch, between two tries of a commit, and for a commit when the flow stops.

The clock of the loop stands still until a test moves it.
"""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from signalflow.errors import Retryable
from signalflow.metrics import REGISTRY
from signalflow.streams import batch_loop
from signalflow.streams.batch_loop import GRACE_SECONDS, Gathering, GiveBack, Ownership, Rewind
from tests.unit.streams.fakes import FakeApp, FakeStream
from tests.unit.streams.test_batch_loop import DEADLINE, Recorder, running
from tests.waiting import until

AT_ONCE = Gathering(due_records=1, most_records=1, seconds=0.0)


class Clock:
    """Stands in for the module `time`, and counts how often the loop looked at it."""

    def __init__(self) -> None:
        self.now, self.reads = 100.0, 0

    def monotonic(self) -> float:
        self.reads += 1
        return self.now

    async def is_read(self) -> None:
        """Return when a loop that waits for a time has compared it several times."""
        await happens_again(lambda: self.reads)


async def happens_again(count: Callable[[], int]) -> None:
    enough = count() + 5
    await until(lambda: count() >= enough, seconds=DEADLINE, pause=0.001)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(batch_loop, "time", clock)
    monkeypatch.setattr(batch_loop, "POLL_SECONDS", 0.001)
    return clock


async def test_a_batch_that_is_not_full_waits_for_its_time_and_no_longer(clock: Clock) -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 3)
    async with running(app, stream, handler, Gathering(due_records=10, most_records=10, seconds=0.5)):
        await clock.is_read()
        stream.push(4, 6)
        await clock.is_read()
        assert handler.attempts == 0
        clock.now += 0.5
        await until(lambda: len(stream.acked) == 7)
    assert handler.committed == [[0, 1, 2, 3, 4, 5, 6]]


async def test_a_batch_is_due_with_the_record_that_fills_it_whatever_the_sizes_of_its_runs(clock: Clock) -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    for first, last in [(0, 0), (1, 1), (2, 9)]:
        stream.push(first, last)
    async with running(app, stream, handler, Gathering(due_records=10, most_records=10, seconds=60.0)):
        await until(lambda: len(stream.acked) == 10)
    assert handler.committed == [list(range(10))]


async def test_records_that_wait_are_added_to_a_due_batch_up_to_the_most_whatever_the_sizes_of_their_runs() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.gate.clear()
    stream.push(0, 0)
    async with running(app, stream, handler, Gathering(due_records=1, most_records=10, seconds=60.0)):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        for first, last in [(1, 1), (2, 2), (3, 10), (11, 11)]:
            stream.push(first, last)
        await until(stream.is_drained)
        handler.gate.set()
        await until(lambda: len(stream.acked) == 12)
    assert handler.committed == [[0], list(range(1, 11)), [11]]


async def test_a_batch_that_is_not_due_when_the_flow_stops_is_given_back_and_nothing_after_it_acknowledged() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 4)
    async with running(app, stream, handler, Gathering(due_records=10, most_records=10, seconds=60.0)):
        await until(stream.is_drained)
        app.flow_control.suspend()
        await until(lambda: not app.consumer.unacked)
        app.flow_control.resume()
        stream.push(5, 14)
        await until(lambda: not app.consumer.unacked)
        assert (handler.attempts, stream.acked) == (0, []), "a commit past what was given back would lose it"
        app.consumer_generation_id = 2
        stream.push(0, 14, generation=2)
        await until(lambda: stream.acked == list(range(15)))


async def test_the_duration_of_a_unit_of_work_is_measured(clock: Clock) -> None:
    def measured() -> tuple[float, float]:
        names = ("signalflow_unit_of_work_seconds_count", "signalflow_unit_of_work_seconds_sum")
        count, seconds = (REGISTRY.get_sample_value(name, {"agent": "test"}) or 0.0 for name in names)
        return count, seconds

    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    count, seconds = measured()

    def takes_a_while() -> None:
        clock.now += 2.5

    handler.fail = takes_a_while
    stream.push(0, 4)
    async with running(app, stream, handler, AT_ONCE):
        await until(lambda: measured() == (count + 1, pytest.approx(seconds + 2.5)))


# The wait doubles from 0.2 s to 2 s. What the other side asks for counts if it is longer, up to the same limit.
@pytest.mark.parametrize(
    ("asked", "waits"), [(None, [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]), (0.5, [0.5, 0.5, 0.8]), (60.0, [2.0, 2.0])]
)
async def test_a_commit_that_failed_is_tried_again_when_its_wait_is_over_and_not_before(
    clock: Clock, asked: float | None, waits: list[float]
) -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.fail = lambda: Retryable("away", asked) if handler.attempts <= len(waits) else None
    stream.push(0, 4)
    with capture_logs() as logged:
        async with running(app, stream, handler, AT_ONCE):
            for tries, wait in enumerate(waits, start=1):
                await until(lambda tries=tries: handler.attempts == tries)  # type: ignore[misc]
                await clock.is_read()
                assert handler.attempts == tries
                clock.now += wait
            await until(lambda: len(stream.acked) == 5)
    assert [each["retry_in"] for each in logged] == waits


async def test_a_commit_that_finds_the_partitions_with_another_worker_writes_nothing_and_the_loop_goes_on() -> None:
    class Checking(Recorder):
        async def commit(self, work: list[int], owned: Ownership) -> None:
            self.entered.set()
            await self.gate.wait()
            owned.check()
            self.committed.append(work)

    app, handler = FakeApp(), Checking()
    stream = FakeStream(app)
    handler.gate.clear()
    stream.push(0, 4)
    async with running(app, stream, handler):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        app.consumer_generation_id = 2
        handler.gate.set()
        await until(lambda: not app.consumer.unacked)
        assert (handler.committed, stream.acked) == ([], [])
        stream.push(0, 4, generation=2)
        await until(lambda: stream.acked == [0, 1, 2, 3, 4])


class Hanging(Recorder):
    """A handler whose commit hangs, and ends with an error when it is cancelled."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.gate.clear()
        self.error, self.cancelled = error, False

    async def commit(self, work: list[int], owned: Ownership) -> None:
        try:
            await super().commit(work, owned)
        except asyncio.CancelledError:
            self.cancelled = True
            raise self.error from None


async def test_a_long_commit_is_left_alone_and_gets_its_time_of_grace_when_the_flow_stops(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, handler = FakeApp(), Hanging(asyncio.CancelledError())
    stream = FakeStream(app)
    looks: list[bool] = []
    is_active = app.flow_control.is_active

    def look() -> bool:
        looks.append(is_active())
        return looks[-1]

    monkeypatch.setattr(app.flow_control, "is_active", look)
    event = stream.push(0, 4)
    cancelled_when_given_back: list[bool] = []
    monkeypatch.setattr(app.consumer, "give_back", lambda _: cancelled_when_given_back.append(handler.cancelled))
    async with running(app, stream, handler, AT_ONCE):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        await happens_again(lambda: len(looks))
        app.flow_control.suspend()
        await clock.is_read()
        clock.now += GRACE_SECONDS
        await clock.is_read()
        assert (handler.cancelled, cancelled_when_given_back) == (False, [])
        clock.now += 0.1
        await until(lambda: cancelled_when_given_back)
    assert cancelled_when_given_back == [True], "it could still write when the partitions are no longer ours"
    assert not event.message.acked


ENDS = pytest.mark.parametrize(
    "error",
    [asyncio.CancelledError(), Retryable("connection lost"), GiveBack(), Rewind({0: 0}, "rows are missing")],
    ids=lambda error: type(error).__name__,
)


@ENDS
async def test_however_a_commit_ends_that_is_cancelled_its_batch_is_given_back_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(batch_loop, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(batch_loop, "POLL_SECONDS", 0.001)
    app, handler = FakeApp(), Hanging(error)
    stream = FakeStream(app)
    stream.push(0, 4)
    with capture_logs() as logged:
        async with running(app, stream, handler):
            async with asyncio.timeout(DEADLINE):
                await handler.entered.wait()
            app.flow_control.suspend()
            await until(lambda: not app.consumer.unacked)
            assert (handler.cancelled, app.consumer.rewound, stream.acked) == (True, [], [])
            app.flow_control.resume()
            handler.gate.set()
            app.consumer_generation_id = 2
            stream.push(0, 4, generation=2)
            await until(lambda: stream.acked == [0, 1, 2, 3, 4])
    assert logged == [], "it was not tried again"


@ENDS
async def test_however_a_commit_ends_that_is_cancelled_an_agent_that_is_stopped_ends(error: BaseException) -> None:
    app, handler = FakeApp(), Hanging(error)
    stream = FakeStream(app)
    stream.push(0, 4)
    async with running(app, stream, handler) as task:
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        task.cancel()
        await asyncio.wait({task}, timeout=DEADLINE)
        assert task.cancelled()
    assert (handler.cancelled, app.consumer.rewound, app.consumer.unacked) == (True, [], set())
