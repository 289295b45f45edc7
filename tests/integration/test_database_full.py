"""A database whose disk is full answers SQLSTATE 53100. Here triggers do so, while a table of their own has a row."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from signalflow.events import decode_envelope
from signalflow.kafka.connection import connection_options
from signalflow.kafka.topics import TopicNames
from signalflow.reddit.subreddits import read_subreddits
from signalflow.settings import Settings
from signalflow.simulator.server import RunningSimulator
from signalflow.storage.pool import Pool
from signalflow.storage.subreddits import load_defaults
from tests.api_clients import bearer
from tests.integration.accounts_api import client_of, running, settings_of
from tests.integration.workers import WorkerProcess, count, eventually, fetch_all, read_topic

NEW_RECORDS = 50
REFUSED = "DiskFullError 53100: could not extend file: No space left on device"

# Every write is refused, also one that changes no row, and so is every change of the schema.
OBSTACLES = """
CREATE TABLE disk_is_full ();
CREATE FUNCTION refuse() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM disk_is_full) THEN
        RAISE EXCEPTION 'could not extend file: No space left on device'
        USING ERRCODE = '53100', HINT = 'Check free disk space.';
    END IF;
END $$;
CREATE FUNCTION refuse_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM refuse(); RETURN NULL; END';
CREATE FUNCTION refuse_change() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM refuse(); END';
DO $$ DECLARE name regclass; BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
        AND NOT relispartition AND relname <> 'disk_is_full' LOOP
        EXECUTE format('CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OR DELETE ON %s
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_write()', name);
    END LOOP;
END $$;
CREATE EVENT TRIGGER full_disk ON ddl_command_start EXECUTE FUNCTION refuse_change();
"""


@pytest.fixture
async def disk(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of a database whose disk `fill` fills, until `make_room`."""
    session = await asyncpg.connect(database_url)
    await session.execute(OBSTACLES)
    yield session
    await session.close()


async def fill(disk: asyncpg.Connection) -> None:
    await disk.execute("INSERT INTO disk_is_full DEFAULT VALUES")


async def make_room(disk: asyncpg.Connection) -> None:
    await disk.execute("DELETE FROM disk_is_full")


async def test_a_worker_polls_and_enriches_on_while_the_databases_disk_is_full_and_stores_all_when_there_is_room(
    settings: Settings,
    topics: TopicNames,
    pool: Pool,
    simulator: RunningSimulator,
    disk: asyncpg.Connection,
    tmp_path: Path,
) -> None:
    await load_defaults(pool, read_subreddits())
    worker = WorkerProcess(
        settings,
        "w1",
        tmp_path,
        SIGNALFLOW_POLL_ENABLED="true",
        SIGNALFLOW_REDDIT_BASE_URL=simulator.url,
        SIGNALFLOW_SINK_MAX_SECONDS="0.2",
    )

    async def stores_posts() -> bool:
        return await count(settings, "posts") > 0

    worker.start()
    try:
        await worker.ready()
        await eventually(stores_posts, 30, worker.tail)
        await fill(disk)
        stored = await count(settings, "post_metrics_history")
        before = await worker.metric("signalflow_records_total", 'agent="enrich"')
        async with AIOKafkaProducer(**connection_options(settings)) as producer:
            await producer.send_and_wait(topics.posts_raw, b"no envelope", key=b"bad")

        async def goes_on() -> bool:
            enriched = await worker.metric("signalflow_records_total", 'agent="enrich"')
            tries = [
                await worker.metric("signalflow_commit_retries_total", f'agent="{agent}"') for agent in ("sink", "dlq")
            ]
            return enriched > before + NEW_RECORDS and all(tries)

        await eventually(goes_on, 60, worker.tail)
        assert await count(settings, "post_metrics_history") == stored
        assert await count(settings, "dlq_events") == 0
        await make_room(disk)
        raw = [record for record in await read_topic(settings, topics.posts_raw) if record.key != b"bad"]
        decoded = [decode_envelope(record.value) for record in raw]
        observed = {(found.payload.id, found.metadata.observed_at) for found in decoded}

        async def all_is_stored() -> bool:
            rows = await fetch_all(settings, "SELECT post_id, observed_at FROM post_metrics_history")
            return observed <= {tuple(row) for row in rows} and await count(settings, "dlq_events") == 1

        await eventually(all_is_stored, 45, worker.tail)
        assert worker.poll() is None
    finally:
        worker.ensure_stopped()
    log = worker.log.read_text()
    assert REFUSED in log
    assert "Traceback" not in log


@pytest.mark.parametrize("command", ["config add python", "user add ada", "migrate"])
async def test_a_command_ends_in_one_sentence_while_the_databases_disk_is_full(
    disk: asyncpg.Connection, database_url: str, tmp_path: Path, command: str
) -> None:
    if command == "migrate":
        await disk.execute("UPDATE alembic_version SET version_num = '0013'")
    await fill(disk)
    ended = await asyncio.to_thread(
        subprocess.run,
        [Path(sys.executable).with_name("signalflow"), *command.split()],
        env=os.environ | {"SIGNALFLOW_DATABASE_URL": database_url, "SIGNALFLOW_STATE_DIR": str(tmp_path)},
        input="a long enough password\n",
        capture_output=True,
        text=True,
    )
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"error: database: {REFUSED}")
    assert ended.returncode == 3


async def test_the_api_reads_on_and_refuses_to_write_with_a_problem_while_the_databases_disk_is_full(
    disk: asyncpg.Connection, database_url: str
) -> None:
    settings = settings_of(database_url)
    async with running(settings) as app, client_of(app) as client:
        client.headers.update(bearer(settings, "admin"))
        await fill(disk)
        assert (await client.get("/api/posts/")).status_code == 200
        assert (await client.get("/api/stats/")).status_code == 200
        refused = await client.post("/api/subreddits/", json={"names": ["python"]})
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
        await make_room(disk)
        assert (await client.post("/api/subreddits/", json={"names": ["python"]})).status_code == 200
