"""Records of other programs on the topics of agents: each harms no other, whatever client wrote it."""

import json
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from msgspec.structs import replace

from signalflow.events import encode
from signalflow.kafka.admin import _set_configs
from signalflow.kafka.clients import admin_client
from signalflow.kafka.offsets import end_offsets
from signalflow.kafka.producer import partition_for
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.settings import Settings
from signalflow.verify.run import verify
from tests import foreign
from tests.foreign import Foreign
from tests.integration.workers import (
    WorkerProcess,
    committed,
    eventually,
    fetch_all,
    no_differences,
    observation,
    produce,
)
from web.live.hub import Hub

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
GOOD = [f"g{number}" for number in range(40)]


def of_posts(settings: Settings, posts: Iterable[str], *headers: tuple[str, bytes]) -> list[Foreign]:
    """Valid records of the raw topic."""
    return [
        Foreign(
            post.encode(),
            encode(observation(post, START, created_at=START)),
            partition_for(post.encode(), settings.topic_partitions),
            headers,
        )
        for post in posts
    ]


async def all_is_processed(settings: Settings, topics: TopicNames, worker: WorkerProcess) -> None:
    """Publish good posts, and wait until everything is committed to the end of every topic."""
    await produce(settings, [observation(post, START, created_at=START) for post in GOOD])
    await all_is_committed(settings, topics, worker)
    assert await stored(settings, GOOD) == set(GOOD)


async def all_is_committed(settings: Settings, topics: TopicNames, worker: WorkerProcess) -> None:
    """Wait until everything is committed to the end of every topic."""

    async def is_committed() -> bool:
        assert worker.poll() is None, worker.tail()
        partitions = range(settings.topic_partitions)
        for topic in (topics.posts_raw, topics.posts_enriched, topics.posts_dlq):
            ends = await end_offsets(settings, [(topic, partition) for partition in partitions])
            done = await committed(settings, topic)
            if any(done.get(partition, 0) != ends[topic, partition] for partition in partitions):
                return False
        return True

    await eventually(is_committed, 40, worker.tail)


async def stored(settings: Settings, posts: Iterable[str]) -> set[str]:
    rows = await fetch_all(settings, "SELECT id FROM posts WHERE id = ANY ($1)", list(posts))
    return {row["id"] for row in rows}


async def letters(settings: Settings) -> list[asyncpg.Record]:
    return await fetch_all(settings, "SELECT * FROM dlq_events ORDER BY source_topic, source_partition, source_offset")


async def test_records_packed_by_any_codec_are_stored(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, kafka_server: EmbeddedKafka
) -> None:
    packed = {codec: {f"{codec}{number}" for number in range(20)} for codec in foreign.CODECS}
    for codec, posts in packed.items():
        foreign.produce(settings, topics.posts_raw, of_posts(settings, posts), codec=codec)
    await all_is_processed(settings, topics, worker)
    # From now on the brokers pack what producers did not.
    async with admin_client(settings) as admin:
        await _set_configs(admin, {topics.posts_raw: {"compression.type": "zstd"}})
    packed["by the broker"] = {f"broker{number}" for number in range(20)}
    records = of_posts(settings, packed["by the broker"])

    def are_packed() -> bool:
        foreign.produce(settings, topics.posts_raw, records)
        return foreign.last_codec(log_of(kafka_server, topics.posts_raw, records[0].partition)) == foreign.ZSTD

    await eventually(are_packed, 10)
    await all_is_processed(settings, topics, worker)
    assert {codec: await stored(settings, posts) for codec, posts in packed.items()} == packed
    assert await letters(settings) == []
    await no_differences(settings)


async def test_header_names_that_are_not_utf_8_stop_no_topic_and_no_live_stream(
    settings: Settings, worker: WorkerProcess, topics: TopicNames
) -> None:
    odd = [f"h{number}" for number in range(3)]
    records = of_posts(settings, odd, ("caf\xe9", b"1"))
    await foreign.produce_in_latin1(settings, topics.posts_raw, records)
    for topic in (topics.posts_enriched, topics.posts_dlq):
        await foreign.produce_in_latin1(settings, topic, [Foreign(b"x", b"no record of ours", 0, [("caf\xe9", b"1")])])
    hub = Hub(settings)
    async with hub.running():
        await all_is_processed(settings, topics, worker)
        await eventually(lambda: hub.stale_since is None, 20)
    assert await stored(settings, odd) == set(odd)
    found = await letters(settings)
    assert [letter["source_topic"] for letter in found] == [topics.posts_dlq, topics.posts_enriched]
    assert [json.loads(letter["original_headers"])[0][0] for letter in found] == ["caf\\xe9"] * 2, "readable"
    await no_differences(settings)


async def test_headers_of_another_program_are_not_copied_and_an_output_that_is_refused_sets_its_record_aside(
    settings: Settings, worker: WorkerProcess, topics: TopicNames
) -> None:
    fits = (1 << 20) - 4_096
    odd = of_posts(settings, ["o1", "o2"], ("dlq_of", b"x" * fits), ("attempt", b"x"))
    links = of_posts(settings, ["o3"], *((("attempt", b"1"),) * 50_000))
    foreign.produce(settings, topics.posts_raw, [*odd, *links], codec="zstd")
    await all_is_processed(settings, topics, worker)
    assert await stored(settings, ["o1", "o2", "o3"]) == {"o1", "o2", "o3"}
    assert await letters(settings) == []
    await no_differences(settings)
    # Somebody gives the enriched topic and the dead-letter topic less than their inputs may have.
    async with admin_client(settings) as admin:
        for topic in (topics.posts_enriched, topics.posts_dlq):
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": "40000"})
            await admin.alter_configs([resource])
    long = observation("long", START, created_at=START)
    long = replace(long, payload=replace(long.payload, body="b" * 70_000))
    await produce(settings, [*(observation(f"n{n}", START, created_at=START) for n in range(20)), long])
    await all_is_processed(settings, topics, worker)
    assert await stored(settings, ["long", *(f"n{n}" for n in range(20))]) == {f"n{n}" for n in range(20)}
    (letter,) = await letters(settings)
    assert (letter["original_key"], letter["source_topic"], letter["stage"]) == (b"long", topics.posts_raw, "enrich")
    assert "MessageSizeTooLargeError" in letter["error"]
    assert not letter["whole"], "the dead-letter topic takes a part of it"
    report = await verify(settings, topics)
    assert report.clean, report.tables
    assert report.tables["dead_letters"].unchecked == 1, "the record does not tell whether the brokers were right"


@pytest.mark.parametrize("when", ["before the worker reads", "while the worker reads"])
async def test_transactions_are_no_holes_and_aborted_ones_leave_nothing(
    when: str, settings: Settings, worker: WorkerProcess, topics: TopicNames
) -> None:
    if when == "before the worker reads":
        assert worker.stop() == 0
    kept, aborted = [f"k{number}" for number in range(20)], [f"a{number}" for number in range(20)]
    for half in (slice(0, 10), slice(10, 20)):
        foreign.transaction(settings, topics.posts_raw, of_posts(settings, kept[half]), name="t1", commit=True)
        foreign.transaction(settings, topics.posts_raw, of_posts(settings, aborted[half]), name="t2", commit=False)
    for topic in (topics.posts_enriched, topics.posts_dlq):
        foreign.transaction(settings, topic, [Foreign(b"x", b"no record of ours")], name=f"{topic}1", commit=True)
        foreign.transaction(settings, topic, [Foreign(b"x", b"nor is this")], name=f"{topic}2", commit=False)
    if when == "before the worker reads":
        worker.start()
        await worker.ready()
    hub = Hub(settings)
    async with hub.running():
        await all_is_processed(settings, topics, worker)
        await eventually(lambda: hub.stale_since is None, 20)
    assert await stored(settings, kept + aborted) == set(kept)
    assert [letter["original_value"] for letter in await letters(settings)] == [b"no record of ours"] * 2
    assert await worker.metric("signalflow_offset_holes") == 0
    # The ends of transactions are the last records of the log now: the commit passes them, and nobody waits for more.
    foreign.transaction(settings, topics.posts_raw, of_posts(settings, aborted[:1]), name="t3", commit=False)
    await all_is_processed(settings, topics, worker)
    await no_differences(settings)


async def test_a_changelog_that_ends_with_records_of_another_program_is_recovered(
    settings: Settings, worker: WorkerProcess, topics: TopicNames
) -> None:
    await all_is_processed(settings, topics, worker)
    assert worker.stop() == 0
    for partition in range(settings.topic_partitions):
        strange = [Foreign(b"x", b"no state", partition)]
        foreign.transaction(settings, topics.post_state_changelog, strange, name="t1", commit=partition % 2 == 0)
    shutil.rmtree(settings.state_dir)
    worker.start()
    await worker.ready()
    await all_is_processed(settings, topics, worker)
    await no_differences(settings)


# What spoils a batch, and the reason that its letters give.
SPOILT: dict[Callable[[Path, bytes], None], str] = {
    foreign.damage: "checksum",
    foreign.name_unknown_codec: "nobody knows the codec 7",
    foreign.claim_zstd: "damaged",
}


def log_of(kafka_server: EmbeddedKafka, topic: str, partition: int) -> Path:
    """The only segment of a partition's log."""
    (log,) = kafka_server.data_dir.glob(f"broker-*/{topic}-{partition}/00000000000000000000.log")
    return log


@pytest.mark.parametrize("topic", ["posts_raw", "posts_enriched", "posts_dlq"])
async def test_a_batch_that_cannot_be_decoded_is_set_aside_and_the_records_around_it_are_processed(
    topic: str, settings: Settings, worker: WorkerProcess, topics: TopicNames, kafka_server: EmbeddedKafka
) -> None:
    """Each partition has a batch that is spoilt in another way."""
    name = getattr(topics, topic)
    # Written while the worker is away: it must not read the batches before they are spoilt.
    assert worker.stop() == 0
    partitions = range(len(SPOILT))
    before, after = (of_posts(settings, [f"{prefix}{n}" for n in partitions]) for prefix in ("b", "a"))
    foreign.produce(settings, topics.posts_raw, [before[n]._replace(partition=n) for n in partitions])
    spoilt = [Foreign(b"s", f"spoilt {number}".encode(), n) for n in partitions for number in range(3)]
    foreign.produce(settings, name, spoilt)
    foreign.produce(settings, topics.posts_raw, [after[n]._replace(partition=n) for n in partitions])
    for partition, spoil in enumerate(SPOILT):
        spoil(log_of(kafka_server, name, partition), b"spoilt 1")
    worker.start()
    await worker.ready()
    hub = Hub(settings)
    async with hub.running():
        await all_is_processed(settings, topics, worker)
        await eventually(lambda: hub.stale_since is None, 20)
    around = {f"{prefix}{n}" for n in partitions for prefix in ("b", "a")}
    assert await stored(settings, around) == around
    found = await letters(settings)
    first = 1 if topic == "posts_raw" else 0
    assert [(letter["source_topic"], letter["source_partition"], letter["source_offset"]) for letter in found] == [
        (name, partition, first + number) for partition in partitions for number in range(3)
    ]
    for partition, reason in enumerate(SPOILT.values()):
        of_one = [letter for letter in found if letter["source_partition"] == partition]
        assert all(reason in letter["error"] and not letter["whole"] for letter in of_one), (
            "with its reason, not replayed"
        )
        assert b"spoilt 0" in of_one[0]["original_value"], "what bytes there are"
    assert worker.log.read_text(errors="replace").count("Traceback") == 0
    await no_differences(settings)


async def test_a_worker_that_starts_after_a_batch_that_cannot_be_decoded_reads_on(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, kafka_server: EmbeddedKafka
) -> None:
    """The brokers cannot look into the batches either, when they are asked for the record at its time."""
    await all_is_processed(settings, topics, worker)
    assert worker.stop() == 0
    for name in (topics.posts_raw, topics.posts_enriched, topics.posts_dlq):
        foreign.produce(settings, name, [Foreign(b"s", f"spoilt {number}".encode()) for number in range(3)])
        foreign.claim_zstd(log_of(kafka_server, name, 0), b"spoilt 1")
    for _ in range(2):
        worker.start()
        await worker.ready()
        await all_is_committed(settings, topics, worker)
        assert worker.stop() == 0
    worker.start()
    await worker.ready()
    foreign.produce(settings, topics.posts_raw, [of_posts(settings, ["b1"])[0]._replace(partition=0)])
    await all_is_committed(settings, topics, worker)
    assert await stored(settings, ["b1"]) == {"b1"}
    await no_differences(settings)
