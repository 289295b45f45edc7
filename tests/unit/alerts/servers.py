"""Servers that say what a test tells them, byte by byte, and remember what they were asked."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser

from aiohttp.abc import AbstractResolver, ResolveResult

Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    """A request as its bytes were."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """A running server: its port, how often something connected, and what was asked."""

    port: int = 0
    connections: int = 0
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def serving(
    say: Say, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """A server on loopback that reads one request of each connection, answers it with `say` and hangs up."""
    server = Server()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            line, _, rest = head.partition(b"\r\n")
            headers = {name.lower(): value for name, value in BytesHeaderParser().parsebytes(rest).items()}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            server.requests.append(Request(line.decode(), headers, body))
            await say(writer)
            await writer.drain()
        writer.close()

    running = await asyncio.start_server(handle, host, port, ssl=tls)
    server.port = running.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        running.close()


def answering(text: str) -> Say:
    """Says this, with the line ends of HTTP."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace("\n", "\r\n").encode())

    return say


class Names(AbstractResolver):
    """A name server that gives one list of addresses after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        addresses = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        if not addresses:
            raise OSError(None, "no such name")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing to close."""
