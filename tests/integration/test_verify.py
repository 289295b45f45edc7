"""`signalflow verify` on a running pipeline: an intact one has no differences, and every damage is found."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import GroupCoordinatorNotAvailableError
from msgspec.structs import replace

from signalflow.events import Envelope
from signalflow.kafka.admin import create_topics
from signalflow.kafka.clients import admin_client
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.settings import Settings
from signalflow.storage.jobs import refresh_touched
from signalflow.storage.pool import create_pool
from signalflow.verify import repair
from signalflow.verify.report import Report
from signalflow.verify.run import verify
from tests.integration.test_topics_change import make_anew, topics_are_known
from tests.integration.workers import (
    WorkerProcess,
    clusters_are_found,
    committed,
    environment_of,
    eventually,
    fetch_all,
    no_differences,
    observation,
    produce,
    read_topic,
)

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
POSTS, MOMENTS = 40, 4
TITLES = ("This is great news!", "A terrible, horrible day", "Notes on a compiler")


def observations(number: int, moments: int, minutes: int = 25) -> list[Envelope]:
    rnd = random.Random(number)
    return [
        observation(
            f"v{number}",
            START + timedelta(minutes=minutes * moment),
            created_at=START - timedelta(minutes=1),
            score=rnd.randrange(100_000),
            comments=rnd.randrange(200),
            title=TITLES[number % 3],
            mode="refresh" if moment else "new",
            rank=number + 1 if moment == 1 else None,
        )
        for moment in range(moments)
    ]


async def poison(settings: Settings) -> None:
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        for key in (b"x1", b"x2"):
            topic = TopicNames.of(settings).posts_raw
            await producer.send_and_wait(topic, b"not json", key=key, headers=[("attempt", b"2")])


@pytest.fixture
async def worker(settings: Settings, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[WorkerProcess]:
    """A ready worker. The parameter is the flush time of its sink."""
    await create_topics(settings)
    process = WorkerProcess(
        settings,
        "w1",
        tmp_path,
        SIGNALFLOW_SINK_MAX_SECONDS=getattr(request, "param", "0.2"),
        SIGNALFLOW_SINK_MAX_RECORDS="2000",
    )
    process.start()
    try:
        await process.ready()
        yield process
    finally:
        process.ensure_stopped()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    yield connection
    await connection.close()


async def refreshed(settings: Settings) -> None:
    pool = await create_pool(settings, application_name="test")
    await refresh_touched(pool)
    await pool.close()


def command(settings: Settings, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
    program = [Path(sys.executable).with_name("signalflow"), "verify", *arguments]
    return subprocess.run(
        program, env=environment_of(settings) | changed, capture_output=True, text=True, timeout=60, check=False
    )


MOVED = "a dead letter is of another record"
DAMAGES = {
    "a history row is deleted": (
        "DELETE FROM post_metrics_history WHERE post_id = 'v3' AND observed_at = $1",
        {("post_metrics_history", "missing"), ("post_metrics_hourly", "wrong")},
    ),
    "a rank is deleted": (
        "DELETE FROM post_ranks WHERE post_id = 'v3' AND observed_at = $1", {("post_ranks", "missing")}),
    "a rank is changed": (
        "UPDATE post_ranks SET rank = rank + 1 WHERE post_id = 'v3' AND observed_at = $1", {("post_ranks", "wrong")}),
    "a rank is added": (
        "INSERT INTO post_ranks VALUES ('v3', $1, 'rising', 'python', 1)", {("post_ranks", "extra")}),
    "a post is deleted": ("DELETE FROM posts WHERE id = 'v3' AND $1::timestamptz IS NOT NULL",
                          {("posts", "missing"), ("post_nlp_features", "extra")}),
    "a score in the history is changed": (
        "UPDATE post_metrics_history SET score = score + 1 WHERE post_id = 'v3' AND observed_at = $1",
        {("post_metrics_history", "wrong"), ("post_metrics_hourly", "wrong")},
    ),
    "a velocity in the history is changed": (
        "UPDATE post_metrics_history SET score_velocity = score_velocity + 0.001"
        " WHERE post_id = 'v3' AND observed_at = $1",
        {("post_metrics_history", "wrong"), ("post_metrics_hourly", "wrong")},
    ),
    "a velocity is made unknown": (
        "UPDATE posts SET comment_velocity = NULL WHERE id = 'v3' AND $1::timestamptz IS NOT NULL",
        {("posts", "wrong")},
    ),
    "a trend velocity in the history is changed": (
        "UPDATE post_metrics_history SET trend_velocity = trend_velocity + 0.001"
        " WHERE post_id = 'v3' AND observed_at = $1",
        {("post_metrics_history", "wrong")},
    ),
    "a trend velocity is made unknown": (
        "UPDATE posts SET trend_velocity = NULL WHERE id = 'v3' AND $1::timestamptz IS NOT NULL",
        {("posts", "wrong")},
    ),
    "a row is added to the history": (
        "INSERT INTO post_metrics_history (post_id, observed_at, score, num_comments)"
        " VALUES ('v3', $1::timestamptz + interval '1 second', 1, 1)",
        {("post_metrics_history", "extra"), ("post_metrics_hourly", "wrong")},
    ),
    "a post is added": (
        "INSERT INTO posts (id, subreddit, title, over_18, is_self, created_utc, first_seen_at, last_polled_at,"
        " current_score, current_comments, trending_score, is_trending)"
        " VALUES ('v3x', 'python', 't', false, false, $1, $1, $1, 1, 1, 0, false)",
        {("posts", "extra"), ("post_nlp_features", "missing")},
    ),
    "a post is no longer shown since before it was seen": (
        "UPDATE posts SET not_shown_since = last_polled_at WHERE id = 'v3' AND $1::timestamptz IS NOT NULL",
        {("posts", "wrong")},
    ),
    "a title is changed": (
        "UPDATE posts SET title = title || '.' WHERE id = 'v5' AND $1::timestamptz IS NOT NULL", {("posts", "wrong")}),
    "first_seen_at is moved": (
        "UPDATE posts SET first_seen_at = $1 WHERE id = 'v3'", {("posts", "wrong")}),
    "a sentiment is changed": (
        "UPDATE post_nlp_features SET sentiment_score = -sentiment_score"
        " WHERE post_id = 'v3' AND $1::timestamptz IS NOT NULL",
        {("post_nlp_features", "wrong")},
    ),
    "a topic cluster counts a post that it has not": (
        "UPDATE topic_clusters SET size = size + 1 WHERE id = (SELECT topic_cluster FROM post_nlp_features"
        " WHERE post_id = 'v3') AND $1::timestamptz IS NOT NULL",
        {("topic_clusters", "wrong")},
    ),
    "a dead letter is not stored": (
        "DELETE FROM dlq_events WHERE original_key = 'x1' AND $1::timestamptz IS NOT NULL",
        {("dlq_events", "missing")},
    ),
    "a dead letter is not what failed": (
        "UPDATE dlq_events SET original_value = 'x' WHERE original_key = 'x2' AND $1::timestamptz IS NOT NULL",
        {("dlq_events", "wrong")},
    ),
    MOVED: (
        "UPDATE dlq_events SET source_offset = source_offset + 1000000"
        " WHERE original_key = 'x2' AND $1::timestamptz IS NOT NULL",
        {("dlq_events", "missing"), ("dlq_events", "extra")},
    ),
    "a rollup is wrong": (
        "UPDATE post_metrics_hourly SET observations = observations + 1"
        " WHERE post_id = 'v3' AND bucket = date_trunc('hour', $1, 'UTC')",
        {("post_metrics_hourly", "wrong")},
    ),
}  # fmt: skip


def differences(report: Report) -> set[tuple[str, str]]:
    kinds = ("missing", "extra", "duplicated", "wrong")
    return {(name, kind) for name, table in report.tables.items() for kind in kinds if getattr(table, kind)}


Rows = dict[str, tuple[list[str], list[asyncpg.Record]]]


async def backup(database: asyncpg.Connection) -> Rows:
    """The columns and rows of the tables that will be damaged, without generated columns."""
    rows: Rows = {}
    for table in (
        "posts",
        "post_nlp_features",
        "post_metrics_history",
        "post_metrics_hourly",
        "post_ranks",
        "topic_clusters",
        "topic_departures",
        "dlq_events",
    ):
        columns = await database.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND attgenerated = '' "
            "AND NOT attisdropped ORDER BY attnum",
            table,
        )
        names = [column["attname"] for column in columns]
        rows[table] = names, await database.fetch(f"SELECT {', '.join(names)} FROM {table}")
    return rows


async def restore(database: asyncpg.Connection, rows: Rows) -> None:
    async with database.transaction():
        for table, (names, records) in rows.items():
            await database.execute(f"DELETE FROM {table}")
            if table == "dlq_events":
                await database.execute("ALTER TABLE dlq_events ALTER id SET GENERATED BY DEFAULT")
            await database.copy_records_to_table(table, columns=names, records=[tuple(record) for record in records])


async def settled(settings: Settings, worker: WorkerProcess, records: int, dead: int = 0) -> None:
    """Wait until all records are committed, and therefore due."""

    async def all_due() -> bool:
        report = await verify(settings, TopicNames.of(settings))
        events = report.dlq_events
        return report.records_due == records and (not dead or (events is not None and events.expected == dead))

    await eventually(all_due, 60, worker.tail)


async def test_an_intact_pipeline_has_no_differences_and_every_damage_is_found(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    await produce(settings, [each for n in range(POSTS) for each in observations(n, MOMENTS)])
    await poison(settings)
    records = POSTS * MOMENTS + 2
    await settled(settings, worker, records, 2)
    await refreshed(settings)
    await eventually(lambda: clusters_are_found(settings), 60, worker.tail)
    report = await verify(settings, TopicNames.of(settings))
    assert report.clean, report
    assert (report.records, report.posts.found, report.history.found) == (records, POSTS, POSTS * MOMENTS)
    assert (report.history.expected, report.posts.expected) == (POSTS * MOMENTS, POSTS)
    assert (report.ranks.expected, report.ranks.found) == (POSTS, POSTS)
    assert report.dead_letters is not None
    assert report.hourly is not None
    assert report.dead_letters.expected == report.dead_letters.found == 2
    # 0, 25, 50 and 75 minutes after the hour: two hours of rollup per post.
    assert (report.hourly.expected, report.hourly.unchecked) == (2 * POSTS, 0)

    moment = START + timedelta(minutes=25)
    for what, (statement, found) in DAMAGES.items():
        before = await backup(database)
        assert (await database.execute(statement, moment)).endswith(" 1"), what
        assert differences(await verify(settings, TopicNames.of(settings))) == found, what
        await restore(database, before)
    assert (await verify(settings, TopicNames.of(settings))).clean

    # A letter that no topic has may be one that the log lost.
    before, (statement, _) = await backup(database), DAMAGES[MOVED]
    await database.execute(statement, moment)
    await database.execute(
        "INSERT INTO log_breaks (topic, partition, reason, committed, going_on_at) VALUES ($1, 0, 'log_cut', 9, 8)",
        TopicNames.of(settings).posts_dlq,
    )
    report = await verify(settings, TopicNames.of(settings))
    assert (differences(report), report.dlq_events.unchecked) == ({("dlq_events", "missing")}, 1)
    await database.execute("DELETE FROM log_breaks")
    await restore(database, before)

    ok = command(settings, "--json")
    assert ok.returncode == 0, ok.stderr
    assert json.loads(ok.stdout)["tables"]["post_metrics_history"]["expected"] == POSTS * MOMENTS
    await database.execute("DELETE FROM post_metrics_history WHERE post_id = 'v7'")
    lost = command(settings)
    assert lost.returncode == 1
    assert "v7 at " in lost.stdout
    assert json.loads(command(settings, "--json").stdout)["tables"]["post_metrics_history"]["missing"] == MOMENTS
    assert command(settings, "--since", "yesterday").returncode == 2
    away = command(settings, SIGNALFLOW_DATABASE_URL="postgresql://x@127.0.0.1:9/none")
    assert (away.returncode, away.stdout) == (3, "")
    assert command(settings, SIGNALFLOW_KAFKA="127.0.0.1:9").returncode == 3


# The enrich agent commits long before the sink stores: the records between them are not stored yet.
@pytest.mark.parametrize("worker", ["4"], indirect=True)
async def test_while_records_are_on_their_way_nothing_is_taken_for_lost(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    async def load(moments: range) -> None:
        for moment in moments:
            envelopes = [observations(n, 12, 3)[moment] for n in range(300)]
            await produce(settings, envelopes)
            await poison(settings)

    async def verified_until_all_is_stored(loading: asyncio.Task[None]) -> Report:
        for _ in range(200):
            part = await verify(settings, TopicNames.of(settings), since=datetime.now(UTC) - timedelta(seconds=1))
            assert part.clean, part
            report = await verify(settings, TopicNames.of(settings))
            assert report.clean, report
            if loading.done() and report.records_due == report.records:
                return report
        raise AssertionError(worker.tail())

    await verified_until_all_is_stored(asyncio.create_task(load(range(6))))
    async with database.transaction():
        # The sink waits for the lock, so these records are surely on their way.
        await database.execute("LOCK TABLE posts IN SHARE ROW EXCLUSIVE MODE")
        await load(range(6, 12))
        report = await verify(settings, TopicNames.of(settings))
        assert report.clean, report
        assert 0 < report.records_due < report.records
    report = await verified_until_all_is_stored(asyncio.create_task(load(range(0))))
    assert report.history.expected == 12 * 300


async def test_a_repair_brings_back_what_is_missing_and_without_apply_only_tells_it(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    await produce(settings, [each for n in range(POSTS) for each in observations(n, MOMENTS)])
    await poison(settings)
    await settled(settings, worker, POSTS * MOMENTS + 2, 2)
    await database.execute("DELETE FROM post_metrics_history WHERE post_id IN ('v7', 'v8') AND observed_at > $1", START)
    await database.execute("DELETE FROM posts WHERE id = 'v9'")
    await database.execute("DELETE FROM post_nlp_features WHERE post_id = 'v9'")
    await database.execute("DELETE FROM dlq_events WHERE original_key = 'x1'")
    names = TopicNames.of(settings)
    planned = {names.posts_enriched: 3 * MOMENTS - 2, names.posts_dlq: 1}
    dry = command(settings, "--repair", "--json")
    assert (dry.returncode, json.loads(dry.stdout)["repair"]["records"]) == (1, planned), dry.stderr
    again = command(settings, "--repair")
    assert again.returncode == 1
    assert "give --apply" in again.stdout
    assert command(settings, "--apply").returncode == 2
    done = command(settings, "--repair", "--apply", "--json")
    assert json.loads(done.stdout)["repair"] == {"applied": True, "records": planned, "in_no_topic": []}

    async def is_clean() -> bool:
        await refreshed(settings)
        return (await verify(settings, names)).clean

    await eventually(is_clean, 30, worker.tail)
    assert command(settings, "--repair").stdout.endswith("nothing to write again\n")


async def delete_records(settings: Settings, topic: str, partitions: Iterable[int]) -> None:
    """Delete all records that these partitions have now, as retention does."""
    asked = [TopicPartition(topic, partition) for partition in partitions]
    async with admin_client(settings) as admin, AIOKafkaConsumer(**connection_options(settings)) as consumer:
        ends = await consumer.end_offsets(asked)
        await admin.delete_records({tp: RecordsToDelete(end) for tp, end in ends.items() if end}, timeout_ms=5000)


async def test_a_dead_letter_that_its_topic_no_longer_has_is_in_the_table_or_told_as_lost(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    """As where the raw topic keeps its records for longer than the topic of dead letters."""
    await produce(settings, [each for n in range(5) for each in observations(n, 1)])
    await poison(settings)
    await settled(settings, worker, 5 + 2, 2)
    names = TopicNames.of(settings)
    await delete_records(settings, names.posts_dlq, range(settings.topic_partitions))
    kept = await no_differences(settings)
    assert (kept.tables["dead_letters"].expected, kept.tables["dead_letters"].found) == (2, 2)
    (lost,) = [each for each in await read_topic(settings, names.posts_raw) if each.key == b"x1"]
    await database.execute("DELETE FROM dlq_events WHERE original_key = 'x1'")
    told = command(settings, "--repair", "--apply")
    assert told.returncode == 1, told.stderr
    place = f"{names.posts_raw} partition {lost.partition} offset {lost.offset}"
    assert f"in no topic any more: the dead letter of {place}\n" in told.stdout


async def test_an_observation_that_the_topics_lose_while_a_repair_looks_for_it_is_told_as_lost(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    await produce(settings, [each for n in range(5) for each in observations(n, 2)])
    await settled(settings, worker, 10)
    await database.execute("DELETE FROM post_metrics_history WHERE post_id = 'v3' AND observed_at > $1", START)
    names = TopicNames.of(settings)
    missing = (await verify(settings, names)).missing
    for topic in (names.posts_raw, names.posts_enriched):
        await delete_records(settings, topic, range(settings.topic_partitions))
    planned = await repair.plan(settings, names, missing)
    assert (planned.counts, planned.in_no_topic) == ({}, [f"v3 at {(START + timedelta(minutes=25)).isoformat()}"])


@pytest.mark.parametrize("emptied", [{0}, {0, 1, 2, 3}], ids=["one partition", "all partitions"])
async def test_rows_of_which_the_topic_has_no_record_any_more_are_not_judged(
    settings: Settings, worker: WorkerProcess, emptied: set[int]
) -> None:
    await produce(settings, [each for n in range(20) for each in observations(n, 2)])
    await settled(settings, worker, 40)
    names = TopicNames.of(settings)
    gone = sum(record.partition in emptied for record in await read_topic(settings, names.posts_raw))
    assert gone > 0
    await delete_records(settings, names.posts_raw, emptied)
    for since in (None, START - timedelta(days=1)):
        report = await no_differences(settings, since=since)
        assert (report.records, report.records_due, report.history.expected) == (40 - gone, 40 - gone, 40 - gone)
    # New records are compared as ever.
    now = datetime.now(UTC) + timedelta(minutes=5)
    await produce(settings, [observation(f"new{n}", now, created_at=START, score=n) for n in range(20)])
    await settled(settings, worker, 60 - gone)
    for since in (None, START - timedelta(days=1)):
        assert (await no_differences(settings, since=since)).posts.found >= 20
    await fetch_all(settings, "DELETE FROM posts WHERE id = 'new7'")
    assert ("posts", "missing") in differences(await verify(settings, names))


async def knows_groups(settings: Settings) -> bool:
    """Whether a new Kafka tells what a group committed. It makes its topic of commits when it is first asked."""
    try:
        await committed(settings, TopicNames.of(settings).posts_raw)
    except GroupCoordinatorNotAvailableError:
        return False
    return True


@pytest.mark.parametrize("how", ["another Kafka", "made anew without a worker"])
async def test_rows_from_before_the_topics_were_others_are_not_called_wrong_once_a_worker_reads_the_new_ones(
    settings: Settings, worker: WorkerProcess, tmp_path: Path, own_kafka: EmbeddedKafka, how: str
) -> None:
    """No commit is left of the former topics, so no worker notices. The database knows their ids.

    While no worker has read topics of another Kafka, `signalflow verify` names them and calls nothing wrong.
    """
    await produce(settings, [o for n in range(10) for o in observations(n, 2)])
    await settled(settings, worker, 20)
    await eventually(lambda: topics_are_known(settings), 30, worker.tail)
    assert worker.stop() == 0
    if how == "another Kafka":
        settings = settings.model_copy(update={"kafka": own_kafka.bootstrap})
        await create_topics(settings)
    else:
        await make_anew(settings, TopicNames.of(settings).posts_raw)
    now = datetime.now(UTC)
    new = [observation(f"new{n}", now, created_at=now, score=1) for n in range(5)]
    await produce(settings, new)
    if how == "another Kafka":
        await eventually(lambda: knows_groups(settings), 30)
        told = command(settings)
        assert (told.returncode, "these topics are not of this database" in told.stderr) == (3, True), told
    successor = WorkerProcess(settings, "w2", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    try:
        successor.start()
        await successor.ready()
        names = TopicNames.of(settings)

        async def is_clean() -> bool:
            if "tables_are_of_another_topic" not in successor.tail(400):
                return False
            await refreshed(settings)
            report = await verify(settings, names)
            return report.clean and report.records == len(new)

        await eventually(is_clean, 30, successor.tail)
        breaks = (await verify(settings, names)).breaks
        others = names.consumed | names.changelogs if how == "another Kafka" else {names.posts_raw}
        assert len(breaks) == len(others), breaks
        assert any(each.startswith(f"{names.posts_raw}: topic_made_anew: another topic than before") for each in breaks)
    finally:
        successor.ensure_stopped()


async def test_posts_of_api_feed_and_file_have_no_differences_and_lost_numbers_are_found(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    """Each post has its observations in another order. One is of the feed alone."""
    created = START - timedelta(minutes=1)

    def seen(number: int, kind: str, minute: int) -> Envelope:
        at = START + timedelta(minutes=minute)
        envelope = observation(f"m{number}", at, created_at=created, score=50 + minute, comments=minute, mode="refresh")
        if kind == "api":
            return envelope
        of_feed = {"score": None, "num_comments": None, "over_18": None, "is_self": minute > 20 or None}
        payload = replace(envelope.payload, title=kind, **({"score": None} if kind == "file" else of_feed))
        return replace(envelope, payload=payload, mode="backfill" if kind == "file" else "new")

    orders = list(permutations([("api", 10), ("api", 40), ("feed", 20), ("feed", 30), ("file", 25)], 4))[::7]
    log = [seen(number, *one) for number, order in enumerate(orders) for one in order]
    log += [seen(900, "feed", 30), seen(900, "feed", 20)]
    await produce(settings, log)
    await settled(settings, worker, len(log))
    await refreshed(settings)
    report = await verify(settings, TopicNames.of(settings))
    assert report.clean, report
    assert report.posts.expected == len(orders) + 1
    assert report.history.expected == sum(one.mode == "refresh" for one in log)
    for damage in ("current_score = NULL WHERE id = 'm0'", "current_comments = 0, over_18 = false WHERE id = 'm900'",
                   "details_observed_at = NULL WHERE details_observed_at IS NOT NULL"):  # fmt: skip
        kept = await backup(database)
        await database.execute(f"UPDATE posts SET {damage}")
        assert differences(await verify(settings, TopicNames.of(settings))) == {("posts", "wrong")}, damage
        await restore(database, kept)


async def test_with_a_part_of_the_log_only_what_it_tells_is_compared(
    settings: Settings, worker: WorkerProcess, database: asyncpg.Connection
) -> None:
    now = datetime.now(UTC)
    await produce(settings, [o for n in range(10) for o in observations(n, 2)])
    await settled(settings, worker, 20)
    raw = await read_topic(settings, TopicNames.of(settings).posts_raw)
    middle = datetime.fromtimestamp(max(record.timestamp for record in raw) / 1000 + 0.001, UTC)
    later = [observation(f"v{n}", now + timedelta(minutes=3 * k), created_at=START, score=10 + n * k, comments=k)
             for n in range(5) for k in (1, 2, 3)]  # fmt: skip
    await produce(settings, [*later, observation("new", now + timedelta(minutes=2), created_at=now, score=1)])
    await settled(settings, worker, 36)

    part = await verify(settings, TopicNames.of(settings), since=middle)
    assert part.clean, part
    assert (part.records, part.posts.expected, part.history.expected) == (16, 6, 16)
    # The velocity of the first observation of each post depends on records that were not read, and so does the trend
    # velocity of the second, which is three minutes younger.
    assert part.history.unchecked == 5 + 1 + 5
    until = await verify(settings, TopicNames.of(settings), until=middle)
    assert until.clean, until
    assert until.records_due == 20

    await database.execute(
        "UPDATE post_metrics_history SET score_velocity = 7 WHERE post_id = 'v2' AND observed_at = $1",
        now + timedelta(minutes=6),
    )
    await database.execute("DELETE FROM post_metrics_history WHERE post_id = 'v4' AND observed_at = $1", START)
    assert differences(await verify(settings, TopicNames.of(settings), since=middle)) == {
        ("post_metrics_history", "wrong")
    }
    assert differences(await verify(settings, TopicNames.of(settings))) == {
        ("post_metrics_history", "wrong"),
        ("post_metrics_history", "missing"),
    }
