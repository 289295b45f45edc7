"""Dead letters on real Kafka and PostgreSQL: set aside, stored, replayed, resolved or failed again."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer

from signalflow.dead_letters.replay import ReplayRequest, dry_run, replay
from signalflow.events import DeadLetter, encode
from signalflow.kafka.connection import connection_options
from signalflow.kafka.offsets import committed_offsets, end_offsets
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.storage import dead_letters
from signalflow.storage.dead_letters import LetterFilter
from tests.integration.workers import WorkerProcess, eventually, fetch_all, observation, produce, read_topic, verified

START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
BAD_TITLE = "the database refuses this"
REFUSE = f"ALTER TABLE posts ADD CONSTRAINT refused CHECK (title <> '{BAD_TITLE}')"
ACCEPT = "ALTER TABLE posts DROP CONSTRAINT refused"


async def send(settings: Settings, topic: str, *records: tuple[bytes | None, bytes | None], **headers: bytes) -> None:
    async with AIOKafkaProducer(**connection_options(settings), acks="all") as producer:
        for key, value in records:
            await producer.send_and_wait(topic, value, key=key, headers=list(headers.items()))


async def letters(settings: Settings) -> list[asyncpg.Record]:
    return await fetch_all(settings, "SELECT * FROM dlq_events ORDER BY id")


async def states(pool: asyncpg.Pool) -> dict[int, str]:
    page = await dead_letters.letters_page(pool, LetterFilter(), before=None, limit=100, value_bytes=1)
    return {letter.id: letter.state for letter in page}


async def tables(settings: Settings) -> list[Any]:
    """What readers and operators see of posts and dead letters, without the bookkeeping of replays."""
    return [
        await fetch_all(settings, "SELECT * FROM posts ORDER BY id"),
        await fetch_all(settings, "SELECT * FROM post_metrics_history ORDER BY post_id, observed_at"),
        await fetch_all(settings, "SELECT id, attempt, previous_id, state FROM dlq_events ORDER BY id"),
    ]


async def test_a_refused_row_is_set_aside_and_a_replay_after_the_cause_is_removed_resolves_it(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    await database_pool.execute(REFUSE)
    await produce(settings, [observation(f"g{n}", START, created_at=START, score=n) for n in range(5)])
    await produce(settings, [observation("bad", START, created_at=START, title=BAD_TITLE, score=7)])

    async def stored_letters(number: int) -> bool:
        return len(await letters(settings)) == number

    await eventually(lambda: stored_letters(1), 20, worker.tail)
    (letter,) = await letters(settings)
    (sent,) = [record for record in await read_topic(settings, topics.posts_enriched) if record.key == b"bad"]
    assert (letter["source_topic"], letter["stage"], letter["attempt"]) == (topics.posts_enriched, "write", 1)
    assert (letter["source_partition"], letter["source_offset"]) == (sent.partition, sent.offset)
    assert (letter["original_key"], letter["original_value"]) == (sent.key, sent.value)
    assert letter["topic_id"] == (await topic_ids(settings, [topics.posts_enriched]))[topics.posts_enriched]

    # The cause is still there. The second attempt gets its own row, linked to the first. The first is not sent again.
    report = await replay(database_pool, settings, ReplayRequest(by="test", policy="stop"))
    assert (report.sent, report.failed_again, report.outcome) == (1, 1, "stopped")
    first, second = await letters(settings)
    assert (second["attempt"], second["previous_id"]) == (2, first["id"])
    assert second["original_value"] == sent.value, "the original bytes"
    assert await states(database_pool) == {first["id"]: "dead_again", second["id"]: "dead"}

    # The cause is removed.
    await database_pool.execute(ACCEPT)
    assert (await dry_run(database_pool, settings, ReplayRequest(by="test"))).ids == [second["id"]]
    report = await replay(database_pool, settings, ReplayRequest(by="test", policy="stop"))
    assert (report.ids, report.sent, report.outcome) == ([second["id"]], 1, "completed")
    assert [dict(row) for row in await fetch_all(settings, "SELECT current_score FROM posts WHERE id = 'bad'")] == [
        {"current_score": 7}
    ]
    assert await states(database_pool) == {first["id"]: "dead_again", second["id"]: "resolved"}
    partitions = {r.partition for r in await read_topic(settings, topics.posts_enriched) if r.key == b"bad"}
    assert partitions == {sent.partition}, "the same key, the same partition"
    replays = await fetch_all(settings, "SELECT requested_by, sent, outcome FROM dlq_replays ORDER BY id")
    assert [tuple(row) for row in replays] == [("test", 1, "stopped"), ("test", 1, "completed")]

    # Sending anything else a second time changes nothing: the letters, the replayed record, the replay.
    before = await tables(settings)
    for topic in (topics.posts_dlq, topics.posts_enriched):
        for record in await read_topic(settings, topic):
            if record.key == b"bad":
                await send(settings, topic, (record.key, record.value), **dict(record.headers))
    assert (await replay(database_pool, settings, ReplayRequest(by="test"))).ids == []
    await produce(settings, [observation("last", START, created_at=START)])
    await eventually(lambda: _is_read(settings, topics), 20, worker.tail)
    assert (await tables(settings))[2] == before[2]
    assert [row for row in (await tables(settings))[0] if row["id"] != "last"] == before[0]
    assert [row for row in (await tables(settings))[1] if row["post_id"] != "last"] == before[1]


async def test_a_raw_record_that_is_valid_now_is_resolved_once_its_row_is_stored(
    settings: Settings, worker: WorkerProcess, topics: TopicNames, database_pool: asyncpg.Pool
) -> None:
    """The enricher was fixed in between: the letter holds a record that is valid now."""
    mended = observation("late", START, created_at=START, score=3)
    letter = DeadLetter(
        topic=topics.posts_raw, partition=0, offset=0, key=b"late", value=encode(mended), headers=(), stage="enrich",
        error_type="Defect", error="mended", worker="w1", failed_at=START, topic_id=UUID(int=7),
    )  # fmt: skip
    await dead_letters.store_letters(database_pool, [dead_letters.NewLetter(letter, True, None)])
    report = await replay(database_pool, settings, ReplayRequest(by="test", policy="stop"))
    assert (report.sent, report.outcome) == (1, "completed")
    assert set((await states(database_pool)).values()) == {"resolved"}
    assert await database_pool.fetchval("SELECT current_score FROM posts WHERE id = 'late'") == 3


async def _is_read(settings: Settings, topics: TopicNames) -> bool:
    """Whether the group has committed to the end of all of its topics."""
    names = (topics.posts_raw, topics.posts_enriched, topics.posts_dlq)
    partitions = [(name, partition) for name in names for partition in range(settings.topic_partitions)]
    ends = await end_offsets(settings, partitions)
    committed = await committed_offsets(settings, partitions)
    return ends == committed


async def test_the_limit_stops_the_worker_before_a_topic_is_set_aside_and_without_it_the_worker_goes_on(
    settings: Settings, topics: TopicNames, tmp_path: Path, database_pool: asyncpg.Pool
) -> None:
    poison = [(b"same", b"not json")] * 300
    await send(settings, topics.posts_raw, *poison)
    for _ in range(2):
        limited = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_DLQ_LIMIT_IN_ROW="10")
        limited.start()
        try:
            await eventually(lambda process=limited: process.poll() is not None, 45, limited.tail)
        finally:
            limited.ensure_stopped()
        assert limited.poll() != 0
        assert "10 records in a row (SIGNALFLOW_DLQ_LIMIT_IN_ROW=10) cannot be processed" in limited.tail(400)
        assert len(await read_topic(settings, topics.posts_dlq)) < 10
    off = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_DLQ_LIMIT_IN_ROW="0", SIGNALFLOW_DLQ_LIMIT_SHARE="0")
    off.start()
    try:
        await off.ready()
        await send(settings, topics.posts_dlq, (b"stray", b"no dead letter"), (b"none", None))
        await produce(settings, [observation("good", START, created_at=START)])

        async def all_stored() -> bool:
            return len(await letters(settings)) == len(poison) + 2

        await eventually(all_stored, 30, off.tail)
        offsets = [row["source_offset"] for row in await letters(settings) if row["source_topic"] == topics.posts_raw]
        assert sorted(offsets) == list(range(len(poison))), "each once"
        stray = [row for row in await letters(settings) if row["source_topic"] == topics.posts_dlq]
        assert [(row["original_value"], row["whole"]) for row in stray] == [(b"no dead letter", False), (None, False)]
        assert await off.metric("signalflow_dead_letters_stored_total", 'outcome="new"') == len(poison) + 2

        # A record that always fails is tried as often as the setting says, and then no more.
        most = settings.model_copy(update={"dlq_max_attempts": 3})
        # The stray letters may have been stored before the others, and have no topic to which they could be sent back.
        following = next(row["id"] for row in await letters(settings) if row["source_topic"] == topics.posts_raw)
        chain = [following]
        while True:
            report = await replay(database_pool, most, ReplayRequest(by="t", only=following, policy="stop"))
            if not report.ids:
                break
            assert report.outcome == "stopped"
            following = await database_pool.fetchval("SELECT id FROM dlq_events WHERE previous_id = $1", following)
            chain.append(following)
        rows = await fetch_all(settings, "SELECT attempt FROM dlq_events WHERE id = ANY ($1) ORDER BY id", chain)
        assert [row["attempt"] for row in rows] == [1, 2, 3]
        await eventually(lambda: _is_read(settings, topics), 20, off.tail)
        assert len(await fetch_all(settings, "SELECT FROM posts WHERE id = 'good'")) == 1
        assert off.stop() == 0
    finally:
        off.ensure_stopped()


async def test_an_observation_hours_ahead_of_its_record_is_set_aside_and_the_ones_after_it_are_not_late(
    settings: Settings, worker: WorkerProcess, topics: TopicNames
) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=20)
    await produce(settings, [observation("p", at, created_at=START, score=9) for at in (START, ahead)])
    minutes = [START + timedelta(minutes=minute) for minute in (10, 20)]
    await produce(settings, [observation("p", at, created_at=START, score=n) for n, at in enumerate(minutes)])
    report = await verified(settings, worker)
    (letter,) = await letters(settings)
    assert (letter["original_key"], letter["stage"], letter["error_type"]) == (b"p", "validate", "Invalid")
    (post,) = await fetch_all(settings, "SELECT last_polled_at, current_score FROM posts")
    assert tuple(post) == (minutes[1], 1)
    assert (report.history.found, report.dead_letters and report.dead_letters.found) == (3, 1)
