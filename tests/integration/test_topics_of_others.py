"""A Kafka with stock settings, which creates each topic that a client asks about."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from signalflow.errors import Fatal
from signalflow.kafka.admin import _set_configs, apply_topics, check_topics, prepare_topics, topic_partitions
from signalflow.kafka.clients import admin_client
from signalflow.kafka.connection import connection_options
from signalflow.kafka.stopping import stop_consumer
from signalflow.kafka.topics import TopicNames, topic_specs
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.settings import Settings
from signalflow.verify.run import verify
from tests.integration.test_path_kills import START
from tests.integration.workers import WorkerProcess, count, eventually, observation, produce

# Kafka's own defaults, where our embedded brokers have others.
STOCK = {"auto.create.topics.enable": "true", "group.initial.rebalance.delay.ms": "3000"}


@pytest.fixture(scope="module")
def stock_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker with stock settings."""
    broker, controller = free_ports(2)
    server = EmbeddedKafka(tmp_path_factory.mktemp("stock-kafka"), [broker], [controller], options=STOCK)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(stock_kafka: EmbeddedKafka, database_url: str, tmp_path: Path) -> Settings:
    """An installation of its own on the broker with stock settings."""
    unique = uuid.uuid4().hex[:8]
    return Settings(
        kafka=stock_kafka.bootstrap,
        database_url=SecretStr(database_url),
        state_dir=tmp_path / "state",
        app_id=f"stock-{unique}",
        topic_prefix=f"stock-{unique}-",
        topic_partitions=4,
    )


async def made_by_hand(settings: Settings, *topics: NewTopic) -> None:
    """Topics as somebody else creates them."""
    admin = AIOKafkaAdminClient(**connection_options(settings))
    await admin.start()
    await admin.create_topics(list(topics))
    await admin.close()

    async def are_visible() -> bool:
        return {topic.name for topic in topics} <= (await topic_partitions(settings)).keys()

    await eventually(are_visible, 10)


async def differ(settings: Settings) -> bool:
    """Whether the brokers show a difference already."""
    return bool(await check_topics(settings))


def signalflow(settings: Settings, *arguments: str) -> tuple[int, Any]:
    """Exit status and JSON output of a command."""
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), *arguments, "--json"],
        env=os.environ
        | {
            "SIGNALFLOW_KAFKA": settings.kafka,
            "SIGNALFLOW_APP_ID": settings.app_id,
            "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix,
            "SIGNALFLOW_TOPIC_PARTITIONS": str(settings.topic_partitions),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout)


async def test_three_workers_at_once_start_on_a_broker_that_creates_topics_by_itself(
    settings: Settings, tmp_path: Path
) -> None:
    workers = [WorkerProcess(settings, f"w{number}", tmp_path) for number in (1, 2, 3)]
    try:
        for worker in workers:
            worker.start()
        await asyncio.gather(*(worker.ready(90) for worker in workers))
        await produce(settings, [observation(f"p{n}", START, created_at=START) for n in range(100)])

        async def all_stored() -> bool:
            return await count(settings, "posts") == 100

        await eventually(all_stored, 30, workers[0].tail)
        report = await verify(settings, TopicNames.of(settings))
        assert report.clean, report
    finally:
        for worker in workers:
            worker.ensure_stopped()
    assert set((await topic_partitions(settings)).values()) == {settings.topic_partitions, 1}
    assert await check_topics(settings) == []


async def test_no_client_creates_a_topic_by_asking_about_it(settings: Settings) -> None:
    names = [spec.name for spec in topic_specs(settings)]
    assert await topic_partitions(settings) == {}
    async with AIOKafkaProducer(**connection_options(settings), request_timeout_ms=1000) as producer:
        with pytest.raises(KafkaError):
            await producer.send(names[0], b"x")
    waiting = AIOKafkaConsumer(names[1], **connection_options(settings), group_id=settings.app_id)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await waiting.start()
    await stop_consumer(waiting)
    async with AIOKafkaConsumer(**connection_options(settings)) as consumer:
        consumer.assign([TopicPartition(names[2], 0)])
        assert await consumer.getmany(timeout_ms=500) == {}
    assert await topic_partitions(settings) == {}


async def test_check_names_every_difference_and_apply_removes_it(settings: Settings) -> None:
    names = TopicNames.of(settings)
    await made_by_hand(
        settings,
        NewTopic(names.posts_raw, 4, 1, topic_configs={"cleanup.policy": "compact", "retention.ms": "1000"}),
        NewTopic(names.posts_dlq, 2, 1, topic_configs={"segment.bytes": "10000000"}),
    )
    status, answer = signalflow(settings, "topics", "check")
    assert status == 1
    found = {(item["topic"], item["property"]): (item["found"], item["wanted"]) for item in answer["differences"]}
    assert found == {
        (names.posts_raw, "cleanup.policy"): ("compact", "delete"),
        (names.posts_raw, "retention.ms"): ("1000", str(3 * 86_400_000)),
        (names.posts_raw, "message.timestamp.type"): ("CreateTime", "LogAppendTime"),
        (names.posts_dlq, "partitions"): ("2", "4"),
        (names.posts_raw, "segment.ms"): (str(7 * 86_400_000), str(86_400_000)),
        (names.posts_dlq, "retention.ms"): (str(7 * 86_400_000), str(6 * 86_400_000)),
        (names.posts_dlq, "segment.ms"): (str(7 * 86_400_000), str(86_400_000)),
        (names.posts_dlq, "max.message.bytes"): ("1048588", str(2 << 20)),
        (names.posts_dlq, "message.timestamp.type"): ("CreateTime", "LogAppendTime"),
        **{
            (topic, "topic"): (None, "exists")
            for topic in (
                *(
                    names.comments_raw,
                    names.posts_enriched,
                    names.signal_inputs,
                    names.term_inputs,
                    names.signals,
                    names.leader,
                ),
                *names.changelogs,
            )
        },
    }
    assert signalflow(settings, "topics", "check") == (status, answer), "a check changes nothing"
    status, answer = signalflow(settings, "topics", "apply")
    assert (status, answer["left"]) == (0, [])
    assert {(item["topic"], item["property"]) for item in answer["changed"]} == found.keys()
    assert signalflow(settings, "topics", "check") == (0, {"differences": []})
    assert (await topic_partitions(settings))[names.posts_dlq] == 4


@pytest.mark.parametrize(
    ("name", "config", "why"),
    [
        ("posts_raw", {"cleanup.policy": "compact"}, "compaction removes records"),
        ("posts_enriched", {"message.timestamp.type": "CreateTime"}, "times in the log"),
        ("posts_dlq", {"max.message.bytes": "1000000"}, "records of the size"),
        ("post_state_changelog", {"cleanup.policy": "delete"}, "states that are needed"),
        ("posts_raw", {"min.insync.replicas": "2"}, "no record can be written"),
    ],
)
async def test_a_worker_refuses_a_property_that_breaks_a_promise(
    settings: Settings, name: str, config: dict[str, str], why: str
) -> None:
    topic = getattr(TopicNames.of(settings), name)
    await apply_topics(settings)
    await prepare_topics(settings)
    async with admin_client(settings) as admin:
        await _set_configs(admin, {topic: config})
    await eventually(lambda: differ(settings), 10)
    with pytest.raises(Fatal, match=f"{topic}.*{why}.*signalflow topics apply"):
        await prepare_topics(settings)
    await apply_topics(settings)
    await prepare_topics(settings)


async def test_a_worker_warns_of_what_breaks_no_promise(settings: Settings) -> None:
    await apply_topics(settings)
    more_copies = settings.model_copy(update={"topic_replication": 2})
    warnings = (await prepare_topics(more_copies)).warnings
    assert {(difference.property, difference.wanted, difference.change) for difference in warnings} == {
        ("copies", "2", "by hand")
    }
    assert len(warnings) == len(topic_specs(settings))


async def test_topics_with_fewer_partitions_than_the_setting_are_refused_until_they_are_given(
    settings: Settings,
) -> None:
    await prepare_topics(settings)
    more = settings.model_copy(update={"topic_partitions": 6})
    with pytest.raises(Fatal, match="SIGNALFLOW_TOPIC_PARTITIONS=4, or add partitions with `signalflow topics apply`"):
        await prepare_topics(more)
    _, left = await apply_topics(more)
    assert left == []
    assert set((await topic_partitions(more)).values()) == {6, 1}


async def test_partitions_that_somebody_added_to_one_topic_are_added_to_those_that_share_their_numbers(
    settings: Settings,
) -> None:
    names = TopicNames.of(settings)
    await prepare_topics(settings)
    async with admin_client(settings) as admin:
        await admin.create_partitions({names.posts_raw: NewPartitions(7)})
    await eventually(lambda: differ(settings), 10)
    prepared = await asyncio.gather(*(prepare_topics(settings) for _ in range(3)))
    assert {name for one in prepared for name in one.extended} == {
        names.comments_raw,
        names.posts_enriched,
        names.posts_dlq,
        names.signal_inputs,
        names.term_inputs,
        names.signals,
        *names.changelogs,
    }
    shared = {topic: found.partitions for topic, found in prepared[-1].topics.items()}
    assert shared == {
        names.posts_raw: 7,
        names.posts_enriched: 7,
        names.posts_dlq: 7,
        **dict.fromkeys((names.signal_inputs, names.term_inputs, names.signals, *names.changelogs), 7),
        names.comments_raw: 7,
        names.leader: 1,
    }
