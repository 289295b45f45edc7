"""While the database is away, a worker holds no more than its queues take, and its metrics say how far behind it is."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signalflow.events import Enriched, Source, TextFeatures, encode
from signalflow.kafka.admin import create_topics
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.streams.app import MAX_POLL_RECORDS, queue_runs
from signalflow.streams.batch_loop import QUEUED_RUNS
from signalflow.streams.runs import RUN_RECORDS
from tests.integration.door import door_to_database
from tests.integration.workers import WorkerProcess, count, eventually

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
POSTS, MOMENTS = 2_000, 25
# Longer than the interval at which the worker sets its gauges.
UNCHANGED_SECONDS = 5.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One partition: its queue is small compared with the records that wait."""
    return settings.model_copy(update={"topic_partitions": 1})


def row(post: int, moment: int) -> Outgoing:
    at = START + timedelta(minutes=moment)
    enriched = Enriched(
        id=f"b{post}", subreddit="python", author=None, title="A post", url=None, permalink=None, flair=None,
        over_18=False,
        created_utc=START, first_seen_at=START, observed_at=at, emitted_at=at, current_score=moment, current_comments=0,
        current_ratio=None, score_velocity=None, comment_velocity=None, trending_score=0.0, is_trending=False,
        nlp=TextFeatures(sentiment_score=0.0, sentiment_label="neutral", keywords=[]), removed_by=None, late=False,
        mode="refresh", source=Source(topic="raw", partition=0, offset=0),
    )  # fmt: skip
    return Outgoing(enriched.id.encode(), encode(enriched))


async def fill(settings: Settings, topic: str) -> int:
    """Publish enriched records before the worker starts, so that it gets full runs; returns their number."""
    producer = ConfirmedProducer(settings, "test")
    try:
        for moment in range(MOMENTS):
            await producer.send(topic, {0: [row(post, moment) for post in range(POSTS)]})
    finally:
        await producer.close()
    return POSTS * MOMENTS


async def test_an_outage_of_the_database_fills_the_queues_and_no_more_and_the_lag_shows_it(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    topic = TopicNames.of(settings).posts_enriched
    records = await fill(settings, topic)
    # Faust's queue, the loop's own, the batch in hand, and what one fetch may bring when the queue is nearly full.
    most = (queue_runs(settings) + QUEUED_RUNS + 1) * RUN_RECORDS + settings.sink_max_records_behind + MAX_POLL_RECORDS
    assert records > 2 * most
    async with door_to_database(settings) as (door, through):
        await door.shut()
        worker = WorkerProcess(through, "w1", tmp_path)
        worker.start()
        try:
            held, since = 0.0, time.monotonic()

            async def holds_no_more() -> bool:
                nonlocal held, since
                assert worker.poll() is None, worker.tail()
                now = await worker.metric("signalflow_records_held", topic) if await worker.is_live() else 0.0
                if now != held:
                    held, since = now, time.monotonic()
                return held > 0 and time.monotonic() - since > UNCHANGED_SECONDS

            await eventually(holds_no_more, 60, worker.tail)
            assert held <= most
            assert await worker.metric("signalflow_consumer_lag", topic) == records
            assert await worker.metric("signalflow_oldest_unprocessed_seconds", topic) > UNCHANGED_SECONDS
            await door.open()

            async def stored() -> bool:
                return await count(settings, "post_metrics_history") == records

            await eventually(stored, 60, worker.tail)

            async def nothing_is_left() -> bool:
                lag = await worker.metric("signalflow_consumer_lag", topic)
                return lag == await worker.metric("signalflow_oldest_unprocessed_seconds", topic) == 0

            await eventually(nothing_is_left, 30, worker.tail)
        finally:
            worker.ensure_stopped()
