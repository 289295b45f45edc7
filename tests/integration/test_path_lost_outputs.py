"""Brokers that keep a commit and lose records that were written before it: the worker writes these records again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.storage.migrate import upgrade
from tests.integration.test_path_positions import Broker, publish, stored, wait_until_committed, wait_until_stored
from tests.integration.workers import WorkerProcess, count, eventually, verified


@pytest.fixture
async def own_settings(settings: Settings, own_kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres) -> Settings:
    await upgrade(own_postgres.url())
    return settings.model_copy(
        update={
            "kafka": own_kafka.bootstrap,
            "database_url": SecretStr(own_postgres.url()),
            "topic_partitions": 2,
        }
    )


@pytest.fixture
async def workers(own_settings: Settings, tmp_path: Path) -> AsyncIterator[list[WorkerProcess]]:
    """Two workers that are not started, and compare the logs each second."""
    await create_topics(own_settings)
    quick = {"SIGNALFLOW_SINK_MAX_SECONDS": "0.2", "SIGNALFLOW_POSITION_CHECK_SECONDS": "1"}
    workers = [WorkerProcess(own_settings, name, tmp_path, **quick) for name in ("w1", "w2")]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.ensure_stopped()


async def set_aside(settings: Settings, first: int, letters: int) -> None:
    """Publish records of posts and of comments that become dead letters."""
    names = TopicNames.of(settings)
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        for number in range(first, first + letters):
            for topic in (names.posts_raw, names.comments_raw):
                await producer.send_and_wait(topic, b"not json", key=b"bad%d" % number)


async def test_outputs_that_the_brokers_lost_are_made_again(
    own_settings: Settings,
    own_kafka: EmbeddedKafka,
    own_postgres: EmbeddedPostgres,
    tmp_path: Path,
    workers: list[WorkerProcess],
) -> None:
    """Enriched records and dead letters that no agent had stored. The raw records and their commits are there."""
    settings, names, broker = own_settings, TopicNames.of(own_settings), Broker(own_kafka, tmp_path / "broker")
    first, second = workers
    first.start()
    await first.ready()
    kept = await publish(settings, "kept", 30)
    await set_aside(settings, 0, 4)
    await wait_until_stored(settings, first, kept)
    await eventually(lambda: letters_are_stored(settings, 8), 30, first.tail)
    lost = (names.posts_enriched, names.posts_dlq)
    await asyncio.to_thread(broker.copy, *lost)
    # What is enriched now is stored nowhere.
    await asyncio.to_thread(own_postgres.stop)
    gone = await publish(settings, "gone", 60)
    await set_aside(settings, 4, 6)
    await wait_until_committed(settings, first, names.posts_raw, 100)
    first.kill()
    await asyncio.to_thread(broker.put_back, *lost)
    await asyncio.to_thread(own_postgres.start)
    second.start()
    await second.ready()
    await wait_until_stored(settings, second, kept | gone)
    await eventually(lambda: letters_are_stored(settings, 20), 30, second.tail)
    assert await stored(settings) == kept | gone
    raw = f'reason="outputs_lost",topic="{names.posts_raw}"'
    assert await second.metric("signalflow_rewinds_total", raw) == settings.topic_partitions
    await verified(settings, second)


async def letters_are_stored(settings: Settings, letters: int) -> bool:
    return await count(settings, "dlq_events") == letters
