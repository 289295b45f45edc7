"""Makes aiokafka survive network connections that have just closed, or from which nothing comes any more."""

import asyncio
import weakref
from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, AIOKafkaProtocol, CloseReason
from aiokafka.errors import KafkaConnectionError

from signalflow.clock import steady

# A connection is given up when nothing came for so many seconds, though a broker answers such a request at once.
SILENT_SECONDS = 8.0
# Fetch, ListOffsets, Metadata, OffsetCommit, OffsetFetch, FindCoordinator, Heartbeat, ApiVersions. The others may wait
# for other members of the group, or for other brokers.
ANSWERED_AT_ONCE = frozenset({1, 2, 3, 8, 9, 10, 12, 18})


class NotingProtocol(AIOKafkaProtocol):
    """Notes when data came. aiokafka's connection makes one of these."""

    received_at = 0.0

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.received_at = steady()
        super().data_received(data)


class ClosingConnection(AIOKafkaConnection):
    """A connection that reports a closed transport as aiokafka expects, and gives up one that is half open.

    asyncio ignores a write to a closed transport, uvloop raises RuntimeError. aiokafka 0.14 expects OSError only. A
    RuntimeError ends its fetch loop for good without an error to the caller, and no partition is read until the process
    starts again.

    A connection that the network forgot looks open. aiokafka's requests on it fail after `request_timeout_ms`, which
    must be longer than a rebalance may last; for that long its partitions would stand still.
    """

    # When the oldest request that waits for its answer was first seen, and its number.
    _oldest: tuple[int, float] | None = None

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """See AIOKafkaConnection. Raises KafkaConnectionError when the connection is closed."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} is closed: {error}") from error

    def _create_reader_task(self) -> asyncio.Task[None]:
        self._look_later(weakref.ref(self))
        reading: asyncio.Task[None] = super()._create_reader_task()
        return reading

    @staticmethod
    def _look_later(reference: "weakref.ref[ClosingConnection]") -> None:
        def look() -> None:
            connection = reference()
            if connection is not None and connection.connected():
                connection._close_if_silent(steady())
                connection._look_later(reference)

        asyncio.get_running_loop().call_later(SILENT_SECONDS / 4, look)

    def _close_if_silent(self, now: float) -> None:
        # Answers come in the order of the requests.
        if not self._requests:
            self._oldest = None
            return
        number, request, _ = self._requests[0]
        if self._oldest is None or self._oldest[0] != number:
            self._oldest = (number, now)
        heard_at = max(self._oldest[1], self._protocol.received_at)
        if request is not None and request.API_KEY in ANSWERED_AT_ONCE and now - heard_at >= SILENT_SECONDS:
            self.close(reason=CloseReason.CONNECTION_TIMEOUT)


def survive_closed_connections() -> None:
    """Let every client of aiokafka in this process use ClosingConnection."""
    conn.AIOKafkaConnection = ClosingConnection
    conn.AIOKafkaProtocol = NotingProtocol
