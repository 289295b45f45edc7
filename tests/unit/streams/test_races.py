"""The races in which Faust 0.15.3 loses messages at rebalances (docs/decisions/faust-cures.md), each provoked.

Where it can, a test also runs Faust's unmodified class and expects the loss. When that part fails, Faust has
repaired the defect, and our replacement can be removed.
"""

import asyncio
import contextlib
from typing import Any
from uuid import UUID

import faust
import pytest
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from signalflow.domain.positions import Found, Position
from signalflow.errors import Retryable
from signalflow.metrics import REWINDS
from signalflow.streams.recovery import SuspendingRecovery
from signalflow.streams.runs import Run
from tests.unit.streams.consumer_on_logs import (
    CURED,
    TOPIC_ID,
    TP0,
    TP1,
    BrokersOfANewTopic,
    BrokersOfOneTopic,
    breaks_of,
    drained,
    make_app,
    make_consumer,
    make_rig,
    make_running_app,
    no_commits,
    timestamp_of,
)
from tests.unit.streams.fakes import FakeMessage, Record
from tests.waiting import until


class SeekingConsumer:
    """A consumer during whose seek a message arrives. Like Faust's conductor it waits for the flow, then queues it."""

    def __init__(self, app: faust.App, queue: Any) -> None:
        self._app, self._queue = app, queue
        self.delivery: asyncio.Task[None] | None = None

    def assignment(self) -> set[TP]:
        return {TP0}

    def resume_partitions(self, tps: set[TP]) -> None: ...

    def resume_flow(self) -> None: ...

    async def perform_seek(self) -> None:
        async def deliver() -> None:
            await self._app.flow_control.acquire()
            self._queue.put_nowait("the first message after the seek")

        self.delivery = asyncio.create_task(deliver())
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@pytest.mark.parametrize(("kind", "survives"), [(SuspendingRecovery, True), (Recovery, False)])
async def test_a_message_that_arrives_between_the_seek_and_the_resume_is_not_cleared(
    kind: type[Recovery], survives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    queue = app.FlowControlQueue(maxsize=10, clear_on_resume=True)
    consumer = SeekingConsumer(app, queue)
    app._consumer = consumer  # type: ignore[assignment]
    app.consumer_generation_id = 3

    class Fetcher:
        async def maybe_start(self) -> None: ...

    monkeypatch.setattr(app, "_fetcher", Fetcher(), raising=False)
    monkeypatch.setattr(app, "on_rebalance_end", lambda: None)
    app.flow_control.resume()  # as it is after the changelogs were read
    recovery = kind(app, app.tables)
    await recovery.on_recovery_completed(3)
    assert consumer.delivery is not None
    await consumer.delivery
    assert queue.qsize() == (1 if survives else 0)


class SlowConsumer(SeekingConsumer):
    """A consumer whose first seek meets brokers that are away."""

    seeks = 0

    async def perform_seek(self) -> None:
        self.seeks += 1
        if self.seeks == 1:
            await asyncio.Event().wait()


@pytest.mark.parametrize(("kind", "goes_on"), [(SuspendingRecovery, True), (Recovery, False)])
async def test_a_recovery_step_that_times_out_restarts_the_recovery(
    kind: type[Recovery], goes_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    app.conf.broker_request_timeout = 0.05
    consumer = SlowConsumer(app, None)
    app._consumer = consumer
    app.consumer_generation_id = 3

    class Fetcher:
        async def maybe_start(self) -> None: ...

    monkeypatch.setattr(app, "_fetcher", Fetcher(), raising=False)
    recovered = asyncio.Event()
    monkeypatch.setattr(app, "on_rebalance_end", recovered.set)
    recovery = kind(app, app.tables)
    recovery._generation_id = 3
    recovery.signal_recovery_start.set()
    task = asyncio.create_task(recovery._restart_recovery.fun(recovery))
    try:
        waiter = asyncio.create_task(recovered.wait())
        done, _ = await asyncio.wait({task, waiter}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert (waiter in done, task.done()) == (goes_on, not goes_on)
        assert app.flow_control.is_active() == goes_on
    finally:
        task.cancel()
        waiter.cancel()


async def test_a_recovery_that_is_stopped_does_not_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(self: Recovery, coro: Any, timeout: Any = None) -> None:
        raise ServiceStopped

    monkeypatch.setattr(Recovery, "_wait", stopped)
    app = make_app()
    recovery = SuspendingRecovery(app, app.tables)
    recovery.signal_recovery_start.clear()
    with pytest.raises(RebalanceAgain):
        await recovery._wait(None)
    assert recovery.signal_recovery_start.is_set()
    recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(None)


@pytest.fixture
async def app() -> faust.App:
    return make_running_app()


@pytest.mark.parametrize(("kind", "complete"), [(CURED, True), (driver.Consumer, False)])
async def test_records_fetched_before_a_seek_do_not_displace_the_records_after_it(
    app: faust.App, kind: type[Any], complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, kind, monkeypatch, length=60, committed=10)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    log.in_memory.append(list(range(40, 50)))  # fetched before the seek, delivered after it
    await drained(consumer, delivered, upto=59)
    assert (sorted(set(delivered)) == list(range(10, 60))) is complete
    if complete:
        assert delivered == list(range(10, 60)), "in order, without a repeat"


@pytest.mark.parametrize(("ignore", "committable"), [(True, None), (False, 50)])
async def test_a_jump_of_offsets_is_never_counted_as_acknowledged(
    app: faust.App, ignore: bool, committable: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = CURED if ignore else driver.Consumer
    consumer = make_rig(app, kind, monkeypatch, length=60, committed=10).consumer
    await consumer.perform_seek()
    await consumer._add_gap(TP0, 10, 39)
    consumer._acked[TP0].extend(range(40, 50))
    assert consumer._new_offset(TP0) == committable


@pytest.mark.parametrize(
    ("committed", "start", "acked", "stock", "ours"),
    [
        (10, 10, [11, 12, 13], 14, None),  # FS#606: one record missing in front
        (None, 0, [5, 6], 7, None),  # nothing committed yet
        (10, 10, [10, 11, 13], 12, 12),
        (10, 10, [12, 10, 11, 10], 13, 13),
        (None, 0, [0, 1, 2], 3, 3),
    ],
)
async def test_a_commit_never_passes_a_record_that_was_not_acknowledged(
    app: faust.App, committed: int | None, start: int, acked: list[int], stock: int, ours: int | None
) -> None:
    async def callback(message: Any) -> None: ...

    for kind, expected in ((CURED, ours), (driver.Consumer, stock)):
        consumer = make_consumer(app, kind, callback)
        if kind is CURED:
            consumer.start_offsets[TP0] = start
        if committed is not None:
            consumer._committed_offset[TP0] = committed
        consumer._acked[TP0].extend(dict.fromkeys(acked) if kind is not CURED else acked)
        assert consumer._new_offset(TP0) == expected, kind


@pytest.mark.parametrize(
    "left_by_earlier_assignment", [20, 30], ids=["in the log", "at its end, where nothing new comes"]
)
async def test_a_seek_that_failed_at_the_end_of_a_rebalance_is_repeated(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, left_by_earlier_assignment: int
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=30, committed=10)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    log.seek(left_by_earlier_assignment)  # perform_seek never ran
    await drained(consumer, delivered, upto=29)
    assert delivered == list(range(10, 30))


@pytest.mark.parametrize("answers", [[], [{}], [Retryable("no broker answers")], [{}, Retryable("away"), {}]])
async def test_a_topic_made_anew_is_noticed_although_its_commits_were_deleted_with_it(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, UUID] | Exception]
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    await rig.consumer.perform_seek()
    await rig.consumer.on_partitions_revoked({TP0})
    monkeypatch.setattr(rig.consumer, "brokers", BrokersOfANewTopic(*answers))
    monkeypatch.setattr(rig.consumer._thread, "committed", no_commits)
    for _ in range(len(answers) + 1):
        await rig.consumer.perform_seek()
    assert breaks_of(rig.consumer) == [(TP0, "topic_made_anew", 28, 0)]


@pytest.mark.parametrize("kept_elsewhere", [False, True])
async def test_a_topic_made_anew_after_its_id_was_asked_for_is_not_reported_as_cut(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, kept_elsewhere: bool
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, kept = rig.consumer, {TP0: Position(28, TOPIC_ID, timestamp_of(27))}
    await consumer.perform_seek()
    rig.log.length = 0
    monkeypatch.setattr(consumer, "brokers", BrokersOfANewTopic({"raw": TOPIC_ID}))
    with pytest.raises(Retryable, match="raw: made anew or deleted"):
        await (consumer.check_kept_positions(kept) if kept_elsewhere else consumer.check_positions())
    assert breaks_of(consumer) == []
    await consumer.check_positions()
    assert breaks_of(consumer) == [(TP0, "topic_made_anew", 28, 0)]


@pytest.mark.parametrize("answers", [[], [{}], [Retryable("no broker answers")]])
async def test_a_topic_made_anew_is_noticed_by_the_worker_that_left_the_partition_to_another(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, answers: list[dict[str, UUID] | Exception]
) -> None:
    """The other one finds no commit: they were deleted with the topic."""
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=28).consumer
    await consumer.perform_seek()
    await consumer.on_partitions_revoked({TP0})
    monkeypatch.setattr(consumer, "assignment", set)
    monkeypatch.setattr(consumer, "brokers", BrokersOfANewTopic(*answers))
    await consumer.perform_seek()
    for _ in range(len(answers) + 2):
        with contextlib.suppress(Retryable):
            await consumer.check_positions()
    assert breaks_of(consumer) == [(TP0, "topic_made_anew", 28, 0)]


async def test_a_partition_that_was_left_to_another_worker_is_not_reported_when_its_topic_is_made_anew_later(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the other worker knows more."""
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=28).consumer
    await consumer.perform_seek()
    await consumer.on_partitions_revoked({TP0})
    monkeypatch.setattr(consumer, "assignment", set)
    await consumer.check_positions()
    monkeypatch.setattr(consumer, "brokers", BrokersOfANewTopic())
    await consumer.check_positions()
    assert breaks_of(consumer) == []


@pytest.mark.parametrize("assigned", [{TP0}, set()])
async def test_a_log_that_was_cut_is_noticed_although_the_commits_went_with_its_records(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, assigned: set[TP]
) -> None:
    """As when the power of all brokers fails: they come back with the records and the commits of some seconds ago."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, log = rig.consumer, rig.log
    await consumer.perform_seek()
    await consumer.on_partitions_revoked({TP0})
    log.cut_and_grow(20, 70)
    log.committed = 15
    monkeypatch.setattr(consumer, "assignment", lambda: assigned)
    await consumer.perform_seek()
    await consumer.check_positions()
    going_on_at = 15 if assigned else 20
    assert breaks_of(consumer) == [(TP0, "log_cut", 28, going_on_at)]
    if assigned:
        assert log.position == 15


async def test_a_partition_is_read_from_its_commit_though_this_worker_once_read_further(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker went back meanwhile, because the database had lost rows."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, log = rig.consumer, rig.log
    await consumer.perform_seek()
    await consumer.on_partitions_revoked({TP0})
    log.committed = 15
    await consumer.perform_seek()
    assert (breaks_of(consumer), log.position, consumer.committed_upto(TP0)) == ([], 15, 15)


@pytest.mark.parametrize("cut", [None, 20])
async def test_a_log_is_compared_by_the_record_before_the_position_where_the_brokers_cannot_find_times(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, cut: int | None
) -> None:
    """The batch at that time is damaged. What was found by the other time alone must not count."""

    class BrokersOfADamagedBatch(BrokersOfOneTopic):
        async def timestamp_at(self, tp: TP, offset: int) -> int | None:
            return log.timestamp_of(offset)

    async def first_at(timestamps: dict[TP, int]) -> dict[TP, Found | None]:
        return {tp: Found(0, at) for tp, at in timestamps.items() if at == timestamp_of(27)}

    consumer, log = (rig := make_rig(app, CURED, monkeypatch, length=28, committed=28)).consumer, rig.log
    if cut is not None:
        log.cut_and_grow(cut, 70)
    monkeypatch.setattr(consumer, "brokers", BrokersOfADamagedBatch())
    monkeypatch.setattr(consumer._thread, "first_at", first_at)
    await consumer.perform_seek()
    assert (log.position, breaks_of(consumer)) == ((28, []) if cut is None else (0, [(TP0, "log_cut", 28, 0)]))


async def test_a_topic_made_anew_is_noticed_in_each_partition_though_one_is_compared_first(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=28, committed=28, partitions=[TP0, TP1]).consumer
    await consumer.perform_seek()
    monkeypatch.setattr(consumer, "brokers", BrokersOfANewTopic())
    await consumer.check_positions({TP0})
    assert breaks_of(consumer) == [(TP0, "topic_made_anew", 28, 0)]
    await consumer.check_positions()
    assert breaks_of(consumer) == [(TP0, "topic_made_anew", 28, 0), (TP1, "topic_made_anew", 28, 0)]


async def test_a_run_acknowledges_every_record_in_it_once(app: faust.App, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=30, committed=10).consumer
    await consumer.perform_seek()
    message = consumer._to_message(TP0, Run([Record(offset) for offset in range(10, 20)]))
    consumer.track_message(message)
    assert consumer.ack(message)
    assert not consumer.ack(message)
    assert not consumer.unacked
    assert consumer._new_offset(TP0) == 20


async def test_an_offset_missing_from_the_log_reaches_the_contiguity_guard(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction marker, or a record that the brokers lost: offset 20 does not exist."""
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    seeks: list[int] = []
    fetch, seek = log.fetch, log.seek
    monkeypatch.setattr(log, "fetch", lambda: [offset for offset in fetch() if offset != 20])
    monkeypatch.setattr(log, "seek", lambda offset: (seeks.append(offset), seek(offset))[1])
    await consumer.perform_seek()
    await drained(consumer, delivered, upto=59)
    assert seeks.count(20) < 5, "the partition stands still, silently"
    assert 21 in delivered, "the contiguity guard of the batch loop must see the hole"


async def test_a_rebalance_cancels_a_seek_to_the_expected_offset(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_rig(app, CURED, monkeypatch, length=60, committed=10).consumer
    await consumer.perform_seek()
    entered, gate = asyncio.Event(), asyncio.Event()

    async def slow(*tps: Any) -> dict[Any, int]:
        entered.set()
        await gate.wait()
        return dict.fromkeys(tps, 0)

    sought: list[Any] = []

    async def seek_wait(partitions: Any) -> None:
        sought.append(partitions)  # aiokafka refuses to seek a partition that is no longer assigned

    monkeypatch.setattr(consumer, "earliest_offsets", slow)
    monkeypatch.setattr(consumer._thread, "seek_wait", seek_wait)
    going = asyncio.create_task(consumer._seek_to_expected(TP0, 10))
    await entered.wait()
    await consumer.on_partitions_revoked({TP0})
    gate.set()
    await going
    assert sought == []
    assert consumer.started() == frozenset()


async def test_dropped_records_are_fetched_again_without_waiting_for_a_new_record(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen at a rebalance while the database was down: the partition was idle, and its backlog waited for ever."""
    monkeypatch.setattr("signalflow.streams.faust_consumer.OFFSET_CHECK_SECONDS", 0.0)
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    while log.fetch():
        pass  # records that were fetched and dropped
    await drained(consumer, delivered, upto=59)
    assert delivered == list(range(10, 60))


async def test_after_a_rewind_all_is_delivered_again_and_nothing_from_before_is_committed(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=10)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    before = consumer._to_message(TP0, Run([Record(offset) for offset in range(10, 20)]))
    await drained(consumer, delivered, upto=59)
    delivered.clear()
    await consumer.rewind({TP0: 5}, "test")
    assert log.committed == 5
    assert consumer.is_stale(before)
    assert not consumer.ack(before)
    assert consumer._new_offset(TP0) is None
    log.in_memory.append(list(range(50, 60)))  # fetched before the rewind
    await drained(consumer, delivered, upto=59)
    assert delivered == list(range(5, 60))


async def test_a_message_that_is_delivered_after_a_rewind_counts(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=20, committed=20)
    consumer = rig.consumer
    await consumer.perform_seek()
    await consumer.rewind({TP0: 10}, "test")
    messages: list[Any] = []

    async def keep(message: Any) -> None:
        messages.append(message)
        rig.delivered.append(message.offset)

    consumer.callback = keep
    await drained(consumer, rig.delivered, upto=19)
    (message,) = messages
    assert not consumer.is_stale(message)
    assert consumer.ack(message)
    assert consumer._new_offset(TP0) == 20
    assert consumer.position_at(TP0, 20) == Position(20, TOPIC_ID, timestamp_of(19))


async def test_a_log_that_was_cut_is_read_from_the_cut_at_the_next_check(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=60)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    log.length = 40
    await consumer.check_positions()
    for found in consumer.unrecorded_breaks():
        await consumer.note_recorded(found)
    assert (log.committed, log.position) == (40, 40)
    log.length = 50
    await drained(consumer, delivered, upto=49)
    assert delivered == list(range(40, 50))


async def test_a_worker_that_kept_its_partition_goes_back_to_the_commit_that_the_brokers_kept(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the power of all brokers fails: the outputs of the last records were lost with their commits."""
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=60)
    await rig.consumer.perform_seek()
    rig.log.length, rig.log.committed = 40, 30
    await rig.consumer.check_positions()
    assert (breaks_of(rig.consumer), rig.log.position) == ([(TP0, "log_cut", 60, 30)], 30)


async def test_nothing_is_committed_over_a_new_connection_before_the_logs_are_compared(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the power of all brokers fails, and a commit comes before the next record."""
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=50)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    messages: list[Any] = []

    async def callback(message: Any) -> None:
        messages.append(message)
        delivered.extend(record.offset for record in message.value)

    consumer.callback = callback
    await consumer.perform_seek()
    await drained(consumer, delivered, upto=59)
    for message in messages:
        consumer.ack(message)
    log.connection = None
    assert consumer._new_offset(TP0) is None
    log.length, log.committed, log.connection = 55, 45, "the second connection"
    assert consumer._new_offset(TP0) is None
    await drained(consumer, delivered, upto=99)
    assert (breaks_of(consumer), log.committed) == ([(TP0, "log_cut", 60, 45)], 45)
    assert delivered == [*range(50, 60), *range(45, 55)]


@pytest.mark.parametrize("after", ["highwaters", "first_at"])
async def test_a_record_that_is_appended_while_a_cut_log_is_compared_is_read(
    app: faust.App, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=60)
    await rig.consumer.perform_seek()
    rig.log.cut_and_grow(40, 40)
    ask = getattr(rig.consumer._thread, after)
    asked = 0

    async def ask_and_append(*arguments: Any) -> Any:
        nonlocal asked
        answer = await ask(*arguments)
        asked += 1
        if asked == {"highwaters": 1, "first_at": 2}[after]:
            rig.log.length = 41
        return answer

    monkeypatch.setattr(rig.consumer._thread, after, ask_and_append)
    await rig.consumer.check_positions()
    assert (breaks_of(rig.consumer), rig.log.position) == ([(TP0, "log_cut", 60, 40)], 40)


async def test_records_below_the_expected_offset_are_not_delivered_and_the_log_is_looked_at(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client goes back to the start of the log when the log has no record at the fetch offset."""
    rig = make_rig(app, CURED, monkeypatch, length=60, committed=60)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    log.length, log.position = 45, 0
    log.in_memory.append(list(range(10)))
    await drained(consumer, delivered, upto=44)
    assert (delivered, log.position) == ([], 45)
    assert [(each.committed, each.going_on_at) for each in consumer.unrecorded_breaks()] == [(60, 45)]


def cuts_counted() -> float:
    return float(REWINDS.labels(topic="raw", reason="log_cut")._value.get())


async def test_a_run_that_begins_below_the_expected_offset_and_ends_above_it_shows_that_the_log_was_cut(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client went back to the start of a log that had become shorter and has grown since."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    before = cuts_counted()
    log.cut_and_grow(9, 70)
    log.in_memory.append(list(range(70)))
    log.position = 70
    await drained(consumer, delivered, upto=69)
    assert cuts_counted() == before + 1
    assert delivered == list(range(9, 70))


async def test_after_a_reset_of_an_intact_log_no_record_is_missing_or_repeated(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=70, committed=28)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    before = cuts_counted()
    log.in_memory.append(list(range(40)))
    log.position = 40
    await drained(consumer, delivered, upto=69)
    assert cuts_counted() == before
    assert delivered == list(range(28, 70))


async def test_a_commit_during_the_comparison_does_not_hide_that_the_log_was_cut(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, log = rig.consumer, rig.log
    await consumer.perform_seek()
    before = cuts_counted()
    log.cut_and_grow(9, 70)

    async def commit_meanwhile(*tps: TP) -> dict[TP, int]:
        consumer._committed_offset[TP0] = 70
        return dict.fromkeys(tps, log.length)

    monkeypatch.setattr(consumer._thread, "highwaters", commit_meanwhile)
    await consumer.check_positions()
    assert cuts_counted() == before + 1
    assert log.position == 9
    assert [(each.committed, each.going_on_at) for each in consumer.unrecorded_breaks()] == [(28, 9)]


async def test_nothing_is_committed_in_a_partition_before_its_break_is_recorded(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies before leaves the commit from before the break, and the next one finds the break again."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, log = rig.consumer, rig.log
    await consumer.perform_seek()
    log.cut_and_grow(9, 70)
    await consumer.check_positions()
    message = consumer._to_message(
        TP0, Run([Record(offset, timestamp=timestamp_of(offset)) for offset in range(9, 20)])
    )
    consumer._rewinds.note_delivery(TP0, message)
    consumer.track_message(message)
    assert consumer.ack(message)
    assert (log.committed, consumer._new_offset(TP0)) == (28, None)
    (found,) = consumer.unrecorded_breaks()
    await consumer.note_recorded(found)
    assert (log.committed, consumer._new_offset(TP0)) == (9, 20)


async def test_a_break_that_the_dead_worker_did_not_record_is_found_by_the_next_one(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    rig.log.cut_and_grow(9, 70)
    await rig.consumer.perform_seek()
    assert (rig.log.committed, rig.log.position) == (28, 9)
    await rig.consumer.perform_seek()
    (found,) = rig.consumer.unrecorded_breaks()
    assert (found.committed, found.going_on_at) == (28, 9), "once, however often it is found"


async def test_a_log_that_grew_past_the_fetch_offset_while_the_connection_was_away_is_read_from_the_cut(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first commit after it would be one of the new log, and hide the cut from every later comparison."""
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=20)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    await drained(consumer, delivered, upto=27)
    delivered.clear()
    log.cut_and_grow(24, 70)
    log.connection = "another connection"
    await drained(consumer, delivered, upto=69)
    assert delivered == list(range(20, 70)), "from the commit on, which the cut does not reach"
    assert [(each.committed, each.going_on_at) for each in consumer.unrecorded_breaks()] == [(28, 20)]


async def test_while_the_logs_cannot_be_compared_nothing_is_delivered_over_a_new_connection(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signalflow.streams.faust_consumer.OFFSET_CHECK_SECONDS", 0.0)
    rig = make_rig(app, CURED, monkeypatch, length=70, committed=20)
    consumer, log, delivered = rig.consumer, rig.log, rig.delivered
    await consumer.perform_seek()
    failures = iter([Retryable("away"), Retryable("away")])

    async def topic_ids(names: Any) -> dict[str, UUID]:
        for failure in failures:
            assert delivered == []
            raise failure
        return {"raw": TOPIC_ID}

    monkeypatch.setattr(consumer.brokers, "topic_ids", topic_ids)
    log.connection = "another connection"
    await drained(consumer, delivered, upto=69)
    assert delivered == list(range(20, 70))
    assert next(failures, None) is None


async def test_the_logs_are_not_compared_again_while_the_connection_stays(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=70, committed=20)
    await rig.consumer.perform_seek()

    async def topic_ids(names: Any) -> dict[str, UUID]:
        raise AssertionError

    monkeypatch.setattr(rig.consumer.brokers, "topic_ids", topic_ids)
    await drained(rig.consumer, rig.delivered, upto=69)
    assert rig.delivered == list(range(20, 70))


async def test_a_cut_that_two_comparisons_find_at_once_counts_once(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig(app, CURED, monkeypatch, length=28, committed=28)
    consumer, log = rig.consumer, rig.log
    await consumer.perform_seek()
    before = cuts_counted()
    log.cut_and_grow(9, 70)
    both_have_begun = asyncio.Barrier(2)

    async def first_at(timestamps: dict[TP, int]) -> dict[TP, Found | None]:
        await both_have_begun.wait()
        return {tp: log.first_at(timestamp) for tp, timestamp in timestamps.items()}

    monkeypatch.setattr(consumer._thread, "first_at", first_at)
    async with asyncio.timeout(5):
        await asyncio.gather(consumer.check_positions(), consumer.check_positions({TP0}))
    assert cuts_counted() == before + 1


@pytest.mark.parametrize(("kind", "survives"), [(CURED, True), (driver.Consumer, False)])
async def test_an_unknown_fetch_offset_does_not_end_the_worker(
    app: faust.App, kind: type[Any], survives: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While aiokafka looks for a new fetch offset, Faust's check of idle topics meets an assertion."""
    consumer = make_rig(app, kind, monkeypatch, length=60, committed=10).consumer

    class Unknown:
        def verify_event_path(self, now: float, tp: TP) -> None:
            raise AssertionError

    consumer._thread = Unknown()
    with contextlib.nullcontext() if survives else pytest.raises(AssertionError):
        await consumer.verify_all_partitions_active()


CHANGELOG = TP("changelog", 0)


class ChangelogThread:
    """A consumer's thread whose fetch is under way when recovery seeks: it returns records of the old fetch offset."""

    has_ended = False

    def __init__(self) -> None:
        self.position = 300
        self.in_flight: list[int] | None = list(range(500, 510))
        self.sought = asyncio.Event()

    async def getmany(self, active_partitions: Any, timeout: float) -> dict[TP, list[Record]]:
        await asyncio.sleep(0)
        if self.in_flight is not None:
            offsets, self.in_flight = self.in_flight, None
            await self.sought.wait()
        else:
            offsets = list(range(self.position, min(self.position + 100, 600)))
            self.position += len(offsets)
        return {CHANGELOG: [Record(offset, topic="changelog") for offset in offsets]} if offsets else {}

    async def seek_wait(self, partitions: dict[TP, int]) -> None:
        self.position = partitions[CHANGELOG]
        self.sought.set()


@pytest.mark.parametrize(("kind", "complete"), [(CURED, True), (driver.Consumer, False)])
async def test_recovery_skips_no_record_after_a_changelog_fetch_that_a_seek_overtook(
    app: faust.App, kind: type[Any], complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[int] = []
    seen = 299

    async def callback(message: Any) -> None:
        # Faust's recovery takes a changelog record only if its offset is above all that it has seen.
        nonlocal seen
        for record in message.value:
            if record.offset > seen:
                seen = record.offset
                applied.append(record.offset)

    consumer = make_consumer(app, kind, callback)
    consumer._set_active_tps({CHANGELOG})
    consumer._thread = ChangelogThread()
    monkeypatch.setattr(consumer, "assignment", lambda: {CHANGELOG})
    monkeypatch.setattr(consumer, "highwater", lambda tp: 600)
    draining = asyncio.create_task(drained(consumer, applied, upto=599))
    await until(lambda: consumer._thread.in_flight is None)
    await consumer.seek_wait({CHANGELOG: 300})
    await draining
    assert (applied == list(range(300, 600))) is complete


async def test_a_rebalance_does_not_wait_for_messages_that_were_given_back(
    app: faust.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = make_consumer(app, CURED, lambda message: None)

    async def nothing_to_commit(*args: Any, **kwargs: Any) -> bool:
        return True

    monkeypatch.setattr(consumer, "commit", nothing_to_commit)
    messages = [FakeMessage([Record(offset)], 1) for offset in range(2)]
    for message in messages:
        consumer._unacked_messages.add(message)
    empty = asyncio.create_task(consumer.wait_empty())
    await until(lambda: consumer._waiting_for_ack is not None)
    for message in messages:
        consumer.give_back(message)
    # Faust checks again by itself only after a second. `wait_empty` swallows a cancellation, so asyncio.timeout around
    # it would prove nothing.
    done, _ = await asyncio.wait({empty}, timeout=0.5)
    assert empty in done
