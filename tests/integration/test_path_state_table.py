"""The state table on real RocksDB and Kafka: the parts of Faust that it relies on, and two writers of one changelog."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP

from signalflow.domain.observations import Observation, PostState
from signalflow.kafka.admin import create_topics
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.reader import read_range
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.state_table import StateTable
from signalflow.streams.workspace import Workspace, claim_workspace
from tables.post_state import create_post_state, decode_state, encode_state

HOUR = 3_600_000_000
# Posts of 2026: tombstones are judged by the time at which Kafka got them.
NOW = 1_790_000_000_000_000


def state(*times: int, created: int = NOW) -> bytes:
    return encode_state(PostState(created, min(times), tuple(Observation(time, time, 0) for time in sorted(times))))


def times(value: bytes | None) -> list[int]:
    return [] if value is None else [observation.observed_us for observation in decode_state(value).ring]


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[ConfirmedProducer]:
    await create_topics(settings)
    confirmed = ConfirmedProducer(settings, "test")
    yield confirmed
    await confirmed.close()


@pytest.fixture
def workspace(settings: Settings, tmp_path: Path) -> Workspace:
    return claim_workspace(settings.model_copy(update={"worker_name": "w1", "state_dir": tmp_path}))


@pytest.fixture
def table(settings: Settings, workspace: Workspace) -> StateTable:
    app = create_faust_app(Application, settings, workspace)
    return create_post_state(app, settings)


async def test_a_write_is_read_back_with_its_offset_in_the_changelog(
    table: StateTable, producer: ConfirmedProducer, settings: Settings
) -> None:
    assert table.offset_reached(1) == -1
    await table.write(producer, {1: {b"a": state(1), b"b": state(2)}, 2: {}})
    assert times(table.read(1, [b"a", b"b", b"c"])[b"b"]) == [2]
    assert table.read(1, [b"c"]) == {b"c": None}
    assert table.offset_reached(1) == 1
    topic = TopicNames.of(settings).post_state_changelog
    assert [r.key for r in await read_range(settings, topic, 1, 0, 1)] == [b"a", b"b"]


async def test_what_another_worker_wrote_in_between_is_merged_and_written_back(
    table: StateTable, producer: ConfirmedProducer, settings: Settings
) -> None:
    topic = TopicNames.of(settings).post_state_changelog
    await table.write(producer, {0: {b"a": state(1, 2, 3)}})
    await producer.send(topic, {0: [Outgoing(b"a", state(1)), Outgoing(b"z", state(9))]})  # a worker that woke up late
    await table.write(producer, {0: {b"b": state(4)}})
    assert times(table.read(0, [b"a"])[b"a"]) == [1, 2, 3]
    assert times(table.read(0, [b"z"])[b"z"]) == [9]
    log = await read_range(settings, topic, 0, 0, 4)
    assert [(r.key, times(r.value)) for r in log][4:] == [(b"a", [1, 2, 3])], "or compaction would keep the older state"
    assert table.offset_reached(0) == 4


async def test_recovery_merges_and_a_tombstone_removes_only_what_has_expired(
    table: StateTable, producer: ConfirmedProducer, settings: Settings
) -> None:
    class Event:
        def __init__(self, offset: int, key: bytes, value: bytes | None, at_us: int) -> None:
            self.message = type(
                "Message",
                (),
                {
                    "partition": 0,
                    "offset": offset,
                    "key": key,
                    "value": value,
                    "timestamp": at_us / 1e6,
                    "generation_id": table.app.consumer_generation_id,
                },
            )()

    old, young = state(1, created=NOW - 49 * HOUR), state(1, created=NOW - 47 * HOUR)
    table.apply_changelog_batch(
        [
            Event(0, b"a", state(1, 2, 3), NOW),
            Event(1, b"a", state(1), NOW),
            Event(2, b"old", old, NOW),
            Event(3, b"young", young, NOW),
            Event(4, b"old", None, NOW),
            Event(5, b"young", None, NOW),
        ]
    )
    values = table.read(0, [b"a", b"old", b"young"])
    assert times(values[b"a"]) == [1, 2, 3]
    assert values[b"old"] is None
    assert values[b"young"] == young
    assert table.offset_reached(0) == 5


async def test_expired_keys_are_found_and_bounded(table: StateTable, producer: ConfirmedProducer) -> None:
    states: dict[bytes, Any] = {f"k{n}".encode(): state(1, created=NOW + n * HOUR) for n in range(10)}
    await table.write(producer, {3: states})
    assert sorted(table.expired_keys(3, NOW + 51 * HOUR, 100)) == [b"k0", b"k1", b"k2", b"k3"]
    assert len(table.expired_keys(3, NOW + 90 * HOUR, 5)) == 5


def test_two_workers_never_share_a_directory(settings: Settings, tmp_path: Path) -> None:
    free = settings.model_copy(update={"state_dir": tmp_path, "worker_name": ""})
    first, second = claim_workspace(free), claim_workspace(free)
    assert (first.path.name, second.path.name) == ("worker-1", "worker-2")
    assert first.slot != second.slot
    with pytest.raises(Exception, match="in use by another worker"):
        claim_workspace(free.model_copy(update={"worker_name": "worker-1"}))


def test_the_changelog_topic_has_the_name_that_topic_names_give(table: StateTable, settings: Settings) -> None:
    assert table.changelog_topic.get_topic_name() == TopicNames.of(settings).post_state_changelog
    assert TP(table.changelog_topic.get_topic_name(), 0).topic.endswith("post_state-changelog")
