"""Two defects of Faust's streams: an exception acknowledges its record, and `take` hangs after an exception.

The tests use real streams. Like test_races.py they also run unmodified Faust: when that no longer loses the record,
Faust has repaired the defect.
"""

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types.tuples import ConsumerMessage

from signalflow.errors import Fatal
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_consumer import Consumer
from tests.unit.streams.fakes import Record

ROOT = Path(__file__).parents[3]
DEADLINE = 10.0


class Failing:
    """A handler whose commit raises Fatal."""

    async def prepare(self, batch: Batch) -> Batch:
        return batch

    async def commit(self, work: Batch, owned: Ownership) -> None:
        raise Fatal("the schema is unknown")


def make_consumer(app: faust.App) -> Any:
    """Faust's own."""

    async def nothing(*args: Any, **kwargs: Any) -> None: ...

    return Consumer(
        app.transport, callback=nothing, on_partitions_revoked=nothing, on_partitions_assigned=nothing, loop=app.loop
    )


async def by_our_loop(app: faust.App, stream: Any) -> None:
    await run_batch_loop(app, stream, Failing(), Gathering(10, 10, 0.01), name="test")


async def by_faust(app: faust.App, stream: Any) -> None:
    async for _ in stream.events():
        raise Fatal("the schema is unknown")


@pytest.mark.parametrize(("reading", "acknowledged"), [(by_our_loop, []), (by_faust, [7])])
async def test_an_exception_never_acknowledges_the_record_that_raised_it(
    reading: Callable[[faust.App, Any], Awaitable[None]], acknowledged: list[int]
) -> None:
    app = faust.App("streams", broker="kafka://127.0.0.1:9", store="memory://")
    app.loop = asyncio.get_running_loop()
    app.flow_control.resume()
    app.topics._acking_topics.add("raw")
    consumer = make_consumer(app)
    consumer.contiguity_guard = False  # The message is a single record, as Faust delivers it.
    app._consumer = consumer
    channel = app.channel(value_type=bytes)
    record = Record(7)
    message: Any = ConsumerMessage("raw", 0, 7, 0.0, 0, {}, None, record.value, None)
    message.generation_id = app.consumer_generation_id
    message.incref()
    stream = app.stream(channel)
    try:
        await channel.put(faust.Event(app, None, message.value, {}, message))
        async with asyncio.timeout(DEADLINE):
            with pytest.raises(Fatal):
                await reading(app, stream)
        await asyncio.sleep(0)
    finally:
        await stream.stop()
    assert consumer._acked[message.tp] == acknowledged


def test_no_agent_uses_take() -> None:
    """After an exception in its body, `take` waits for itself for ever, or acknowledges the batch."""
    for folder in ("signalflow/streams", "agents", "tables"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not used & {"take", "take_events", "take_with_timestamp", "noack_take"}, path
