"""A connection that is closed while something is written to it: an error that aiokafka knows, whatever loop runs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from aiokafka import conn
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

from signalflow.kafka.closed_connections import ClosingConnection, NotingProtocol, survive_closed_connections


async def write_to_a_closed_transport(kind: type[conn.AIOKafkaConnection]) -> Any:
    """A request sent when the other side has gone and the transport knows it."""
    closed = asyncio.Event()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = kind("127.0.0.1", port, request_timeout_ms=1000)

    class Protocol(asyncio.StreamReaderProtocol):
        def connection_lost(self, error: Exception | None) -> None:
            super().connection_lost(error)
            closed.set()

    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    transport, protocol = await loop.create_connection(lambda: Protocol(reader), "127.0.0.1", port)
    connection._reader, connection._writer = reader, asyncio.StreamWriter(transport, protocol, reader, loop)
    connection._versions = {3: (0, 5)}
    connection._read_task = asyncio.create_task(closed.wait())
    transport.abort()
    await closed.wait()
    try:
        await connection.send(MetadataRequest(topics=[]))
    finally:
        server.close()


def run(loop_of: Callable[[], asyncio.AbstractEventLoop], kind: type[conn.AIOKafkaConnection]) -> None:
    with asyncio.Runner(loop_factory=loop_of) as runner:
        runner.run(write_to_a_closed_transport(kind))


def test_on_uvloop_a_closed_transport_is_an_error_that_aiokafka_knows() -> None:
    with pytest.raises(KafkaConnectionError, match="is closed"):
        run(uvloop.new_event_loop, ClosingConnection)


def test_aiokafka_alone_raises_what_ends_its_fetch_loop() -> None:
    """When this fails, aiokafka or uvloop is mended and our class can go."""
    with pytest.raises(RuntimeError, match="handler is closed"):
        run(uvloop.new_event_loop, ClosingConnection.__base__)


def test_every_client_makes_connections_of_this_class() -> None:
    survive_closed_connections()
    assert conn.AIOKafkaConnection is ClosingConnection
    assert conn.AIOKafkaProtocol is NotingProtocol
