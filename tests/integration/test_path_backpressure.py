"""While the database is away a worker holds what its queues take and no more, and says how far behind it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signalflow.settings import Settings
from signalflow.streams.admin import create_topics
from signalflow.streams.app import MAX_POLL_RECORDS, queue_runs
from signalflow.streams.consume import QUEUED_RUNS
from signalflow.streams.runs import RUN_RECORDS
from signalflow.topics import TopicNames
from tests.integration.door import door_to_database
from tests.integration.workers import WorkerProcess, count, eventually, observation, produce

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
POSTS, MOMENTS = 2_000, 25


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One partition, whose queue is small beside what comes in."""
    return settings.model_copy(update={"topic_partitions": 1})


async def test_an_outage_of_the_database_fills_the_queues_and_no_more_and_the_lag_shows_it(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    records, topic = POSTS * MOMENTS, TopicNames.of(settings).posts_enriched
    # Faust's queue, the loop's own, the batch in hand, and what one fetch may bring when the queue is nearly full.
    most = (queue_runs(settings) + QUEUED_RUNS + 1) * RUN_RECORDS + settings.sink_max_records_behind + MAX_POLL_RECORDS
    assert records > 2 * most
    async with door_to_database(settings) as (door, through):
        worker = WorkerProcess(through, "w1", tmp_path)
        worker.start()
        try:
            await worker.ready()
            await door.shut()
            for moment in range(MOMENTS):
                at = START + timedelta(minutes=moment)
                await produce(settings, [observation(f"b{n}", at, created_at=START) for n in range(POSTS)])

            async def enriched() -> bool:
                return await worker.metric("signalflow_records_total", 'agent="enrich"') == records

            await eventually(enriched, 60, worker.tail)

            async def lags() -> bool:
                return await worker.metric("signalflow_consumer_lag", topic) == records

            await eventually(lags, 15, worker.tail)
            held = await worker.metric("signalflow_records_held", topic)
            assert 0 < held <= most
            await door.open()

            async def stored() -> bool:
                return await count(settings, "post_metrics_history") == records

            await eventually(stored, 60, worker.tail)
        finally:
            worker.ensure_stopped()
