"""A broker, or the network before it, from which nothing comes any more."""

import asyncio
import math
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import JoinGroupRequest
from aiokafka.protocol.metadata import MetadataRequest

from signalflow.kafka import closed_connections
from signalflow.kafka.closed_connections import ClosingConnection, NotingProtocol

SILENT = 0.2
# Keys of requests, with the versions that the server knows.
VERSIONS = ((3, 0, 1), (10, 0, 0), (11, 0, 0), (18, 0, 0))
Answer = Callable[[int, asyncio.StreamWriter], Any]
JOINING = JoinGroupRequest("group", 1000, 1000, "", None, "consumer", [("range", b"")])


@asynccontextmanager
async def connected_to(answer: Answer) -> AsyncIterator[ClosingConnection]:
    """A connection to a server that tells its versions, and then passes each request's number to `answer`."""
    has_ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while size := await reader.read(4):
            request = await reader.readexactly(struct.unpack(">i", size)[0])
            key, _, number = struct.unpack(">hhi", request[:8])
            if key == 18:
                versions = b"".join(struct.pack(">hhh", *version) for version in VERSIONS)
                body = struct.pack(">ihi", number, 0, len(VERSIONS)) + versions
                writer.write(struct.pack(">i", len(body)) + body)
            else:
                await answer(number, writer)
        writer.close()
        has_ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connection = ClosingConnection(
        "127.0.0.1", server.sockets[0].getsockname()[1], request_timeout_ms=5000, max_idle_ms=None
    )
    await connection.connect()
    try:
        yield connection
    finally:
        connection.close()
        await has_ended.wait()
        server.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_connections, "SILENT_SECONDS", SILENT)
    monkeypatch.setattr(conn, "AIOKafkaProtocol", NotingProtocol)


async def never(number: int, writer: asyncio.StreamWriter) -> None:
    """No answer."""


async def test_a_connection_from_which_nothing_comes_is_closed_long_before_the_request_times_out() -> None:
    async with connected_to(never) as connection:
        with pytest.raises(KafkaConnectionError):
            await asyncio.wait_for(connection.send(MetadataRequest(topics=[])), 10 * SILENT)
        assert not connection.connected()


@pytest.mark.slow
async def test_a_request_that_a_broker_may_keep_for_long_closes_no_connection() -> None:
    async with connected_to(never) as connection:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.send(JOINING), 5 * SILENT)
        assert connection.connected()


@pytest.mark.slow
async def test_what_waits_behind_such_a_request_closes_no_connection() -> None:
    async with connected_to(never) as connection:
        both = asyncio.gather(connection.send(JOINING), connection.send(FindCoordinatorRequest("group", 0)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(both, 5 * SILENT)
        assert connection.connected()


@pytest.mark.slow
async def test_a_long_answer_that_comes_slowly_is_waited_for() -> None:
    async def slowly(number: int, writer: asyncio.StreamWriter) -> None:
        body = struct.pack(">iii", number, 0, 0) + struct.pack(">i", 0)
        for byte in struct.pack(">i", len(body)) + body:
            writer.write(bytes([byte]))
            await asyncio.sleep(SILENT / 4)

    async with connected_to(slowly) as connection:
        answer = await connection.send(MetadataRequest(topics=[]))
        assert answer.brokers == []


async def test_a_connection_with_nothing_to_answer_stays_open() -> None:
    async with connected_to(never) as connection:
        connection._close_if_silent(math.inf)
        assert connection.connected()
