"""Connections to Kafka that end while something is written to them."""

from typing import Any

from aiokafka import conn
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError


class Connection(AIOKafkaConnection):
    """A connection whose writes fail as aiokafka expects.

    Of a transport that was closed asyncio says nothing, and uvloop raises RuntimeError. aiokafka 0.14 knows OSError only: with the other its
    fetch loop ends for good, without a word to its user, and the partitions stand still until the process is started anew.
    """

    def send(self, request: Any, expect_response: bool = True) -> Any:
        """See AIOKafkaConnection. Raises KafkaConnectionError when the connection is closed."""
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            self.close(reason=CloseReason.CONNECTION_BROKEN)
            raise KafkaConnectionError(f"Connection at {self.host}:{self.port} is closed: {error}") from error


def use_our_connections() -> None:
    """Let every client of aiokafka in this process make such connections."""
    conn.AIOKafkaConnection = Connection
