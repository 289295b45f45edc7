"""The schema is made once, by one run at a time, and no process starts with an unknown schema."""

import asyncio
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
import typer
from alembic import command
from structlog.testing import capture_logs
from typer.testing import CliRunner

from signalflow.cli.migrate import register
from signalflow.clock import utcnow
from signalflow.domain.words import SchemaMode
from signalflow.errors import Fatal, Retryable
from signalflow.local.ports import free_ports
from signalflow.settings import get_settings
from signalflow.storage import migrate
from signalflow.storage.jobs import ensure_partitions
from signalflow.storage.migrate import sql, status, upgrade
from signalflow.storage.schema import check_schema, known_revisions
from signalflow.storage.writer import write_batch
from tests.integration.storage_rows import observation, pool_of
from tests.waiting import until


async def execute(url: str, *statements: str) -> None:
    """Run statements one by one."""
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def structure(url: str) -> list[tuple[str, ...]]:
    """Tables, columns, indexes and constraints."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns"
        " WHERE table_schema = 'public' UNION ALL"
        " SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
        " SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2, 3"
    )
    await connection.close()
    return [tuple(row) for row in rows]


async def test_a_second_run_changes_nothing(database_url: str, database_mode: SchemaMode) -> None:
    first, before = await status(database_url), await structure(database_url)
    assert await upgrade(database_url) == first
    assert await structure(database_url) == before
    assert first.revision == first.head
    assert first.mode == database_mode


async def test_two_runs_at_once_make_one_schema(make_database: Callable[..., str]) -> None:
    url = make_database()
    one, two = await asyncio.gather(upgrade(url), upgrade(url))
    assert one == two
    assert one.pending == []


async def test_a_run_waits_for_the_one_before(make_database: Callable[..., str]) -> None:
    url = make_database()
    holder = await asyncpg.connect(url)
    await holder.execute("SELECT pg_advisory_lock(1936156268, 1)")  # "sgfl", migrations
    waiting = asyncio.create_task(upgrade(url))
    await until(lambda: holder.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
    assert await holder.fetchval("SELECT to_regclass('posts')") is None
    await holder.close()
    assert (await waiting).pending == []


async def test_the_status_of_an_empty_database_names_what_is_pending(make_database: Callable[..., str]) -> None:
    found = await status(make_database())
    assert (found.revision, found.mode, found.pending[0]) == (None, None, "0001")


async def test_a_revision_of_a_newer_version_stops_start_and_migration(database_url: str) -> None:
    await execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    async with await pool_of(database_url) as pool:
        with pytest.raises(Fatal, match="9999"):
            await check_schema(pool)
    with pytest.raises(Fatal, match="9999"):
        await upgrade(database_url)


async def test_a_database_without_a_schema_stops_the_start(make_database: Callable[..., str]) -> None:
    async with await pool_of(make_database()) as pool:
        with pytest.raises(Fatal, match="signalflow migrate"):
            await check_schema(pool)


async def test_the_start_learns_the_recorded_mode(database_url: str, database_mode: SchemaMode) -> None:
    async with await pool_of(database_url) as pool:
        assert await check_schema(pool) == database_mode


async def test_a_database_that_is_away_is_retryable() -> None:
    with pytest.raises(Retryable):
        await upgrade(f"postgresql://nobody@127.0.0.1:{free_ports(1)[0]}/none")


async def test_the_printed_statements_make_the_same_schema(
    make_database: Callable[..., str], database_url: str, database_mode: SchemaMode
) -> None:
    printed = make_database()
    await execute(printed, sql(database_mode))
    assert await structure(printed) == await structure(database_url)
    assert await status(printed) == await status(database_url)


async def to_revision(url: str, mode: SchemaMode, revision: str) -> None:
    async with migrate._migration_connection(url) as migrating:
        await migrating.run_sync(
            lambda connection: command.upgrade(migrate._config(connection=connection, mode=mode), revision)
        )


# What a row of any version has in the columns that it must have.
VALUES: dict[str, Any] = {
    "text": "{name}",
    "integer": "60",
    "bigint": "1",
    "smallint": "1",
    "boolean": "true",
    "timestamp with time zone": "now()",
    "jsonb": "[]",
    "ARRAY": "{{}}",
    "real": "0.5",
    "double precision": "0.5",
    "bytea": "{name}",
    "uuid": "00000000-0000-0000-0000-00000000{name}",
}
WORDS = {"sentiment_label": "neutral", "stage": "decode", "priority": "fast", "role": "admin"}
FILLED = ("posts", "comments", "post_metrics_history", "post_nlp_features", "dlq_events", "subreddit_config", "users")
COLUMNS = """
SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = ANY ($1::text[])
    AND (is_nullable = 'NO' AND column_default IS NULL OR column_name IN ('id', 'sentiment_score', 'sentiment_label'))
    AND is_generated = 'NEVER' AND is_identity = 'NO'
"""


async def test_rows_of_every_earlier_revision_survive_the_migration_to_the_newest(
    make_database: Callable[..., str], database_url: str, database_mode: SchemaMode
) -> None:
    url, written = make_database(), Counter[str]()
    for revision in known_revisions()[:-1]:
        await to_revision(url, database_mode, revision)
        async with await pool_of(url) as pool:
            await ensure_partitions(pool, utcnow(), 0)
        connection = await asyncpg.connect(url)
        columns: dict[str, dict[str, str]] = defaultdict(dict)
        for table, column, kind in await connection.fetch(COLUMNS, FILLED):
            columns[table][column] = WORDS.get(column) or VALUES[kind].format(name=revision)
        for table in (table for table in FILLED if table in columns):
            names, row = ", ".join(columns[table]), ", ".join(f"'{value}'" for value in columns[table].values())
            await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({row})")
            written[table] += 1
        await connection.close()
    assert (await upgrade(url)).pending == []
    async with await pool_of(database_url) as fresh:
        await ensure_partitions(fresh, utcnow(), 0)
    assert await structure(url) == await structure(database_url)
    async with await pool_of(url) as pool:
        await check_schema(pool)
        assert {table: await pool.fetchval(f"SELECT count(*) FROM {table}") for table in FILLED} == written
        await write_batch(pool, [observation(revision, 0) for revision in known_revisions()])
        assert await pool.fetchval("SELECT count(*) FROM posts") == written["posts"] + 1


async def test_a_failed_revision_leaves_nothing_behind(make_database: Callable[..., str]) -> None:
    url = make_database()
    await execute(url, "CREATE TABLE workers (name text)")  # the last table that the first revision makes
    with pytest.raises(Fatal, match="42P07"):
        await upgrade(url)
    assert {row[0] for row in await structure(url)} == {"workers"}
    await execute(url, "DROP TABLE workers")
    assert (await upgrade(url)).pending == []


@pytest.fixture
def run_cli(
    make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, str]]]:
    """Runs `signalflow migrate` on an empty database of its own."""
    monkeypatch.setenv("SIGNALFLOW_DATABASE_URL", make_database())
    get_settings.cache_clear()
    app = typer.Typer()
    register(app)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments)
        return result.exit_code, result.output

    yield run
    get_settings.cache_clear()


def test_the_command_migrates_and_its_exit_status_says_whether_the_schema_is_current(
    run_cli: Callable[..., tuple[int, str]], database_mode: SchemaMode
) -> None:
    code, output = run_cli("--status", "--json")
    revisions = list(known_revisions())
    assert (code, json.loads(output)["pending"]) == (1, revisions)
    code, output = run_cli()
    assert (code, output) == (0, f"schema {revisions[-1]} ({database_mode}), current\n")
    assert run_cli("--status")[0] == 0
    assert "CREATE TABLE posts" in run_cli("--sql")[1]
    assert "create_hypertable" in run_cli("--sql", "--mode", "timescaledb")[1]
    assert run_cli("--sql", "--status")[0] == 2


async def test_an_ordinary_owner_migrates_and_a_mode_that_is_given_is_kept_or_refused_with_the_other(
    ordinary_role: str, make_database: Callable[..., str], database_mode: SchemaMode
) -> None:
    owned = []
    for _ in range(2):
        url = make_database()
        await execute(
            url,
            f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO {ordinary_role}",
            f"ALTER SCHEMA public OWNER TO {ordinary_role}",
        )
        owned.append(f"postgresql://{ordinary_role}:secret@{url.rpartition('@')[2]}")
    if database_mode == "native":
        with pytest.raises(Fatal, match="choose --mode native"):
            await upgrade(owned[0], mode="timescaledb")
    assert (await upgrade(owned[0])).mode == database_mode
    assert (await upgrade(owned[1], mode="native")).mode == "native"


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "WIN1252"])
async def test_a_database_that_is_not_utf_8_is_refused_before_anything_is_made(
    database_server: Any, encoding: str
) -> None:
    name = f"not_utf8_{uuid.uuid4().hex[:12]}"
    url = database_server.url(name)
    made = f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
    await execute(database_server.url("postgres"), made)
    try:
        with pytest.raises(Fatal, match=rf"has the encoding {encoding}.* ENCODING 'UTF8' TEMPLATE template0"):
            await upgrade(url)
        assert (await status(url)).revision is None
    finally:
        await execute(database_server.url("postgres"), f"DROP DATABASE {name}")


@pytest.mark.parametrize(("locale", "is_told"), [("C", True), ("C.UTF-8", False)])
async def test_a_locale_whose_searches_mind_the_case_of_letters_is_told(
    database_server: Any, locale: str, is_told: bool
) -> None:
    name = f"locale_{uuid.uuid4().hex[:12]}"
    made = f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0 LOCALE_PROVIDER libc LOCALE '{locale}'"
    await execute(database_server.url("postgres"), made)
    try:
        with capture_logs() as lines:
            await upgrade(database_server.url(name))
    finally:
        await execute(database_server.url("postgres"), f"DROP DATABASE {name}")
    told = [line["what_to_do"] for line in lines if line["event"].startswith("searches_mind_the_case")]
    assert bool(told) is is_told
    assert all("LOCALE 'C.UTF-8'" in advice for advice in told)
