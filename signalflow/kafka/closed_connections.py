"""Makes aiokafka survive a write to a network connection that has just closed."""

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class ClosingConnection(AIOKafkaConnection):
    """A connection that reports a closed transport as aiokafka expects.

    asyncio ignores a write to a closed transport, uvloop raises RuntimeError. aiokafka 0.14 expects OSError only. A
    RuntimeError ends its fetch loop for good without an error to the caller, and no partition is read until the process
    starts again.
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """See AIOKafkaConnection. Raises KafkaConnectionError when the connection is closed."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} is closed: {error}") from error


def survive_closed_connections() -> None:
    """Let every client of aiokafka in this process use ClosingConnection."""
    conn.AIOKafkaConnection = ClosingConnection
