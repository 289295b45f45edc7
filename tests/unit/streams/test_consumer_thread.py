"""What the consumer's thread tells and asks aiokafka: commits with their positions, heartbeats, records by time."""

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, CorruptRecordException, UnknownError
from aiokafka.structs import OffsetAndMetadata, OffsetAndTimestamp
from faust.types import TP

from signalflow.domain.positions import Commit, Found, Outputs, Position
from signalflow.kafka import stopping
from signalflow.kafka.producer import Span
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.consumer_thread import Calls, ConsumerThread
from signalflow.streams.outputs import OutputLogs
from signalflow.streams.workspace import claim_workspace
from signalflow.streams.written import Written
from tables.post_state import create_post_state

TP0, TP1 = TP("raw", 0), TP("raw", 1)
TOPIC_ID = UUID(int=7)
METADATA = f"topic={TOPIC_ID} record=5000"


class Coordinator:
    """The part of aiokafka that talks to the group's coordinator."""

    def __init__(self) -> None:
        self.rejoins = 0
        self.commits: dict[TopicPartition, OffsetAndMetadata] = {}

    async def fetch_committed_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, Any]:
        return {tp: self.commits[tp] for tp in partitions if tp in self.commits}

    def request_rejoin(self) -> None:
        self.rejoins += 1


async def _nothing() -> None:
    """Stop or close what has nothing to wait for."""


class Client:
    """aiokafka's consumer, which has partition 0."""

    def __init__(self) -> None:
        self._coordinator = Coordinator()
        self._client = SimpleNamespace(close=_nothing)
        self._closed = False
        self.failure: Exception | None = None
        self.stop = _nothing

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("raw", 0)}

    async def commit(self, commits: dict[TopicPartition, OffsetAndMetadata]) -> None:
        if self.failure:
            raise self.failure
        self._coordinator.commits.update(commits)

    async def offsets_for_times(self, asked: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        assert asked, "aiokafka refuses to ask for nothing"
        return {tp: None if timestamp > 5_000 else OffsetAndTimestamp(49, 5_000) for tp, timestamp in asked.items()}


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
async def thread(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConsumerThread:
    settings = Settings(state_dir=tmp_path, worker_name="w1")
    app = create_faust_app(Application, settings, claim_workspace(settings))
    create_post_state(app, settings)
    made: ConsumerThread = app.consumer._new_consumer_thread()
    made._consumer = client
    app.consumer._consumed.begin(TP0, topic_id=TOPIC_ID)
    app.consumer._consumed.acknowledge(TP0, 50, 5_000)
    return made


async def test_a_commit_carries_the_position_and_leaves_out_partitions_that_the_worker_lost(
    thread: ConsumerThread, client: Client
) -> None:
    before = time.monotonic()
    assert await thread._commit({TP0: 50, TP1: 60})
    assert client._coordinator.commits == {TopicPartition("raw", 0): OffsetAndMetadata(50, METADATA)}
    assert await thread._committed([TP0, TP1]) == {TP0: Commit(Position(50, TOPIC_ID, 5_000), None)}
    # Faust reads here when each partition was committed.
    assert all(before <= thread.tp_last_committed_at[tp] <= time.monotonic() for tp in (TP0, TP1))


async def test_a_commit_tells_how_far_its_outputs_were_written(
    thread: ConsumerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = Outputs(20, {"made": Position(70, None, 6_000)})
    thread.consumer._outputs = OutputLogs(Written(), {"raw": ["made"]})
    thread.consumer._outputs.begin(TP0, 50, outputs)
    assert await thread._commit({TP0: 50})
    assert await thread._committed([TP0]) == {TP0: Commit(Position(50, TOPIC_ID, 5_000), outputs)}


async def test_a_partition_whose_outputs_are_lost_is_not_committed(thread: ConsumerThread, client: Client) -> None:
    """Not even when the loss is noticed after the offset was chosen."""
    written = Written()
    thread.consumer._outputs = OutputLogs(written, {"raw": ["made"]})
    written.note("made", {0: [Span(0, 9, 0, 1_000)]})
    written.note("made", {0: [Span(7, 8, 0, 2_000)]})
    assert not await thread._commit({TP0: 50})
    assert client._coordinator.commits == {}


@pytest.mark.parametrize(
    ("failure", "ends"),
    [
        (CommitFailedError("Commit cannot be completed since the group has already rebalanced"), False),
        (CommitFailedError("unknown member"), True),
        (ValueError("whatever"), True),
    ],
)
async def test_a_commit_that_fails_for_another_reason_than_a_rebalance_ends_the_worker(
    thread: ConsumerThread, client: Client, failure: Exception, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[BaseException] = []

    async def crash(error: BaseException) -> None:
        ended.append(error)

    monkeypatch.setattr(thread, "crash", crash)
    client.failure = failure
    assert not await thread._commit({TP0: 50})
    assert ended == ([failure] if ends else [])


async def test_records_are_found_by_their_time_and_none_later_than_the_last(thread: ConsumerThread) -> None:
    assert await thread._first_at({TP0: 5_000, TP1: 5_001}) == {TP0: Found(49, 5_000), TP1: None}
    assert await thread._first_at({}) == {}


@pytest.mark.parametrize("refusal", [UnknownError, CorruptRecordException])
async def test_a_partition_whose_brokers_cannot_tell_is_left_out_and_the_others_are_told(
    thread: ConsumerThread, client: Client, monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    """A broker looks into the batch of a time, and refuses when that is damaged."""
    offsets_for_times = client.offsets_for_times

    async def refuse(asked: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
        if TopicPartition(*TP1) in asked:
            raise refusal(TP1)
        return await offsets_for_times(asked)

    monkeypatch.setattr(client, "offsets_for_times", refuse)
    assert await thread._first_at({TP0: 5_000, TP1: 5_001}) == {TP0: Found(49, 5_000)}
    assert await thread._first_at({TP1: 5_001}) == {}


async def test_a_worker_joins_its_group_again_when_it_is_told_to(thread: ConsumerThread, client: Client) -> None:
    await thread.rejoin()
    assert client._coordinator.rejoins == 1


async def test_a_consumer_without_a_group_has_no_heartbeats_to_note(thread: ConsumerThread, client: Client) -> None:
    client._coordinator = None  # type: ignore[assignment]
    thread._note_heartbeats()


@pytest.fixture
async def started(thread: ConsumerThread, client: Client, monkeypatch: pytest.MonkeyPatch) -> ConsumerThread:
    """The thread runs, with this client."""

    async def start(thread: ConsumerThread) -> None:
        thread._consumer = client

    monkeypatch.setattr(ConsumerThread, "on_start", start)
    # Faust gives up after 60 s. A worker must end within 20 s.
    thread.shutdown_timeout = 10.0
    await thread.start()
    return thread


async def test_a_stop_during_a_rebalance_lets_its_handlers_finish(started: ConsumerThread, client: Client) -> None:
    """aiokafka ends only after the handlers of a rebalance, and these ask the thread for offsets."""
    worker_loop = asyncio.get_running_loop()
    answers = []

    async def handle_rebalance() -> None:
        answers.append(await started.committed([TP0]))

    async def stop() -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(handle_rebalance(), worker_loop))

    client.stop = stop
    await started.stop()
    assert answers == [{}]


async def test_a_client_that_does_not_stop_is_cut_off(
    started: ConsumerThread, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it stops, aiokafka repeats a commit for ever when it has lost the group's coordinator."""
    monkeypatch.setattr(stopping, "CLOSE_SECONDS", 0.05)
    cancelled = threading.Event()

    async def stop() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    client.stop = stop
    await started.stop()
    assert cancelled.is_set()


async def test_calls_that_the_client_never_answers_end_with_the_thread(started: ConsumerThread, client: Client) -> None:
    """Without a coordinator, aiokafka asks for commits for ever once it stops. More calls wait than are served."""
    worker_loop = asyncio.get_running_loop()
    asked = []

    async def ask_for_ever() -> None:
        asked.append(None)
        await asyncio.Event().wait()

    async def stop() -> None:
        for _ in range(8):
            asyncio.run_coroutine_threadsafe(started.call_thread(ask_for_ever), worker_loop)
        while len(asked) < 2:
            await asyncio.sleep(0)

    client.stop = stop
    await started.stop()
    assert asked


async def test_a_rebalance_of_a_worker_that_stops_leaves_the_client_to_its_thread(
    started: ConsumerThread, client: Client
) -> None:
    """Faust closes the client then, in the worker's thread, so that the client neither leaves its group nor ends."""
    stopped_in = []

    async def stop() -> None:
        assert not client._closed
        stopped_in.append(threading.current_thread())

    client.stop = stop
    started.close()
    await started.stop()
    assert stopped_in == [started._thread]


async def test_calls_that_wait_when_the_thread_ends_are_dropped() -> None:
    calls = Calls()
    for _ in range(3):
        await calls._queue.put("a call")  # type: ignore[arg-type]
    await calls.flush()
    assert calls._queue.empty()
