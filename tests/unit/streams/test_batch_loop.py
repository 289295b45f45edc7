"""The batch loop acknowledges no record before it is durable, and gives back batches that it cannot finish."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
import structlog
from faust.types import TP
from structlog.testing import capture_logs

from signalflow.domain.backoff import Backoff
from signalflow.errors import Fatal, Retryable
from signalflow.kafka.records import EmptyOffset
from signalflow.metrics import REGISTRY
from signalflow.streams import batch_loop
from signalflow.streams.batch_loop import COMMIT_BACKOFF, Batch, Gathering, Ownership, Rewind, run_batch_loop
from tests.unit.streams.fakes import FakeApp, FakeStream
from tests.waiting import until

SOON = Gathering(due_records=1000, most_records=2000, seconds=0.02)
DEADLINE = 10.0


class Recorder:
    """A handler that remembers its commits. `fail` returns the error that a commit raises; `gate` blocks commits."""

    def __init__(self) -> None:
        self.committed: list[list[int]] = []
        self.attempts = 0
        self.fail: Callable[[], Exception | None] = lambda: None
        self.gate = asyncio.Event()
        self.gate.set()
        self.entered = asyncio.Event()

    async def prepare(self, batch: Batch) -> list[int]:
        return [record.offset for records in batch.partitions.values() for record in records]

    async def commit(self, work: list[int], owned: Ownership) -> None:
        self.attempts += 1
        self.entered.set()
        await self.gate.wait()
        error = self.fail()
        if error is not None:
            raise error
        self.committed.append(work)


@asynccontextmanager
async def running(
    app: FakeApp, stream: FakeStream, handler: Recorder, gathering: Gathering = SOON
) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(run_batch_loop(app, stream, handler, gathering, name="test"))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_runs_are_acknowledged_in_order_after_their_commit() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 4)
    stream.push(5, 9)
    async with running(app, stream, handler):
        await until(lambda: len(stream.acked) == 10)
    assert stream.acked == list(range(10))
    assert [offset for work in handler.committed for offset in work] == list(range(10))


async def test_offsets_without_a_record_are_acknowledged_and_no_handler_sees_them() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    event = stream.push(0, 2)
    event.message.value[1] = EmptyOffset("raw", 0, 1, 0, 0)  # type: ignore[call-overload]
    async with running(app, stream, handler):
        await until(lambda: stream.acked == [0, 1, 2])
        assert handler.committed == [[0, 2]]
        stream.push(3, 3).message.value[0] = EmptyOffset("raw", 0, 3, 0, 0)  # type: ignore[call-overload]
        await until(lambda: stream.acked == [0, 1, 2, 3])
    assert handler.committed == [[0, 2]], "a batch without records costs no commit"


async def test_nothing_is_acknowledged_before_the_commit_has_returned() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.gate.clear()
    stream.push(0, 4)
    async with running(app, stream, handler):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        assert stream.acked == []
        handler.gate.set()
        await until(lambda: stream.acked == [0, 1, 2, 3, 4])


async def test_a_transient_failure_is_tried_again_with_the_same_work() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    failures = iter([Retryable("away"), Retryable("away")])
    handler.fail = lambda: next(failures, None)
    stream.push(0, 4)
    async with running(app, stream, handler):
        await until(lambda: len(stream.acked) == 5)
    assert handler.attempts == 3
    assert handler.committed == [[0, 1, 2, 3, 4]]


async def test_all_lines_of_a_batch_have_its_id_and_no_other_line_has_it() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    left = 3

    def fail() -> Exception | None:
        nonlocal left
        structlog.get_logger().info("written")
        left -= 1
        return Retryable("away") if left == 1 else None

    handler.fail = fail
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        async with running(app, stream, handler):
            stream.push(0, 4)
            await until(lambda: len(stream.acked) == 5)
            stream.push(5, 9)
            await until(lambda: len(stream.acked) == 10)
        structlog.get_logger().info("afterwards")
    assert [line["event"] for line in lines] == ["written", "written", "commit_failed", "written", "afterwards"]
    first, *second = [line["batch"] for line in lines[:4]]
    assert len(set(second)) == 1
    assert first not in second
    assert "batch" not in lines[4]


async def test_a_fatal_error_acknowledges_nothing_and_gives_every_message_back() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.fail = lambda: Fatal("schema unknown")
    stream.push(0, 4)
    async with running(app, stream, handler) as task:
        with pytest.raises(Fatal):
            await asyncio.wait_for(task, DEADLINE)
    assert stream.acked == []
    assert not app.consumer.unacked, "wait_empty would wait for these for ever"


async def test_a_skipped_offset_stops_the_worker_instead_of_losing_a_record() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 4)
    async with running(app, stream, handler) as task:
        await until(lambda: len(stream.acked) == 5)
        stream.push(6, 9)
        with pytest.raises(Fatal, match="expected offset 5, but got 6"):
            await asyncio.wait_for(task, DEADLINE)
    assert 6 not in stream.acked


async def test_the_first_offset_of_an_assignment_must_be_the_committed_one() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    app.consumer.start_offsets[TP("raw", 0)] = 100
    stream.push(102, 104)
    async with running(app, stream, handler) as task:
        with pytest.raises(Fatal, match="expected offset 100, but got 102"):
            await asyncio.wait_for(task, DEADLINE)


async def test_repeated_offsets_are_processed_again() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 9)
    stream.push(5, 14)
    async with running(app, stream, handler):
        await until(lambda: 14 in stream.acked)


async def test_records_of_an_earlier_generation_are_given_back() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    app.consumer_generation_id = 2
    stale = stream.push(0, 4, generation=1)
    stream.push(0, 4, generation=2)
    async with running(app, stream, handler):
        await until(lambda: len(stream.acked) == 5)
    assert not stale.message.acked
    assert stale.message not in app.consumer.unacked


async def test_an_outage_during_a_rebalance_gives_the_batch_back_and_acknowledges_nothing_more_of_its_generation() -> (
    None
):
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.fail = lambda: Retryable("database away")
    first = stream.push(0, 4)
    async with running(app, stream, handler):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        app.flow_control.suspend()
        await until(lambda: first.message not in app.consumer.unacked)
        handler.fail = lambda: None
        app.flow_control.resume()
        later = stream.push(5, 9)
        await until(lambda: later.message not in app.consumer.unacked)
        assert stream.acked == [], "a commit past the batch that was given back would lose it"
        app.consumer_generation_id = 2
        stream.push(0, 9, generation=2)
        await until(lambda: stream.acked == list(range(10)))


async def test_a_commit_that_hangs_is_given_back_when_the_flow_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signalflow.streams.batch_loop.GRACE_SECONDS", 0.05)
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.gate.clear()
    event = stream.push(0, 4)
    async with running(app, stream, handler):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        app.flow_control.suspend()
        await until(lambda: event.message not in app.consumer.unacked)
    assert stream.acked == []
    assert handler.committed == []


async def test_a_batch_in_commit_when_the_flow_stops_is_finished_and_acknowledged() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.gate.clear()
    stream.push(0, 4)
    async with running(app, stream, handler):
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        app.flow_control.suspend()
        handler.gate.set()
        await until(lambda: stream.acked == [0, 1, 2, 3, 4])


async def test_idle_records_are_written_within_the_time_bound() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 2)
    async with running(app, stream, handler, Gathering(due_records=50, most_records=50, seconds=0.05)):
        await until(lambda: stream.acked == [0, 1, 2])


async def test_a_due_batch_does_not_wait_and_takes_the_records_already_queued() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    for first in range(0, 200, 10):
        stream.push(first, first + 9)
    gathering = Gathering(due_records=50, most_records=120, seconds=60.0)
    async with running(app, stream, handler, gathering):
        await until(lambda: len(stream.acked) >= 100)
    assert all(50 <= len(work) <= 129 for work in handler.committed)


async def test_the_end_of_the_stream_ends_the_loop_instead_of_waiting_for_ever() -> None:
    app, handler = FakeApp(), Recorder()

    class Ending(FakeStream):
        async def events(self):  # type: ignore[no-untyped-def]
            raise RuntimeError("the stream broke")
            yield

    async with running(app, Ending(app), handler) as task:
        with pytest.raises(RuntimeError, match="the stream broke"):
            await asyncio.wait_for(task, DEADLINE)


async def test_a_fatal_error_gives_back_the_messages_behind_the_failed_batch() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    handler.gate.clear()
    handler.fail = lambda: Fatal("schema unknown")
    stream.push(0, 4)
    async with running(app, stream, handler) as task:
        async with asyncio.timeout(DEADLINE):
            await handler.entered.wait()
        stream.push(5, 9)
        await until(stream.is_drained)
        handler.gate.set()
        with pytest.raises(Fatal):
            await asyncio.wait_for(task, DEADLINE)
    assert not app.consumer.unacked, "wait_empty would wait for these for ever"


async def test_the_end_of_the_stream_gives_back_the_gathered_messages() -> None:
    app, handler = FakeApp(), Recorder()

    class Ending(FakeStream):
        async def events(self):  # type: ignore[no-untyped-def]
            yield await self._queue.get()
            raise RuntimeError("the stream broke")

    stream = Ending(app)
    stream.push(0, 4)
    async with running(app, stream, handler) as task:
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(task, DEADLINE)
    assert not app.consumer.unacked


async def test_records_that_retention_removed_and_reported_are_no_hole() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 4)
    async with running(app, stream, handler):
        await until(lambda: len(stream.acked) == 5)
        app.consumer.start_offsets[TP("raw", 0)] = 8
        stream.push(8, 9)
        await until(lambda: 9 in stream.acked)


async def test_a_handler_that_lacks_earlier_records_gets_its_whole_batch_again() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    rewinds = iter([Rewind({0: 2}, "test")])
    handler.fail = lambda: next(rewinds, None)
    stream.push(5, 9)
    stream.push(7, 9, partition=1)
    async with running(app, stream, handler):
        await until(lambda: bool(app.consumer.rewound))
        assert stream.acked == []
        assert not app.consumer.unacked, "a rebalance would wait for these for ever"
        app.consumer.start_offsets |= {TP("raw", 0): 2, TP("raw", 1): 7}
        stream.push(2, 9)
        stream.push(7, 9, partition=1)
        await until(lambda: len(stream.acked) == 11)
    # The other partition's records of the batch were not written either.
    assert app.consumer.rewound == [({TP("raw", 0): 2, TP("raw", 1): 7}, "test")]


async def test_a_rewind_is_tried_until_kafka_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    answers: list[Exception | None] = [Retryable("away"), None]
    rewinds = iter([Rewind({0: 2}, "test")])
    handler.fail = lambda: next(rewinds, None)
    rewound: list[dict[TP, int]] = []

    async def rewind(offsets: dict[TP, int], reason: str) -> None:
        if answer := answers.pop(0):
            raise answer
        rewound.append(offsets)

    monkeypatch.setattr(app.consumer, "rewind", rewind)
    monkeypatch.setattr(batch_loop, "COMMIT_BACKOFF", Backoff(first=0, most=0))
    stream.push(5, 6)
    with capture_logs() as logged:
        async with running(app, stream, handler):
            await until(lambda: bool(rewound))
    assert rewound == [{TP("raw", 0): 2}]
    assert [each["event"] for each in logged] == ["rewind_failed"]


def test_what_a_batch_may_rest_on_is_asked_of_the_consumer() -> None:
    app = FakeApp()
    app.consumer.topic_ids["raw"] = UUID(int=7)
    app.consumer.start_offsets[TP("raw", 0)] = 40
    owned = Ownership(app, 1)
    assert (owned.topic_id("raw"), owned.topic_id("other")) == (UUID(int=7), None)
    assert (owned.start_offset(TP("raw", 0)), owned.start_offset(TP("raw", 1))) == (40, 0)


async def test_records_that_were_delivered_before_a_rewind_are_given_back() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stale = stream.push(5, 9)
    app.consumer.stale.add(stale.message)
    stream.push(2, 9)
    async with running(app, stream, handler):
        await until(lambda: 9 in stream.acked)
    assert stream.acked == list(range(2, 10))
    assert not app.consumer.unacked


async def test_a_hole_after_a_rewind_stops_the_worker_too() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    stream.push(0, 9)
    async with running(app, stream, handler) as task:
        await until(lambda: 9 in stream.acked)
        app.consumer.start_offsets[TP("raw", 0)] = 2
        stream.push(4, 9)
        with pytest.raises(Fatal, match="expected offset 2, but got 4"):
            await asyncio.wait_for(task, DEADLINE)


async def test_a_partition_of_a_batch_that_held_no_record_is_read_again_too() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    rewinds = iter([Rewind({0: 2}, "test")])
    handler.fail = lambda: next(rewinds, None)
    stream.push(5, 9)
    empty = stream.push(7, 7, partition=1)
    empty.message.value = [EmptyOffset("raw", 1, 7, 0, 1)]
    async with running(app, stream, handler):
        await until(lambda: bool(app.consumer.rewound))
    assert app.consumer.rewound == [({TP("raw", 0): 2, TP("raw", 1): 7}, "test")]


def counted(metric: str) -> float:
    return REGISTRY.get_sample_value(f"signalflow_{metric}", {"agent": "test"}) or 0.0


def test_a_batch_keeps_the_partitions_apart_and_each_in_order() -> None:
    stream = FakeStream(FakeApp())
    events = [stream.push(0, 1), stream.push(7, 7, partition=3), stream.push(2, 2)]
    batch = Batch(events)
    assert {p: [record.offset for record in records] for p, records in batch.partitions.items()} == {
        0: [0, 1, 2],
        3: [7],
    }
    assert (len(batch), batch.topic, batch.generation, batch.events) == (4, "raw", 1, events)
    assert (len(Batch(events[:1])), Batch(events[:1]).topic, Batch(events[:1]).generation) == (2, "raw", 1)


@pytest.mark.parametrize(
    ("stops", "flows", "draining"),
    [(False, True, False), (True, True, True), (False, False, True), (True, False, True)],
)
def test_a_stop_and_a_rebalance_both_wait_for_the_batch(stops: bool, flows: bool, draining: bool) -> None:
    app = FakeApp()
    app.should_stop = stops
    if not flows:
        app.flow_control.suspend()
    assert Ownership(app, 1).draining() is draining


async def test_without_the_guard_skipped_offsets_are_processed() -> None:
    app, handler = FakeApp(), Recorder()
    app.consumer.contiguity_guard = False
    stream = FakeStream(app)
    stream.push(0, 4)
    stream.push(6, 9)
    async with running(app, stream, handler):
        await until(lambda: 9 in stream.acked)


async def test_each_step_of_a_unit_of_work_is_measured_also_when_it_fails() -> None:
    def steps() -> list[float]:
        labels = [{"agent": "test", "step": step} for step in ("prepare", "commit", "acknowledge")]
        return [REGISTRY.get_sample_value("signalflow_unit_of_work_step_seconds_count", one) or 0.0 for one in labels]

    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    before = steps()
    stream.push(0, 2)
    async with running(app, stream, handler) as task:
        await until(lambda: len(stream.acked) == 3)
        handler.fail = lambda: Fatal("a defect")
        stream.push(3, 4)
        with pytest.raises(Fatal):
            await asyncio.wait_for(task, DEADLINE)
    assert [now - then for now, then in zip(steps(), before, strict=True)] == [2, 2, 1]


async def test_acknowledged_and_returned_records_and_repeated_commits_are_counted() -> None:
    app, handler = FakeApp(), Recorder()
    stream = FakeStream(app)
    before = [counted(name) for name in ("records_total", "records_given_back_total", "commit_retries_total")]
    failures = iter([Retryable("away")])
    handler.fail = lambda: next(failures, None)
    app.consumer_generation_id = 2
    stream.push(0, 2, generation=1)
    stream.push(0, 4, generation=2)
    with capture_logs() as logged:
        async with running(app, stream, handler):
            await until(lambda: len(stream.acked) == 5)
    after = [counted(name) for name in ("records_total", "records_given_back_total", "commit_retries_total")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [5, 3, 1]
    [failed] = logged
    assert (failed["event"], failed["agent"], failed["error"]) == ("commit_failed", "test", "away")
    assert 0 < failed["retry_in"] <= COMMIT_BACKOFF.most


async def test_a_stream_that_ends_by_itself_stops_the_worker_and_one_that_ends_with_it_does_not() -> None:
    class Ended(FakeStream):
        async def events(self):  # type: ignore[no-untyped-def]
            return
            yield

    app, handler = FakeApp(), Recorder()
    async with running(app, Ended(app), handler) as task:
        with pytest.raises(Fatal, match=r"^the stream ended by itself$"):
            await asyncio.wait_for(task, DEADLINE)
    app = FakeApp()
    app.should_stop = True
    async with running(app, Ended(app), handler) as task:
        done, _ = await asyncio.wait({task}, timeout=0.05)
        assert not done, "the supervisor ends it"
