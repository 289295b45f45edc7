"""Comments on real Kafka and PostgreSQL: stored once with their positions, whatever dies; bad ones set aside."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from signalflow.dead_letters.replay import ReplayRequest, replay
from signalflow.domain.subreddits import WatchedSubreddit
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.simulator.config import Config, Parameters
from signalflow.simulator.server import RunningSimulator, start
from signalflow.simulator.truth import truth
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.workers import WorkerProcess, committed, count, eventually, fetch_all, read_topic

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
COMMENTS = 300


@pytest.fixture
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A simulated Reddit that shows every comment for as long as the test waits for it.

    Posts that grow as on Reddit leave fewer comments than a page between two polls, and no post is removed.
    """
    running = await start(Config(Parameters(seed=11, activity=20, growth=1, life=0, fuzz=0)))
    yield running
    await running.close()


async def observe(settings: Settings, moment: int) -> None:
    """One observation of every comment of 20 posts; the scores grow."""
    at = START + timedelta(minutes=moment)
    await produce_comments(
        settings,
        [
            envelope(
                comment(f"c{n}", post_id=f"p{n % 20}", parent_id=f"t3_p{n % 20}", created_utc=START, score=moment),
                at,
            )
            for n in range(COMMENTS)
        ],
    )


async def next_offsets(settings: Settings, topic: str) -> dict[int, int]:
    found = await fetch_all(
        settings,
        "SELECT partition, next_offset FROM stored_positions WHERE topic_id = $1",
        UUID(str((await topic_ids(settings, [topic]))[topic])),
    )
    return {row["partition"]: row["next_offset"] for row in found}


async def is_read(settings: Settings, topic: str) -> bool:
    """Whether the group has committed all records of the topic."""
    return sum((await committed(settings, topic)).values()) >= len(await read_topic(settings, topic))


@pytest.mark.parametrize("point", ["comments.before_commit:2", "comments.after_commit", "comments.after_ack"])
async def test_comments_are_stored_once_with_their_positions_wherever_the_worker_dies(
    settings: Settings, topics: TopicNames, tmp_path: Path, point: str
) -> None:
    worker = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    await observe(settings, 1)
    worker.start(SIGNALFLOW_FAIL_POINT=point)
    try:
        await observe(settings, 2)
        await eventually(lambda: worker.poll() is not None, 60, worker.tail)
        worker.start()
        await worker.ready()
        await observe(settings, 3)
        await eventually(lambda: is_read(settings, topics.comments_raw), 60, worker.tail)
    finally:
        worker.ensure_stopped()
    rows = await fetch_all(settings, "SELECT id, post_id, score, first_seen_at, sentiment_label FROM comments")
    assert len(rows) == COMMENTS
    assert {(row["score"], row["sentiment_label"]) for row in rows} == {(3, "positive")}
    assert {row["first_seen_at"] for row in rows} == {START + timedelta(minutes=1)}
    assert await count(settings, "posts") == 0
    ends: dict[int, int] = {}
    for record in await read_topic(settings, topics.comments_raw):
        ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
    assert await next_offsets(settings, topics.comments_raw) == ends


async def test_a_bad_record_is_set_aside_alone_and_a_replay_resolves_it_once_the_cause_is_gone(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    await database_pool.execute("ALTER TABLE comments ADD CONSTRAINT refused CHECK (id <> 'bad')")
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        await producer.send_and_wait(topics.comments_raw, b"not json", key=b"abc")
    await produce_comments(settings, [envelope(comment(id_), START) for id_ in ("c1", "bad", "c2")])

    async def letters() -> list[asyncpg.Record]:
        return await fetch_all(settings, "SELECT source_topic, stage, state FROM dlq_events ORDER BY stage")

    async def are_set_aside() -> bool:
        return len(await letters()) == 2

    await eventually(are_set_aside, 30, worker.tail)
    assert [tuple(row) for row in await letters()] == [
        (topics.comments_raw, "validate", "dead"),
        (topics.comments_raw, "write", "dead"),
    ]
    assert [row["id"] for row in await fetch_all(settings, "SELECT id FROM comments ORDER BY id")] == ["c1", "c2"]
    await database_pool.execute("ALTER TABLE comments DROP CONSTRAINT refused")
    report = await replay(database_pool, settings, ReplayRequest(by="test"))
    assert report.sent == 2

    async def is_settled() -> bool:
        states = sorted(row["state"] for row in await letters())
        return states in (["dead", "dead_again", "resolved"], ["dead", "replayed", "resolved"])

    await eventually(is_settled, 30, worker.tail)
    assert [row["id"] for row in await fetch_all(settings, "SELECT id FROM comments ORDER BY id")] == [
        "bad",
        "c1",
        "c2",
    ]


@pytest.mark.timeout(300)
async def test_every_comment_of_followed_subreddits_is_stored_as_the_simulator_wrote_it(
    settings: Settings, topics: TopicNames, pool: Pool, simulator: RunningSimulator, tmp_path: Path
) -> None:
    names = ["AskReddit", "worldnews", "funny"]
    await load_defaults(pool, [WatchedSubreddit(name, 60, "fast", comments=name != "funny") for name in names])
    worker = WorkerProcess.polling(settings, tmp_path, simulator.url, SIGNALFLOW_LISTING_REQUESTS_PER_MINUTE="40")
    worker.start()
    try:
        await worker.ready()
        await eventually(lambda: count(settings, "comments"), 60, worker.tail)
        begun = simulator.clock.now()
        await eventually(lambda: simulator.clock.now() > begun + 40, 60)
        query = {"comments": "1", "since": str(begun), "subreddit": "AskReddit,worldnews"}
        true = {
            comment["id"]: comment
            for comment in truth(simulator.world, simulator.simulator.texts, query, simulator.clock.now())["comments"]
            if comment["visible_now"] and comment["deleted_at"] is None
        }
        assert len(true) > 5

        waiting = set(true)

        async def all_are_stored() -> bool:
            waiting.difference_update([row["id"] for row in await fetch_all(settings, "SELECT id FROM comments")])
            return not waiting

        await eventually(all_are_stored, 60, lambda: f"{[true[id_] for id_ in waiting]}\n{worker.tail()}")
    finally:
        worker.ensure_stopped()
    rows = {row["id"]: row for row in await fetch_all(settings, "SELECT * FROM comments")}
    assert {row["subreddit"] for row in rows.values()} == {"AskReddit", "worldnews"}
    for id_, comment_ in true.items():
        row = rows[id_]
        assert (row["post_id"], row["parent_id"]) == (comment_["post_id"], comment_["parent_id"])
        assert row["created_utc"].timestamp() == comment_["created_utc"]
        if row["removed_by"] is None:
            assert (row["author"], row["body"]) == (comment_["author"], comment_["body"])
