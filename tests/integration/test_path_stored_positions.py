"""A database that went back to an earlier copy of itself gets what it lacks from the topics, by itself."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from signalflow.errors import Fatal
from signalflow.kafka.admin import create_topics
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.local.kafka import EmbeddedKafka
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.storage import pool as pools
from signalflow.storage.migrate import upgrade
from signalflow.storage.pool import create_pool
from signalflow.storage.writer import write_batch
from signalflow.verify.run import verify
from signalflow.verify.signals import RULE, Follow
from tests.integration.comment_rows import comment, envelope, produce_comments
from tests.integration.signals_of_tests import follow
from tests.integration.storage_rows import observation as row
from tests.integration.test_path_positions import (
    START,
    Broker,
    publish,
    stored,
    wait_until_committed,
    wait_until_stored,
)
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, no_differences, verified

SOON, NEVER = "1", "3600"


class Database:
    """A PostgreSQL that is put back to an earlier copy of its directory."""

    def __init__(self, server: EmbeddedPostgres, copy: Path) -> None:
        self._server, self._copy = server, copy

    def copy(self) -> None:
        self._server.stop()
        _copy(self._server.data_dir, self._copy)
        self._server.start()

    def put_back(self) -> None:
        self._server.stop()
        shutil.rmtree(self._server.data_dir)
        _copy(self._copy, self._server.data_dir)
        self._server.start()


def _copy(directory: Path, to: Path) -> None:
    """Copy a directory with its owners: the server may run under another account."""
    subprocess.run(["cp", "-a", str(directory), str(to)], check=True)


@pytest.fixture
async def own_settings(settings: Settings, own_postgres: EmbeddedPostgres) -> Settings:
    await upgrade(own_postgres.url())
    return settings.model_copy(update={"database_url": SecretStr(own_postgres.url()), "topic_partitions": 2})


@pytest.fixture
async def worker(
    own_settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[WorkerProcess]:
    """A ready worker with a database of its own, and signals of posts whose ids end with 0.

    The parameter: seconds between its comparisons with the database.
    """
    await create_topics(own_settings)
    process = WorkerProcess(
        own_settings,
        "w1",
        tmp_path,
        app="tests.integration.signals_of_tests",
        SIGNALFLOW_SINK_MAX_SECONDS="0.2",
        SIGNALFLOW_POSITION_CHECK_SECONDS=getattr(request, "param", SOON),
    )
    process.start()
    try:
        await process.ready()
        yield process
    finally:
        process.ensure_stopped()


async def all_stored(settings: Settings, worker: WorkerProcess, posts: set[str]) -> None:
    """Wait until these posts are stored and the sink has committed them."""
    await wait_until_stored(settings, worker, posts)
    await wait_until_committed(settings, worker, TopicNames.of(settings).posts_enriched, len(posts))


async def set_aside(settings: Settings, worker: WorkerProcess, letters: int) -> None:
    """Publish records that become dead letters, and wait until these are stored."""
    topic = TopicNames.of(settings).posts_raw
    async with AIOKafkaProducer(**connection_options(settings)) as producer:
        for number in range(letters):
            await producer.send_and_wait(topic, b"not json", key=b"bad%d" % number)

    await eventually(lambda: letters_are_stored(settings, letters), 30, worker.tail)


async def letters_are_stored(settings: Settings, letters: int) -> bool:
    return await count(settings, "dlq_events") == letters


async def reaches(settings: Settings, topic: str, offsets: int) -> bool:
    """Whether the database says that the partitions of a topic are stored, or read, up to offsets of this sum."""
    ids = await topic_ids(settings, [topic])
    rows = await fetch_all(settings, "SELECT sum(next_offset) FROM stored_positions WHERE topic_id = $1", ids[topic])
    return int(rows[0][0] or 0) >= offsets


async def has_breaks(settings: Settings, expected: set[tuple[str, str]]) -> bool:
    rows = await fetch_all(settings, "SELECT DISTINCT topic, reason FROM log_breaks")
    return {tuple(row) for row in rows} == expected


async def is_clean(settings: Settings, follow: Follow = RULE) -> bool:
    return (await verify(settings, TopicNames.of(settings), follow=follow)).clean


@pytest.mark.parametrize("running", [True, False], ids=["under a running worker", "between stop and start"])
async def test_a_database_that_went_back_gets_what_it_lacks_also_when_no_new_record_comes(
    own_settings: Settings, own_postgres: EmbeddedPostgres, worker: WorkerProcess, tmp_path: Path, running: bool
) -> None:
    database = Database(own_postgres, tmp_path / "copy")
    kept = await publish(own_settings, "kept", 30)
    await all_stored(own_settings, worker, kept)
    await asyncio.to_thread(database.copy)
    lost = await publish(own_settings, "lost", 50)
    await set_aside(own_settings, worker, 5)
    await produce_comments(own_settings, [envelope(comment(f"c{n}", post_id=f"lost{n}"), START) for n in range(20)])
    await all_stored(own_settings, worker, kept | lost)

    async def others_are_stored() -> bool:
        return [await count(own_settings, table) for table in ("dlq_events", "comments", "signals")] == [5, 20, 3 + 5]

    await eventually(others_are_stored, 30, worker.tail)
    if not running:
        assert worker.stop() == 0
    await asyncio.to_thread(database.put_back)
    if running:
        assert worker.poll() is None, worker.tail()
    else:
        assert await stored(own_settings) == kept
        assert not await others_are_stored()
        worker.start()
        await worker.ready()
    await wait_until_stored(own_settings, worker, lost)
    await eventually(others_are_stored, 30, worker.tail)
    names = TopicNames.of(own_settings)
    for topic in (names.posts_enriched, names.posts_dlq, names.comments_raw, names.signals):
        labels = f'reason="database_behind",topic="{topic}"'
        assert await worker.metric("signalflow_rewinds_total", labels) > 0, topic
    await eventually(lambda: is_clean(own_settings, follow), 30, worker.tail)


@pytest.mark.parametrize("worker", [NEVER], indirect=True)
async def test_a_write_to_a_database_that_went_back_is_refused_until_it_has_what_came_before(
    own_settings: Settings, own_postgres: EmbeddedPostgres, worker: WorkerProcess, tmp_path: Path
) -> None:
    database = Database(own_postgres, tmp_path / "copy")
    kept = await publish(own_settings, "kept", 30)
    await all_stored(own_settings, worker, kept)
    await asyncio.to_thread(database.copy)
    lost = await publish(own_settings, "lost", 50)
    await all_stored(own_settings, worker, kept | lost)
    await asyncio.to_thread(database.put_back)
    new = await publish(own_settings, "new", 40)
    await wait_until_stored(own_settings, worker, lost | new)
    await eventually(lambda: is_clean(own_settings, follow), 30, worker.tail)


async def offsets_read(settings: Settings) -> dict[int, int]:
    """By partition of the raw topic, up to where the database says that it was read."""
    topic = TopicNames.of(settings).posts_raw
    ids = await topic_ids(settings, [topic])
    rows = await fetch_all(
        settings, "SELECT partition, next_offset FROM stored_positions WHERE topic_id = $1", ids[topic]
    )
    return {row["partition"]: row["next_offset"] for row in rows}


async def test_a_cut_raw_log_is_recorded_although_its_workers_died_and_its_commits_were_lost(
    own_settings: Settings, own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    """A power cut takes the end of the logs, the commits with it, and the worker at the same moment.

    The brokers' commits then fit their logs: only the database knows that the raw log was read further.
    """
    settings = own_settings.model_copy(update={"kafka": own_kafka.bootstrap})
    names, broker = TopicNames.of(settings), Broker(own_kafka, tmp_path / "broker")
    await create_topics(settings)
    first, second = (
        WorkerProcess(settings, name, tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2") for name in ("w1", "w2")
    )
    try:
        first.start()
        await first.ready()
        await all_stored(settings, first, await publish(settings, "kept", 30))
        await eventually(lambda: reaches(settings, names.posts_raw, 30), 30, first.tail)
        cut_at = await offsets_read(settings)
        logs = (*names.consumed, *names.changelogs, "__consumer_offsets")
        await asyncio.to_thread(broker.copy, *logs)
        await wait_until_stored(settings, first, await publish(settings, "gone", 60))
        for topic in (names.posts_raw, names.signal_inputs, names.term_inputs):
            await eventually(lambda topic=topic: reaches(settings, topic, 90), 30, first.tail)
        read = await offsets_read(settings)
        first.kill()
        await asyncio.to_thread(broker.put_back, *logs)
        second.start()
        await second.ready()
        inputs = names.signal_inputs, names.term_inputs
        cut = {(topic, "log_cut") for topic in (names.posts_raw, names.posts_enriched, *inputs)}
        await eventually(lambda: has_breaks(settings, cut), 30, second.tail)
        rows = await fetch_all(
            settings,
            "SELECT partition, committed, going_on_at FROM log_breaks WHERE topic = $1 ORDER BY partition",
            names.posts_raw,
        )
        assert [tuple(row) for row in rows] == [(number, read[number], cut_at[number]) for number in sorted(read)]
        await wait_until_stored(settings, second, await publish(settings, "new", 20))
        await eventually(lambda: is_clean(settings), 30, second.tail)
    finally:
        first.ensure_stopped()
        second.ensure_stopped()


@pytest.mark.parametrize("comparing", [SOON, NEVER], ids=["without a new record", "with a new record"])
async def test_rows_that_took_the_place_of_lost_ones_survive_a_database_that_goes_back_to_before_they_were_stored(
    own_settings: Settings, own_kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres, tmp_path: Path, comparing: str
) -> None:
    """A power cut takes the end of the logs, and the commits with it: a worker that starts then knows of no cut.

    The positions in the database are the only ones that were beyond it: what is stored, and how far raw was read.
    """
    settings = own_settings.model_copy(update={"kafka": own_kafka.bootstrap})
    names = TopicNames.of(settings)
    broker, database = Broker(own_kafka, tmp_path / "broker"), Database(own_postgres, tmp_path / "copy")
    await create_topics(settings)
    quick = {"SIGNALFLOW_SINK_MAX_SECONDS": "0.2", "SIGNALFLOW_POSITION_CHECK_SECONDS": comparing}
    first, second = (WorkerProcess(settings, name, tmp_path, **quick) for name in ("w1", "w2"))
    try:
        first.start()
        await first.ready()
        kept = await publish(settings, "kept", 30)
        await all_stored(settings, first, kept)
        logs = (*names.consumed, *names.changelogs, "__consumer_offsets")
        await asyncio.to_thread(broker.copy, *logs)
        await all_stored(settings, first, kept | await publish(settings, "gone", 60))
        for topic in (names.posts_raw, names.signal_inputs, names.term_inputs):
            await eventually(lambda topic=topic: reaches(settings, topic, 90), 30, first.tail)
        assert first.stop() == 0
        await asyncio.to_thread(broker.put_back, *logs)
        await asyncio.to_thread(database.copy)
        second.start()
        await second.ready()
        new = await publish(settings, "new", 20)
        await wait_until_stored(settings, second, new)
        await asyncio.to_thread(database.put_back)
        if comparing == NEVER:
            new |= await publish(settings, "more", 20)
        await wait_until_stored(settings, second, new)
        await eventually(lambda: is_clean(settings), 30, second.tail)
        # The database noted them before it went back, too.
        inputs = names.signal_inputs, names.term_inputs
        cut = {(topic, "log_cut") for topic in (names.posts_raw, names.posts_enriched, *inputs)}
        await eventually(lambda: has_breaks(settings, cut), 30, second.tail)
    finally:
        first.ensure_stopped()
        second.ensure_stopped()


@pytest.mark.parametrize("database", ["new and empty", "of a version without positions"])
async def test_without_positions_the_content_tells_whether_a_database_is_the_one_that_was_written(
    own_settings: Settings, worker: WorkerProcess, database: str
) -> None:
    posts = await publish(own_settings, "a", 60)
    await all_stored(own_settings, worker, posts)
    assert worker.stop() == 0
    await fetch_all(own_settings, "DELETE FROM stored_positions")
    if database == "new and empty":
        filled = "posts, post_metrics_history, post_nlp_features, rollup_touched, signals, topic_clusters"
        await fetch_all(own_settings, f"TRUNCATE {filled}")
    worker.start()
    await worker.ready()
    new = await publish(own_settings, "b", 20)
    await wait_until_stored(own_settings, worker, posts | new)
    rewinds = await worker.metric("signalflow_rewinds_total", 'reason="database_behind"')
    assert (rewinds > 0) is (database == "new and empty")
    assert await reaches(own_settings, TopicNames.of(own_settings).posts_enriched, 80)
    await eventually(lambda: is_clean(own_settings, follow), 30, worker.tail)


async def test_rows_that_count_as_stored_survive_a_crash_of_a_server_that_commits_asynchronously(
    settings: Settings, topics: TopicNames, tmp_path: Path
) -> None:
    options = {"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "0"}
    server = EmbeddedPostgres(tmp_path / "postgres", free_ports(1)[0], options)
    await asyncio.to_thread(server.start)
    settings = settings.model_copy(update={"database_url": SecretStr(server.url())})
    worker = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    try:
        await upgrade(server.url())
        worker.start()
        await worker.ready()
        posts = await publish(settings, "a", 40)
        await wait_until_committed(settings, worker, topics.posts_enriched, len(posts))
        assert server.pid is not None
        # A worker that lives would store again what the server has lost.
        worker.kill()
        os.kill(server.pid, signal.SIGQUIT)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        assert await stored(settings) == posts
        report = await no_differences(settings)
        assert (report.records, report.records_due) == (40, 40)
        worker.start()
        await worker.ready()
        await publish(settings, "b", 20)
        assert (await verified(settings, worker)).posts.found == 60
    finally:
        worker.ensure_stopped()
        await asyncio.to_thread(server.stop)


async def test_sessions_whose_commits_would_not_wait_are_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a pooler that does not pass the setting on."""
    asked = pools.session_settings
    monkeypatch.setattr(pools, "session_settings", lambda *given: asked(*given) | {"synchronous_commit": "off"})
    pool = await create_pool(Settings(database_url=SecretStr(database_url)), application_name="test")
    with pytest.raises(Fatal, match="synchronous_commit=off"):
        await write_batch(pool, [row("a", 0)])
    pool.terminate()
