"""A small TCP forwarder to the test's PostgreSQL. A test can shut it for its workers only."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from signalflow.local.ports import free_ports
from signalflow.settings import Settings

CHUNK = 64 << 10


class Door:
    """Forwards connections to one address.

    When shut, it resets and refuses connections. When silent, it accepts them and bytes, but sends nothing.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._to = parts.hostname or "127.0.0.1", parts.port or 5432
        self._port = free_ports(1)[0]
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = urlunsplit(parts._replace(netloc=f"{credentials}{at}127.0.0.1:{self._port}"))
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._speaks = asyncio.Event()

    async def open(self) -> None:
        """Let everything through."""
        self._speaks.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def shut(self) -> None:
        """Refuse connections and reset those that exist."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._speaks.set()
        for writer in list(self._writers):
            writer.transport.abort()

    def fall_silent(self) -> None:
        """Accept everything and answer nothing, as a server that hangs."""
        self._speaks.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._to)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(self._copy(reader, back), self._copy(there, writer))
        finally:
            for one in (writer, back):
                self._writers.discard(one)
                one.close()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(CHUNK):
                await self._speaks.wait()
                target.write(data)
                await target.drain()
        target.close()


@asynccontextmanager
async def door_to_database(settings: Settings) -> AsyncIterator[tuple[Door, Settings]]:
    """An open door, and settings whose database is behind it."""
    door = Door(settings.database_url.get_secret_value())
    await door.open()
    try:
        yield door, settings.model_copy(update={"database_url": SecretStr(door.url)})
    finally:
        await door.shut()
