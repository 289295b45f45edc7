"""`signalflow replay` on real Kafka and PostgreSQL: tables stay equal, and what was lost comes back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.test_path_archives import all_is_read, dump, run
from tests.integration.workers import (
    WorkerProcess,
    clusters_are_found,
    count,
    eventually,
    fetch_all,
    observation,
    produce,
    read_topic,
)

TABLES = ("posts", "post_nlp_features", "post_metrics_history", "post_ranks", "comments", "dlq_events")
START = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
# More moments than a state keeps observations, so that some copies are late and others redelivered.
POSTS, MOMENTS = 30, 14


async def observe(settings: Settings, moments: range) -> None:
    """Observations of all posts and comments, one a minute, some with a rank. Scores and titles change."""
    for moment in moments:
        at = START + timedelta(minutes=moment)
        await produce(
            settings,
            [
                observation(
                    f"r{n}",
                    at,
                    created_at=START - timedelta(minutes=1),
                    score=100 + 37 * n + moment**2 * (n % 5),
                    comments=moment,
                    title=f"This is great, {moment // 6}",
                    mode="refresh" if moment else "new",
                    rank=None if moment % 7 else n + 1,
                )
                for n in range(POSTS)
            ],
        )
    await produce_comments(
        settings,
        [
            envelope(comment(f"rc{n}", post_id=f"r{n}", created_utc=START, score=moment), START + timedelta(hours=1))
            for n, moment in enumerate(moments)
        ],
    )


async def tables(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    return {table: await dump(settings, table) for table in TABLES}


async def states(settings: Settings) -> dict[bytes, bytes]:
    """The newest value of each key of the changelog."""
    found = await read_topic(settings, TopicNames.of(settings).post_state_changelog)
    return {record.key: record.value for record in found}


async def replay(settings: Settings, topic: str, *arguments: object) -> dict[str, Any]:
    return await run(settings, "replay", "--topic", topic, *arguments)


@pytest.mark.timeout(240)
async def test_a_replay_changes_no_row_and_no_state_and_verify_finds_nothing(
    settings: Settings, topics: TopicNames, worker: WorkerProcess
) -> None:
    await observe(settings, range(MOMENTS))
    await produce(
        settings,
        [observation("old", START, created_at=START - timedelta(days=300), score=1, mode="backfill"),
         observation("expired", START, created_at=START - timedelta(hours=47, minutes=30), score=1)],
    )  # fmt: skip
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    await eventually(lambda: clusters_are_found(settings), 60, worker.tail)
    before, states_before = await tables(settings), await states(settings)
    assert [len(before[table]) for table in ("posts", "post_metrics_history", "post_ranks", "comments")] == [
        POSTS + 2,
        POSTS * MOMENTS + 1,
        POSTS * 2,
        MOMENTS,
    ]

    records = POSTS * MOMENTS + 2
    planned = await replay(settings, "posts", "--from", START.isoformat(), "--dry-run")
    assert (planned["read"], planned["sent"]) == (records, 0)
    assert len(await read_topic(settings, topics.posts_raw)) == records
    for topic, sent in (("posts", records), ("comments", MOMENTS), (topics.posts_raw, records)):
        assert (await replay(settings, topic, "--from", START.isoformat()))["sent"] == sent
        await eventually(lambda: all_is_read(settings), 60, worker.tail)
    assert len(await read_topic(settings, topics.posts_raw)) == 3 * records, "copies are not copied again"
    assert await tables(settings) == before
    assert await states(settings) == states_before
    assert (await run(settings, "verify"))["clean"]

    # The next observations get the velocities that they would have had.
    await observe(settings, range(MOMENTS, MOMENTS + 2))
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    assert (await run(settings, "verify"))["clean"]


@pytest.mark.timeout(180)
async def test_rows_that_were_lost_come_back_from_a_stretch_of_offsets(
    settings: Settings, topics: TopicNames, worker: WorkerProcess
) -> None:
    await observe(settings, range(1))
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    before = await tables(settings)
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        for table in ("post_nlp_features", "post_metrics_history", "post_ranks", "posts"):
            await connection.execute(f"DELETE FROM {table}")
    finally:
        await connection.close()
    for partition in range(settings.topic_partitions):
        await replay(settings, "posts", "--from", 0, "--partition", partition)
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    after = await tables(settings)
    for table in ("posts", "post_metrics_history", "post_ranks"):
        assert after[table] == before[table]


@pytest.mark.timeout(180)
async def test_what_would_become_a_dead_letter_is_left_out(
    settings: Settings, topics: TopicNames, worker: WorkerProcess
) -> None:
    kept_from = datetime.now(UTC) - timedelta(days=settings.history_retention_days)
    ancient = kept_from - timedelta(days=30)
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        await connection.execute("UPDATE schema_info SET history_from = $1", kept_from)
    finally:
        await connection.close()
    await produce(
        settings,
        [observation("ancient", ancient, created_at=ancient), observation("fresh", START, created_at=START)],
    )
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    letters = await count(settings, "dlq_events")
    assert letters == 1
    done = await replay(settings, "posts", "--from", START.date().isoformat())
    assert (done["sent"], done["left_out"]) == (1, {"too_old": 1})
    await eventually(lambda: all_is_read(settings), 60, worker.tail)
    assert await count(settings, "dlq_events") == letters
    assert [row["id"] for row in await fetch_all(settings, "SELECT id FROM posts")] == ["fresh"]
