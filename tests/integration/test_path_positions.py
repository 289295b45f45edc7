"""Logs and tables that are no longer what the commits say: every record that a topic has is stored, by itself."""

import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.publisher import Publisher
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.positions.published import note_of
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.streams.brokers import KafkaBrokers
from signalflow.verify.run import verify
from tests import foreign
from tests.foreign import Foreign
from tests.integration.workers import WorkerProcess, committed, count, eventually, fetch_all, observation, produce

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)


def a_worker(settings: Settings, log_dir: Path) -> WorkerProcess:
    return WorkerProcess(
        settings, "w1", log_dir, SIGNALFLOW_SINK_MAX_SECONDS="0.2", SIGNALFLOW_POSITION_CHECK_SECONDS="1"
    )


async def publish(settings: Settings, prefix: str, posts: int) -> set[str]:
    """New posts, whose titles have nothing in common; returns their ids."""
    names = [f"{prefix}{number}" for number in range(posts)]
    await produce(settings, [observation(name, START, created_at=START, title=name) for name in names])
    return set(names)


async def stored(settings: Settings) -> set[str]:
    return {row["id"] for row in await fetch_all(settings, "SELECT id FROM posts")}


async def wait_until_stored(settings: Settings, worker: WorkerProcess, posts: set[str], seconds: float = 60) -> None:
    async def all_are() -> bool:
        return posts <= await stored(settings)

    await eventually(all_are, seconds, worker.tail)


async def wait_until_committed(
    settings: Settings, worker: WorkerProcess, topic: str, records: int, *, or_more: bool = False
) -> None:
    async def all_are() -> bool:
        found = sum((await committed(settings, topic)).values())
        return found == records or (or_more and found > records)

    await eventually(all_are, 30, worker.tail)


async def commit(settings: Settings, topic: str, offset: int) -> None:
    """Commit an offset in every partition, as a program that knows no positions."""
    async with AIOKafkaConsumer(
        **connection_options(settings), group_id=settings.app_id, enable_auto_commit=False
    ) as consumer:
        partitions = [TopicPartition(topic, partition) for partition in range(settings.topic_partitions)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, offset))


async def test_commits_beyond_the_end_of_a_log_cost_no_record(settings: Settings, tmp_path: Path) -> None:
    names = TopicNames.of(settings)
    await create_topics(settings)
    for topic in (names.posts_raw, names.posts_enriched, names.posts_dlq):
        await commit(settings, topic, 30)
    worker = a_worker(settings, tmp_path)
    worker.start()
    try:
        await worker.ready()
        posts = await publish(settings, "a", 200)
        await wait_until_stored(settings, worker, posts)
        assert await worker.metric("signalflow_rewinds_total", 'reason="log_cut"') == 3 * settings.topic_partitions
    finally:
        worker.ensure_stopped()
    assert "partition_rewound" in worker.log.read_text()
    assert (await verify(settings, TopicNames.of(settings))).clean


class Broker:
    """A Kafka whose logs are put back to an earlier copy, as after a power cut or by a restore."""

    def __init__(self, server: EmbeddedKafka, copies: Path) -> None:
        self._server, self._copies = server, copies

    def _logs(self, topic: str) -> list[Path]:
        return sorted((self._server.data_dir / "broker-1").glob(f"{topic}-[0-9]*"))

    def copy(self, *topics: str) -> None:
        """Keep a copy of the logs of topics."""
        self._server.stop()
        for topic in topics:
            for log in self._logs(topic):
                shutil.copytree(log, self._copies / log.name)
        self._server.start()

    def put_back(self, *topics: str) -> None:
        """Stop the broker, put the copies of the logs of topics back, start it again."""
        self._server.stop()
        for topic in topics:
            for log in self._logs(topic):
                shutil.rmtree(log)
                shutil.copytree(self._copies / log.name, log)
        self._server.start()


@pytest.fixture
def own_settings(settings: Settings, own_kafka: EmbeddedKafka) -> Settings:
    return settings.model_copy(update={"kafka": own_kafka.bootstrap, "topic_partitions": 2})


@pytest.fixture
async def worker(own_settings: Settings, tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    """A ready worker on a Kafka of its own."""
    await create_topics(own_settings)
    process = a_worker(own_settings, tmp_path)
    process.start()
    try:
        await process.ready()
        yield process
    finally:
        process.ensure_stopped()


async def with_a_cut_raw_log(settings: Settings, broker: Broker, worker: WorkerProcess) -> set[str]:
    """Stop the worker after 60 posts, take 40 of them away from the raw log, and add 120. Returns those 120."""
    topic = TopicNames.of(settings).posts_raw
    kept = await publish(settings, "kept", 20)
    await wait_until_stored(settings, worker, kept)
    broker.copy(topic)
    gone = await publish(settings, "gone", 40)
    await wait_until_stored(settings, worker, gone)
    await wait_until_committed(settings, worker, topic, 60)
    assert worker.stop() == 0
    broker.put_back(topic)
    return await publish(settings, "new", 120)


async def wait_until_nothing_is_called_wrong(settings: Settings, worker: WorkerProcess) -> None:
    async def nothing_is() -> bool:
        # What was stored of the lost records stays. The break is recorded a moment after it was noticed.
        return (await verify(settings, TopicNames.of(settings))).clean

    await eventually(nothing_is, 15, worker.tail)


async def test_a_break_that_a_worker_could_not_record_before_it_died_is_recorded_by_the_next(
    own_settings: Settings, own_kafka: EmbeddedKafka, worker: WorkerProcess, tmp_path: Path
) -> None:
    new = await with_a_cut_raw_log(own_settings, Broker(own_kafka, tmp_path / "copies"), worker)
    worker.start(SIGNALFLOW_FAIL_POINT="positions.before_record")
    await eventually(lambda: worker.poll() is not None, 60, worker.tail)
    assert await count(own_settings, "log_breaks") == 0
    worker.start()
    await worker.ready()
    await wait_until_stored(own_settings, worker, new)
    await wait_until_committed(own_settings, worker, TopicNames.of(own_settings).posts_raw, 20 + 120)
    assert await count(own_settings, "log_breaks") == own_settings.topic_partitions
    await wait_until_nothing_is_called_wrong(own_settings, worker)


@pytest.mark.parametrize("new_ones", [False, True], ids=["nothing new", "new records at their offsets"])
async def test_a_cut_of_records_that_nobody_had_read_is_recorded(
    own_settings: Settings, own_kafka: EmbeddedKafka, worker: WorkerProcess, pool: Pool, tmp_path: Path, new_ones: bool
) -> None:
    raw = TopicNames.of(own_settings).posts_raw
    # The poller outlives the workers that read: here it is this process.
    ids, brokers = await topic_ids(own_settings, [raw]), KafkaBrokers(own_settings)
    app: Any = SimpleNamespace(consumer=SimpleNamespace(topic_id=ids.get, brokers=brokers))
    publisher = Publisher(ConfirmedProducer(own_settings, "poller"), raw, note_of(app, pool, raw))

    async def poll(prefix: str, posts: int) -> set[str]:
        names = [f"{prefix}{number}" for number in range(posts)]
        found = [observation(name, START, created_at=START, title=name) for name in names]

        async def confirmed() -> bool:
            # The first batch to a broker that has lost the last ones is refused, and the producer replaced.
            return all(await publisher.publish(found))

        await eventually(confirmed, 30)
        return set(names)

    try:
        kept = await poll("kept", 20)
        await wait_until_stored(own_settings, worker, kept)
        await wait_until_committed(own_settings, worker, raw, 20)
        assert worker.stop() == 0
        broker = Broker(own_kafka, tmp_path / "copies")
        broker.copy(raw)
        await poll("gone", 40)
        broker.put_back(raw)
        new = await poll("new", 40) if new_ones else set()
    finally:
        await publisher.close()
    worker.start()
    await worker.ready()
    await wait_until_stored(own_settings, worker, new)

    async def both_are_recorded() -> bool:
        rows = await fetch_all(own_settings, "SELECT partition, reason FROM log_breaks WHERE topic = $1", raw)
        return sorted(tuple(row) for row in rows) == [(0, "log_cut"), (1, "log_cut")]

    await eventually(both_are_recorded, 30, worker.tail)
    await wait_until_nothing_is_called_wrong(own_settings, worker)


async def test_the_first_velocity_after_a_cut_is_the_difference_of_two_stored_observations(
    own_settings: Settings, own_kafka: EmbeddedKafka, worker: WorkerProcess, tmp_path: Path
) -> None:
    """The state of a post outlives the record that it was made of. So does the row of that record."""
    new = await with_a_cut_raw_log(own_settings, Broker(own_kafka, tmp_path / "copies"), worker)
    later = START + timedelta(minutes=10)
    await produce(own_settings, [observation(f"gone{n}", later, created_at=START, score=6) for n in range(40)])
    worker.start()
    await worker.ready()
    await wait_until_stored(own_settings, worker, new)

    async def are_stored() -> bool:
        return await count(own_settings, "post_metrics_history") == 20 + 2 * 40 + 120

    await eventually(are_stored, 30, worker.tail)
    found = await fetch_all(
        own_settings,
        "SELECT later.score_velocity, (later.score - first.score) / 600.0::float8 AS a_second"
        " FROM post_metrics_history first JOIN post_metrics_history later USING (post_id)"
        " WHERE first.observed_at = $1 AND later.observed_at = $2",
        START,
        later,
    )
    assert [tuple(row) for row in found] == [(5 / 600, 5 / 600)] * 40
    await wait_until_nothing_is_called_wrong(own_settings, worker)


TOPICS: dict[str, Callable[[TopicNames], str]] = {
    "raw": lambda names: names.posts_raw,
    "enriched": lambda names: names.posts_enriched,
}


@pytest.mark.parametrize("which", TOPICS)
@pytest.mark.parametrize("running", [True, False], ids=["under a running worker", "between stop and start"])
async def test_a_log_that_was_cut_and_grew_past_the_commit_is_read_from_the_cut(
    own_settings: Settings,
    own_kafka: EmbeddedKafka,
    worker: WorkerProcess,
    tmp_path: Path,
    which: str,
    running: bool,
) -> None:
    topic, broker = TOPICS[which](TopicNames.of(own_settings)), Broker(own_kafka, tmp_path / "copies")
    kept = await publish(own_settings, "kept", 20)
    await wait_until_stored(own_settings, worker, kept)
    broker.copy(topic)
    gone = await publish(own_settings, "gone", 40)
    await wait_until_stored(own_settings, worker, gone)
    await wait_until_committed(own_settings, worker, topic, 60)
    if not running:
        assert worker.stop() == 0
    broker.put_back(topic)
    new = await publish(own_settings, "new", 120)
    if not running:
        worker.start()
        await worker.ready()
    await wait_until_stored(own_settings, worker, new)
    assert await count(own_settings, "posts") == 180
    assert await worker.metric("signalflow_rewinds_total", 'reason="log_cut"') > 0
    # Enriched records that were lost are made again, and those of the last minutes with them.
    await wait_until_committed(own_settings, worker, topic, 20 + 120, or_more=which == "enriched")
    await wait_until_nothing_is_called_wrong(own_settings, worker)
    found = await fetch_all(own_settings, "SELECT DISTINCT topic, reason FROM log_breaks")
    assert [tuple(each) for each in found] == [(topic, "log_cut")]


async def test_records_after_a_cut_are_read_although_a_damaged_batch_hides_its_place(
    own_settings: Settings, own_kafka: EmbeddedKafka, worker: WorkerProcess, tmp_path: Path
) -> None:
    """Brokers cannot look for records by time then, and the log is still shorter than what was read."""
    topic, broker = TopicNames.of(own_settings).posts_raw, Broker(own_kafka, tmp_path / "copies")
    await wait_until_stored(own_settings, worker, await publish(own_settings, "kept", 20))
    broker.copy(topic)
    await wait_until_stored(own_settings, worker, await publish(own_settings, "gone", 40))
    await wait_until_committed(own_settings, worker, topic, 60)
    assert worker.stop() == 0
    broker.put_back(topic)
    for partition in range(own_settings.topic_partitions):
        text = f"spoilt {partition}".encode()
        foreign.produce(own_settings, topic, [Foreign(text, text, partition)])
        foreign.claim_zstd(own_kafka.data_dir / "broker-1" / f"{topic}-{partition}" / f"{0:020}.log", text)
    new = await publish(own_settings, "new", 20)
    worker.start()
    await worker.ready()
    await wait_until_stored(own_settings, worker, new)
    await wait_until_committed(own_settings, worker, topic, 20 + 2 + 20)
    found = await fetch_all(own_settings, "SELECT partition, going_on_at FROM log_breaks ORDER BY partition")
    assert [tuple(each) for each in found] == [(0, 0), (1, 0)]
    letters = await fetch_all(own_settings, "SELECT source_partition, original_value FROM dlq_events ORDER BY 1")
    assert [letter["source_partition"] for letter in letters] == [0, 1]
    assert all(b"spoilt %d" % letter["source_partition"] in letter["original_value"] for letter in letters)
    await wait_until_nothing_is_called_wrong(own_settings, worker)
