"""Stopping a consumer never ends the task that stops it, nor hides why it does."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from signalflow.errors import Retryable
from signalflow.kafka import clients, stopping
from signalflow.kafka.offsets import end_offsets
from signalflow.kafka.reader import read_range
from signalflow.kafka.stopping import stop_consumer
from signalflow.settings import Settings


async def own_cancellation() -> None:
    """As aiokafka's fetcher does: it cancels a task of its own and awaits it."""
    fetch = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    fetch.cancel()
    await fetch


async def error() -> None:
    raise KafkaConnectionError


async def for_ever() -> None:
    await asyncio.Event().wait()


class Consumer:
    """A consumer that cannot start, and stops as it is told."""

    def __init__(self, stop: Callable[[], Awaitable[None]]) -> None:
        self.stop = stop
        self.is_closed = False
        self._client = self
        self.cluster = self

    def brokers(self) -> set[Any]:
        return set()

    async def start(self) -> None:
        raise KafkaConnectionError

    async def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("stop", [own_cancellation, error, for_ever])
async def test_whatever_stop_does_the_task_goes_on_and_connections_are_closed(
    stop: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "CLOSE_SECONDS", 0.05)
    consumer = Consumer(stop)
    await stop_consumer(consumer)
    assert consumer.is_closed


Use = Callable[[], Awaitable[Any]]
NOBODY = Settings(kafka="127.0.0.1:1")
USES: dict[str, Use] = {
    "a range": lambda: read_range(NOBODY, "topic", 0, 0, 1),
    "end offsets": lambda: end_offsets(NOBODY, [("topic", 0)]),
}


@pytest.mark.parametrize("name", USES)
async def test_who_reads_while_brokers_are_away_hears_that_and_is_not_cancelled(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = Consumer(own_cancellation)
    monkeypatch.setattr(clients, "AIOKafkaConsumer", lambda **_: consumer)
    with pytest.raises(Retryable):
        await USES[name]()
    assert consumer.is_closed
