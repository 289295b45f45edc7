"""A real PgBouncer before the database: what shares sessions between clients is refused, and said in one sentence."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from signalflow.errors import Fatal
from signalflow.local.ports import answers, free_ports
from signalflow.local.process import wait_until
from signalflow.settings import Settings
from signalflow.storage.migrate import status, upgrade
from signalflow.storage.pool import session_settings
from signalflow.storage.schema import check_schema
from signalflow.storage.writer import write_batch
from tests.api_clients import test_secret
from tests.integration.storage_rows import observation, pool_of
from tests.integration.workers import WorkerProcess

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
SETTINGS = session_settings(10, "test")
PASSED_ON = {"application_name", "timezone"}
# What an operator sets who meets PgBouncer's refusal of our settings.
LETS_SETTINGS_PASS = {"ignore_startup_parameters": ", ".join(SETTINGS.keys() - PASSED_ON)}
ONE_SENTENCE = "a pooler between this program and PostgreSQL gives each transaction another session"


class PgBouncer:
    """A PgBouncer on a free port before one database."""

    def __init__(self, directory: Path, url: str, mode: str, **options: str) -> None:
        parts = urlsplit(url)
        self.port = free_ports(1)[0]
        self.url = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{self.port}"))
        described = f"host=127.0.0.1 port={parts.port} user={parts.username} password={parts.password}"
        lines = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            **options,
        }
        self._config = directory / f"pgbouncer-{self.port}.ini"
        self._config.write_text(
            f"[databases]\n* = {described}\n[pgbouncer]\n" + "".join(f"{name} = {lines[name]}\n" for name in lines)
        )

    def start(self) -> None:
        # It does not run as root.
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        assert PGBOUNCER is not None
        self._process = subprocess.Popen(
            [PGBOUNCER, "-q", *account, self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert wait_until(lambda: answers(self.port), 10.0), "PgBouncer does not listen"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def bounced(database_url: str, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts a PgBouncer before the test's database, and returns the URL that leads through it."""
    with ExitStack() as stack:

        def start(mode: str, **options: str) -> str:
            pgbouncer = PgBouncer(tmp_path, database_url, mode, **options)
            pgbouncer.start()
            stack.callback(pgbouncer.stop)
            return pgbouncer.url

        yield start


async def refused(work: Awaitable[object], says: str) -> None:
    with pytest.raises(Fatal, match=says):
        await work


async def store(url: str) -> None:
    async with await pool_of(url) as pool:
        await check_schema(pool)
        await write_batch(pool, [observation("a", 0)])


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("transaction", {}),
        ("transaction", {"default_pool_size": "1"}),
        ("transaction", {"server_round_robin": "1"}),
        ("statement", {}),
    ],
    ids=["transaction", "one session", "round robin", "statement"],
)
async def test_a_pooler_that_shares_sessions_is_refused_by_the_first_connection(
    bounced: Callable[..., str], mode: str, options: dict[str, str]
) -> None:
    url = bounced(mode, **LETS_SETTINGS_PASS, **options)
    await refused(store(url), ONE_SENTENCE)
    await refused(upgrade(url), ONE_SENTENCE)
    await refused(status(url), ONE_SENTENCE)


async def test_a_session_that_other_clients_used_before_is_refused_with_the_same_sentence(
    bounced: Callable[..., str],
) -> None:
    """Its server knows statements of other clients, or lacks those of this one."""
    url = bounced("transaction", **LETS_SETTINGS_PASS, default_pool_size="3")
    others = [await asyncpg.connect(url) for _ in range(3)]
    with contextlib.suppress(asyncpg.PostgresError):
        await asyncio.gather(*(other.fetchval("SELECT count(*) FROM posts") for other in others))
    for _ in range(5):
        await refused(store(url), ONE_SENTENCE)
    for other in others:
        other.terminate()


@pytest.mark.parametrize("mode", ["transaction", "session"])
async def test_a_pooler_that_refuses_our_settings_is_named(bounced: Callable[..., str], mode: str) -> None:
    url = bounced(mode)
    for work in (store(url), upgrade(url)):
        await refused(
            work, "refuses the settings of our sessions .*unsupported startup parameter.*SIGNALFLOW_DATABASE_URL"
        )


async def test_a_pooler_in_session_mode_is_served(bounced: Callable[..., str], database_pool: asyncpg.Pool) -> None:
    url = bounced("session", **LETS_SETTINGS_PASS)
    await store(url)
    assert (await upgrade(url)).pending == []
    assert await database_pool.fetchval("SELECT id FROM posts") == "a"


async def test_a_pooler_without_a_free_session_is_not_taken_for_one_that_shares_them(
    bounced: Callable[..., str],
) -> None:
    await store(bounced("session", **LETS_SETTINGS_PASS, default_pool_size="1"))


async def test_a_worker_ends_at_its_start_and_says_why(
    settings: Settings, bounced: Callable[..., str], tmp_path: Path
) -> None:
    url = bounced("transaction", **LETS_SETTINGS_PASS)
    worker = WorkerProcess(settings, "worker-1", tmp_path, SIGNALFLOW_DATABASE_URL=url)
    assert ONE_SENTENCE in await worker.refuses_to_start()


@pytest.mark.parametrize("command", ["api --port 0", "migrate", "config list", "dlq stats"])
def test_a_command_ends_and_says_why(bounced: Callable[..., str], tmp_path: Path, command: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("signalflow"), *command.split()],
        env=os.environ
        | {
            "SIGNALFLOW_DATABASE_URL": bounced("transaction", **LETS_SETTINGS_PASS),
            "SIGNALFLOW_API_SECRET": test_secret,
            "SIGNALFLOW_STATE_DIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    (sentence,) = done.stderr.strip().splitlines()
    assert ONE_SENTENCE in sentence
