"""Workers are killed where a wrong order of steps would show: the oracle must find nothing missing.

`python -m tests.chaos.mutations --servers` puts such wrong orders into the code, and these tests then fail.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiokafka import AIOKafkaProducer

from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration.workers import (
    WorkerProcess,
    committed,
    count,
    eventually,
    no_differences,
    observation,
    produce,
    read_topic,
)

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
# A valid time that the table refuses: there was no Reddit then.
BEFORE_REDDIT = datetime(2001, 1, 1, tzinfo=UTC)
POSTS = 200


def a_worker(settings: Settings, name: str, log_dir: Path) -> WorkerProcess:
    return WorkerProcess(settings, name, log_dir, SIGNALFLOW_SINK_MAX_SECONDS="0.2")


async def observe(settings: Settings, moment: int, start: datetime = START, prefix: str = "k") -> None:
    """One observation of every post."""
    at = start + timedelta(minutes=moment)
    posts = [observation(f"{prefix}{n}", at, created_at=start, score=7 * moment * moment) for n in range(POSTS)]
    await produce(settings, posts)


async def all_is_committed(settings: Settings) -> bool:
    """Whether the group has committed all records of its topics, asked in the order in which records pass them."""
    names = TopicNames.of(settings)
    for topic in (names.posts_raw, names.posts_enriched, names.posts_dlq):
        passed = sum((await committed(settings, topic)).values())
        if passed < len(await read_topic(settings, topic)):
            return False
    return True


async def test_records_that_a_commit_has_passed_survive_a_kill_at_that_moment(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    worker = a_worker(settings, "w1", tmp_path)
    worker.start()
    try:
        await worker.ready()
        await observe(settings, 0)
        await observe(settings, 0, start=BEFORE_REDDIT, prefix="x")
        async with AIOKafkaProducer(**connection_options(settings)) as producer:
            for number in range(POSTS):
                await producer.send(TopicNames.of(settings).posts_raw, b"not json", key=b"bad%d" % number)
        await eventually(lambda: all_is_committed(settings), 30, worker.tail)
        worker.kill()
        worker.start()
        await worker.ready()
        await eventually(lambda: all_is_committed(settings), 30, worker.tail)
    finally:
        worker.ensure_stopped()
    report = await no_differences(settings)
    assert report.posts.found == POSTS
    assert report.dead_letters is not None
    assert report.dead_letters.found == 2 * POSTS


async def test_a_state_that_is_missing_in_the_changelog_misleads_no_other_worker(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    first, second = a_worker(settings, "w1", tmp_path), a_worker(settings, "w2", tmp_path)
    try:
        first.start()
        await first.ready()
        await observe(settings, 0)
        await eventually(lambda: all_is_committed(settings), 30, first.tail)
        assert first.stop() == 0
        first.start(SIGNALFLOW_FAIL_POINT="enrich.before_changelog")
        await first.ready()
        await observe(settings, 1)
        await eventually(lambda: first.poll() is not None, 30, first.tail)
        first.start()
        await first.ready()
        await eventually(lambda: all_is_committed(settings), 30, first.tail)
        assert first.stop() == 0
        # The second worker has no local state, only what the changelog holds.
        second.start()
        await second.ready()
        await observe(settings, 2)
        await eventually(lambda: all_is_committed(settings), 30, second.tail)
    finally:
        first.ensure_stopped()
        second.ensure_stopped()
    assert await count(settings, "post_metrics_history") == 3 * POSTS
    await no_differences(settings)
