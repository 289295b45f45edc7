"""PostgreSQL over TLS with `sslmode=verify-full`: the right CA works, and every error names its cause."""

import asyncio
import contextlib
import os
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
import trustme
from pydantic import SecretStr
from structlog.testing import capture_logs

from signalflow.errors import Fatal
from signalflow.local.postgres import EmbeddedPostgres
from signalflow.settings import Settings
from signalflow.storage.migrate import status, upgrade
from signalflow.storage.pool import connection, create_pool
from signalflow.storage.read_router import open_read_router
from tests.integration.workers import WorkerProcess, eventually

pytestmark = pytest.mark.integration

# What a client sends before a TLS handshake (protocol 3.0), and the answer of a server that speaks TLS.
SSL_REQUEST = struct.pack("!II", 8, 80877103)
SPEAKS_TLS = b"S"


class TlsFront:
    """Speaks TLS, by PostgreSQL's protocol, for the embedded server, which was built without it."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._behind, self._context = port, context
        self.handshakes = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self.port = listening.result(10).sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            assert await reader.readexactly(len(SSL_REQUEST)) == SSL_REQUEST
            writer.write(SPEAKS_TLS)
            await writer.start_tls(self._context)
            self.handshakes += 1
            behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._behind)
            await asyncio.gather(copy(reader, behind_writer), copy(behind_reader, writer))
        writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Forward everything until the end of the stream, and then close."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


class Secured(NamedTuple):
    """A migrated database behind TLS, its CA, and a CA that it does not know."""

    front: TlsFront
    plain_url: str
    ca: Path
    stranger: Path

    def url(self, ca: Path | None = None, host: str = "127.0.0.1") -> str:
        """A URL that asks for the whole check of the certificate."""
        before, _, after = self.plain_url.partition("@")
        database = after.rpartition("/")[2]
        return f"{before}@{host}:{self.front.port}/{database}?sslmode=verify-full&sslrootcert={ca or self.ca}"


@pytest.fixture
def secured(postgres_server: EmbeddedPostgres, database_url: str, tmp_path: Path) -> Iterator[Secured]:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    stranger.cert_pem.write_to_path(tmp_path / "stranger.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Only for the address: "localhost" is another host name.
    authority.issue_cert("127.0.0.1").configure_cert(context)
    front = TlsFront(postgres_server.port, context)
    front.start()
    yield Secured(front, database_url, tmp_path / "ca.pem", tmp_path / "stranger.pem")
    front.stop()


async def test_a_pool_goes_over_tls(secured: Secured) -> None:
    async with (
        await create_pool(Settings(database_url=SecretStr(secured.url())), application_name="test") as pool,
        connection(pool) as opened,
    ):
        assert await opened.fetchval("SELECT 1") == 1
    assert secured.front.handshakes == 1


async def test_a_replica_that_is_not_trusted_is_left_alone_and_named(secured: Secured) -> None:
    settings = Settings(
        database_url=SecretStr(secured.url()), database_replica_url=SecretStr(secured.url(ca=secured.stranger))
    )

    def reasons() -> list[str]:
        return [entry["reason"] for entry in logged if entry["event"] == "replica_not_in_use"]

    with capture_logs() as logged:
        async with open_read_router(settings) as router:
            assert len(await router.fetch("SELECT 1")) == 1
            await eventually(reasons, 10)
    assert "SIGNALFLOW_DATABASE_REPLICA_URL" in reasons()[0]


async def test_migrations_go_over_tls(secured: Secured) -> None:
    assert not (await upgrade(secured.url())).pending
    assert not (await status(secured.url())).pending
    assert secured.front.handshakes == 2


@pytest.mark.parametrize("wrong", ["unknown CA", "other host name"])
async def test_a_certificate_that_is_not_trusted_is_fatal_and_names_the_setting(secured: Secured, wrong: str) -> None:
    url = secured.url(host="localhost") if wrong == "other host name" else secured.url(ca=secured.stranger)
    named = "check host name and sslrootcert in SIGNALFLOW_DATABASE_URL"
    with pytest.raises(Fatal, match=named):
        await upgrade(url)
    async with await create_pool(Settings(database_url=SecretStr(url)), application_name="test") as pool:
        with pytest.raises(Fatal, match=named):
            async with connection(pool):
                pass
    done = await asyncio.to_thread(
        subprocess.run,
        [Path(sys.executable).with_name("signalflow"), "migrate", "--status"],
        env=os.environ | {"SIGNALFLOW_DATABASE_URL": url},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


async def test_a_worker_ends_with_one_sentence_when_it_does_not_trust_the_certificate(
    secured: Secured, settings: Settings, tmp_path: Path
) -> None:
    wrong = settings.model_copy(update={"database_url": SecretStr(secured.url(ca=secured.stranger))})
    reason = await WorkerProcess(wrong, "w1", tmp_path).refuses_to_start()
    assert "check host name and sslrootcert in SIGNALFLOW_DATABASE_URL" in reason


async def test_a_server_without_tls_is_named(secured: Secured) -> None:
    with pytest.raises(Fatal, match="does not speak TLS, which sslmode asks for in SIGNALFLOW_DATABASE_URL"):
        await status(f"{secured.plain_url}?sslmode=verify-full&sslrootcert={secured.ca}")
