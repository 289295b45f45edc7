"""Topics change under workers: partitions are added, topics are made anew, local files are damaged."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewPartitions
from aiokafka.errors import for_code

from signalflow.kafka.admin import create_topics, topic_partitions
from signalflow.kafka.clients import admin_client
from signalflow.kafka.connection import connection_options
from signalflow.kafka.group_members import unread_partitions
from signalflow.kafka.producer import partition_for
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.streams.app import Application, create_faust_app
from signalflow.streams.workspace import claim_workspace
from signalflow.verify.run import verify
from tests import foreign
from tests.api_clients import bearer
from tests.foreign import Foreign
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.test_api_operations import operations
from tests.integration.test_path_comments import is_read
from tests.integration.test_path_kills import all_is_committed
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, no_differences, observation, produce
from tests.live_client import live_api, posts_until, publish
from tests.unit.web.live.records import enriched

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
POSTS = [f"t{n}" for n in range(100)]
VELOCITY = 7 / 60
OTHERS = [f"u{n}" for n in range(400)]


def a_worker(settings: Settings, name: str, log_dir: Path, **environment: str) -> WorkerProcess:
    quick = {"SIGNALFLOW_SINK_MAX_SECONDS": "0.2", "SIGNALFLOW_TOPIC_CHECK_SECONDS": "1"}
    return WorkerProcess(settings, name, log_dir, **quick | environment)


async def observe(settings: Settings, moment: int, posts: Sequence[str] = POSTS) -> None:
    """One observation of each post at this minute; the score grows."""
    at = START + timedelta(minutes=moment)
    await produce(settings, [observation(post, at, created_at=START, score=7 * moment) for post in posts])


async def comment_on(settings: Settings, posts: Sequence[str]) -> None:
    """One comment on each post."""
    await produce_comments(settings, [envelope(comment(f"c{post}", post_id=post), START) for post in posts])


async def stored(settings: Settings, rows: int, comments: int = 0) -> bool:
    return (await count(settings, "post_metrics_history"), await count(settings, "comments")) == (rows, comments)


async def velocities(settings: Settings, moment: int) -> dict[str, float | None]:
    """By post, the velocity of its observation at this minute."""
    rows = await fetch_all(
        settings,
        "SELECT post_id, score_velocity FROM post_metrics_history WHERE observed_at = $1",
        START + timedelta(minutes=moment),
    )
    return {row["post_id"]: row["score_velocity"] for row in rows}


async def test_a_worker_that_joins_its_group_again_gets_a_new_generation_and_reads_on(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    topic = TopicNames.of(settings).posts_raw
    app = create_faust_app(Application, settings, claim_workspace(settings))
    thread = app.consumer._new_consumer_thread()
    async with AIOKafkaConsumer(
        topic, **connection_options(settings), group_id=settings.app_id, auto_offset_reset="earliest"
    ) as consumer:
        thread._consumer = consumer
        await observe(settings, 0)
        before = await generation_that_reads(consumer, len(POSTS))
        await thread.rejoin()

        async def has_joined() -> bool:
            return consumer._coordinator.generation > before and len(consumer.assignment()) == settings.topic_partitions

        await eventually(has_joined, 30)
        await observe(settings, 1)
        assert await generation_that_reads(consumer, len(POSTS)) > before


async def generation_that_reads(consumer: AIOKafkaConsumer, records: int) -> int:
    """Read so many records; returns the generation of the group that the consumer is in then."""
    async with asyncio.timeout(30):
        while records > 0:
            records -= sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
    return int(consumer._coordinator.generation)


async def make_anew(settings: Settings, topic: str) -> None:
    """Delete a topic and create it again, with the properties that it must have."""
    async with admin_client(settings) as admin:
        for name, code in (await admin.delete_topics([topic])).topic_error_codes:
            if code:
                raise for_code(code)(name)

    async def is_gone() -> bool:
        return topic not in await topic_partitions(settings)

    await eventually(is_gone, 20)
    await create_topics(settings)


async def topics_are_known(settings: Settings) -> bool:
    """Whether a worker has noted in the database which topics it reads. It does so some seconds after its start."""
    names = TopicNames.of(settings)
    return await count(settings, "topics_read") == len(names.consumed | names.changelogs)


async def nothing_is_called_wrong(settings: Settings, worker: WorkerProcess) -> None:
    """A break is recorded a moment after it was noticed."""

    async def nothing_is() -> bool:
        return (await verify(settings, TopicNames.of(settings))).clean

    await eventually(nothing_is, 20, worker.tail)


async def test_partitions_that_were_added_under_running_workers_are_read(settings: Settings, tmp_path: Path) -> None:
    await create_topics(settings)
    names = TopicNames.of(settings)
    workers = [a_worker(settings, name, tmp_path) for name in ("w1", "w2")]
    try:
        for worker in workers:
            worker.start()
        await asyncio.gather(*(worker.ready() for worker in workers))
        await observe(settings, 0)
        await eventually(lambda: stored(settings, 100), 30, workers[0].tail)
        async with admin_client(settings) as admin:
            await admin.create_partitions({names.posts_raw: NewPartitions(7)})

        async def are_seen() -> bool:
            return (await topic_partitions(settings))[names.posts_raw] == 7

        await eventually(are_seen, 10)
        await observe(settings, 1)
        await eventually(lambda: stored(settings, 200), 60, lambda: workers[0].tail() + workers[1].tail())
        await observe(settings, 2)
        await eventually(lambda: stored(settings, 300), 30, workers[0].tail)

        async def everything_is_read() -> bool:
            unread = await unread_partitions(settings)
            metric = [await worker.metric("signalflow_partitions_unread") for worker in workers]
            return unread is not None and not any(unread.values()) and metric == [0, 0]

        await eventually(everything_is_read, 30)
        assert [worker.poll() for worker in workers] == [None, None]
    finally:
        for worker in workers:
            worker.ensure_stopped()
    assert set((await topic_partitions(settings)).values()) == {7, 1}, "the leader's topic has 1"
    moved = {post for post in POSTS if partition_for(post.encode(), 4) != partition_for(post.encode(), 7)}
    assert 10 < len(moved) < 100
    after = await velocities(settings, 1)
    assert {post for post, velocity in after.items() if velocity is None} == moved, "unknown, and never invented"
    assert {velocity for velocity in after.values() if velocity is not None} == {VELOCITY}
    assert set((await velocities(settings, 2)).values()) == {VELOCITY}
    await no_differences(settings)


async def test_partitions_that_were_added_under_a_running_api_are_streamed(settings: Settings) -> None:
    await create_topics(settings)
    async with live_api(settings, bearer(settings)) as api:
        await publish(settings, [enriched("a", 1)])
        await eventually(lambda: api.hub._fanout is not None and len(api.hub._fanout.read) == 4, 30)
        async with admin_client(settings) as admin:
            await admin.create_partitions({TopicNames.of(settings).posts_enriched: NewPartitions(7)})
        await eventually(lambda: len(api.hub._fanout.read) == 7, 30)
        async with api.socket() as socket:
            post = next(f"p{n}" for n in range(100) if partition_for(b"p%d" % n, 7) > 3)
            await publish(settings.model_copy(update={"topic_partitions": 7}), [enriched(post, 2)])
            await posts_until(socket, post)


async def test_a_partition_that_no_worker_reads_is_told(settings: Settings) -> None:
    await create_topics(settings)
    names = TopicNames.of(settings)
    unread = {topic: [0, 1, 2, 3] for topic in names.consumed}

    async def are_told() -> bool:
        return await unread_partitions(settings) == unread

    await eventually(are_told, 30)
    found = await operations(settings)
    assert found["kafka"]["partitions_unread"] == dict.fromkeys(unread, 4)


async def test_state_of_a_changelog_that_was_made_anew_gives_no_velocities(settings: Settings, tmp_path: Path) -> None:
    await create_topics(settings)
    first, second = a_worker(settings, "w1", tmp_path), a_worker(settings, "w2", tmp_path)
    try:
        first.start()
        await first.ready()
        await observe(settings, 0)
        await eventually(lambda: stored(settings, 100), 30, first.tail)
        await eventually(lambda: topics_are_known(settings), 30, first.tail)
        assert first.stop() == 0
        await make_anew(settings, TopicNames.of(settings).post_state_changelog)
        # Another worker lets the new changelog grow past the offsets that the first worker remembers.
        second.start()
        await second.ready()
        await observe(settings, 0, OTHERS)
        await eventually(lambda: stored(settings, 500), 30, second.tail)
        assert second.stop() == 0
        first.start()
        await first.ready()
        await observe(settings, 1)
        await eventually(lambda: stored(settings, 600), 30, first.tail)
        assert set((await velocities(settings, 1)).values()) == {None}
        await observe(settings, 2)
        await eventually(lambda: stored(settings, 700), 30, first.tail)
        assert set((await velocities(settings, 2)).values()) == {VELOCITY}
        await nothing_is_called_wrong(settings, first)
    finally:
        first.ensure_stopped()
        second.ensure_stopped()
    assert "local_state_wiped" in first.log.read_text()


async def test_a_changelog_that_was_made_anew_under_a_running_worker_empties_its_state(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    worker = a_worker(settings, "w1", tmp_path)
    try:
        worker.start()
        await worker.ready()
        await observe(settings, 0)
        # A record that is delivered again after the state was wiped would be known again.
        await eventually(lambda: all_is_committed(settings), 30, worker.tail)
        await eventually(lambda: topics_are_known(settings), 30, worker.tail)
        await make_anew(settings, TopicNames.of(settings).post_state_changelog)
        await eventually(lambda: "local_state_wiped" in worker.log.read_text(), 30, worker.tail)
        await worker.ready()
        await observe(settings, 1)
        await eventually(lambda: stored(settings, 200), 30, worker.tail)
        assert set((await velocities(settings, 1)).values()) == {None}
        await observe(settings, 2)
        await eventually(lambda: stored(settings, 300), 30, worker.tail)
        assert set((await velocities(settings, 2)).values()) == {VELOCITY}
        assert await worker.metric("signalflow_topics_made_anew_total") == 1
        await nothing_is_called_wrong(settings, worker)
    finally:
        worker.ensure_stopped()


async def test_a_local_store_that_cannot_be_read_is_restored_from_the_changelog(
    settings: Settings, tmp_path: Path
) -> None:
    await create_topics(settings)
    worker = a_worker(settings, "w1", tmp_path)
    try:
        for moment in (0, 1):
            worker.start()
            await worker.ready()
            await observe(settings, moment)
            await eventually(lambda rows=100 * moment + 100: stored(settings, rows), 30, worker.tail)
            assert worker.stop() == 0
        stores = sorted((settings.state_dir / "workers" / "w1").rglob("post_state-*.db"))
        assert len(stores) == 4
        for store, file in zip(stores, ("MANIFEST-*", "CURRENT", "*.sst", "*.log"), strict=True):
            damaged = sorted(store.glob(file))[-1]
            damaged.write_bytes(bytes(damaged.stat().st_size))
        worker.start()
        await worker.ready()
        assert await worker.metric("signalflow_local_state_wiped_total") == 3, "a lost log is restored in part"
        await observe(settings, 2)
        await eventually(lambda: stored(settings, 300), 30, worker.tail)
    finally:
        worker.ensure_stopped()
    assert set((await velocities(settings, 2)).values()) == {VELOCITY}
    await no_differences(settings)


@pytest.mark.parametrize("made_anew", [["posts_raw"], ["posts_enriched", "comments_raw"]], ids="-".join)
async def test_a_topic_that_was_made_anew_under_a_running_worker_is_read_from_its_beginning(
    settings: Settings, tmp_path: Path, made_anew: Sequence[str]
) -> None:
    names = TopicNames.of(settings)
    topics = [getattr(names, topic) for topic in made_anew]
    await create_topics(settings)
    worker = a_worker(settings, "w1", tmp_path, SIGNALFLOW_POSITION_CHECK_SECONDS="1")
    try:
        worker.start()
        await worker.ready()
        # Its dead letter is of the deleted topic. The new one has a valid record at its offset.
        await asyncio.to_thread(foreign.produce, settings, names.posts_raw, [Foreign(b"bad", b"no document")])
        await observe(settings, 0)
        await comment_on(settings, POSTS[:20])
        await eventually(lambda: stored(settings, 100, comments=20), 30, worker.tail)
        await eventually(lambda: all_is_committed(settings), 30, worker.tail)
        await eventually(lambda: is_read(settings, names.comments_raw), 30, worker.tail)
        for topic in topics:
            await make_anew(settings, topic)
        await observe(settings, 1)
        await comment_on(settings, POSTS[20:60])
        await eventually(lambda: stored(settings, 200, comments=60), 60, worker.tail)
        assert worker.poll() is None
        assert "topic_made_anew" in worker.tail(400)
        await nothing_is_called_wrong(settings, worker)
        breaks = await fetch_all(settings, "SELECT DISTINCT topic, reason FROM log_breaks")
        assert {tuple(each) for each in breaks} == {(topic, "topic_made_anew") for topic in topics}
    finally:
        worker.ensure_stopped()
