"""Topics asked of brokers that go away."""

from typing import Any

import pytest
from aiokafka.errors import NodeNotReadyError

from signalflow.errors import Retryable
from signalflow.kafka import admin, clients
from signalflow.settings import Settings


class _GoesAway:
    """A client that met a broker which is gone at the first question."""

    closed = False
    _client = None

    def __init__(self, **_: Any) -> None:
        type(self).closed = False

    async def start(self) -> None:
        """A broker answers."""

    async def _send_request(self, request: Any) -> Any:
        """And is gone."""
        raise NodeNotReadyError("Attempt to send a request to node which is not ready")

    async def close(self) -> None:
        """Noted."""
        type(self).closed = True


async def test_a_broker_that_goes_away_between_two_questions_is_retryable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "AIOKafkaAdminClient", _GoesAway)
    with pytest.raises(Retryable, match="does not answer: NodeNotReadyError"):
        await admin.create_topics(Settings(kafka="127.0.0.1:1"))
    assert _GoesAway.closed
