"""A TCP proxy that makes the connections between two programs slow, silent or broken."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from signalflow.local.ports import LOOPBACK

CHUNK = 1 << 16
# The connection is closed with a reset (RST), not with FIN.
_LINGER_ZERO = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class _Connection:
    """One connection through the proxy. `is_dead`: it is half open, and its client never hears of the server again."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_dead: bool = False
    pumps: list["asyncio.Task[None]"] = field(default_factory=list)

    def reset(self) -> None:
        """End both sides at once."""
        for writer in (self.client, self.server):
            _reset(writer)
        for pump in self.pumps:
            pump.cancel()


class Proxy:
    """Listens on `port` and passes everything on to `upstream` (both loopback)."""

    def __init__(self, port: int, upstream: int) -> None:
        self.port, self.upstream = port, upstream
        self._server: asyncio.Server | None = None
        self._links: set[_Connection] = set()
        self._delay = 0.0
        self._is_cut: Callable[[int], bool] = _no_client
        self._flows = asyncio.Event()
        self._flows.set()

    async def start(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self.port)

    async def close(self) -> None:
        """Stop listening and end all connections."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.reset()

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._links)

    def slow(self, seconds: float) -> None:
        """From now on delay every chunk by `seconds`, in both directions."""
        self._delay = seconds

    def stall(self) -> None:
        """Pass nothing on until `heal`. Connections stay open, and new ones are accepted."""
        self._flows.clear()

    def cut(self, is_meant: Callable[[int], bool] = lambda port: True) -> None:
        """Reset all connections, and every new one until `heal`; if given, only those of clients that are meant.

        `is_meant` is told the port from which a client connects.
        """
        self._is_cut = is_meant
        for link in list(self._links):
            if is_meant(_port_of(link.client)):
                link.reset()

    def half_open(self) -> None:
        """Reset all connections to the server, and leave those to clients open but silent for good. New ones work."""
        for link in self._links:
            link.is_dead = True
            _reset(link.server)

    def heal(self) -> None:
        """End the fault. Connections that were lost stay lost."""
        self._delay, self._is_cut = 0.0, _no_client
        self._flows.set()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut(_port_of(writer)):
            _reset(writer)
            return
        await self._flows.wait()
        try:
            upstream_reader, upstream = await asyncio.open_connection(LOOPBACK, self.upstream)
        except OSError:
            _reset(writer)
            return
        link = _Connection(writer, upstream)
        link.pumps = [
            asyncio.create_task(self._pump(link, reader, upstream)),
            asyncio.create_task(self._pump(link, upstream_reader, writer)),
        ]
        self._links.add(link)
        try:
            await asyncio.wait(link.pumps, return_when=asyncio.FIRST_COMPLETED)
            if link.is_dead:
                # The client must find out by itself.
                await asyncio.wait(link.pumps[:1])
        finally:
            self._links.discard(link)
            link.reset()

    async def _pump(self, link: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flows.wait()
                if not link.is_dead:
                    writer.write(chunk)
                    await writer.drain()


def _no_client(port: int) -> bool:
    return False


def _port_of(client: asyncio.StreamWriter) -> int:
    address = client.get_extra_info("peername")
    return int(address[1]) if address else 0


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        connection = writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    if writer.transport is not None:
        writer.transport.abort()
