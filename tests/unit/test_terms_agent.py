"""The handler of terms: bursts are confirmed before the values, and the watermark is the time of the log."""

import pytest

from agents.terms import handler_of_terms
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.enrichment import microseconds
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.signal_events import decode_signal
from signalflow.streams.batch_loop import Ownership
from signalflow.streams.watermarks import Watermarks
from signalflow.term_detection import WATCH_KEY
from tests.unit.streams.fakes import FakeApp, Record
from tests.unit.test_signals_agent import Brokers, Table, batch
from tests.unit.test_term_detection import MINUTE, NOW, TERMS, burst, mention, record

NAMES = TopicNames.of(Settings())
LOG = [
    record(mention(0, "first"), 0, TERMS[1]),
    Record(1, NAMES.term_inputs, key=TERMS[0].encode(), value=b"no json"),
    *(record(each, 2 + n) for n, each in enumerate(burst())),
]


@pytest.mark.parametrize("size", [1, 3, 6])
async def test_a_burst_is_confirmed_before_the_values_and_a_redelivery_tells_none(size: int) -> None:
    brokers, watermarks = Brokers(), Watermarks()
    table = Table(brokers)
    dead_letters = DeadLetters(Settings(), brokers, "w")  # type: ignore[arg-type]
    handler = handler_of_terms(Settings(), table, brokers, dead_letters, watermarks)  # type: ignore[arg-type]
    for _ in range(2):
        for begin in range(0, len(LOG), size):
            await handler.commit(await handler.prepare(batch(*LOG[begin : begin + size])), Ownership(FakeApp(), 1))
    [sent] = brokers.records[NAMES.signals]
    assert (sent.key, decode_signal(sent.value or b"").observed) == (TERMS[0].encode(), 4)
    assert brokers.journal[brokers.journal.index(NAMES.signals) + 1] == "state"
    assert [each.value for each in brokers.records[NAMES.posts_dlq]] == [b"no json"] * 2
    assert set(table.values) == {TERMS[0].encode(), WATCH_KEY}
    assert watermarks.of(0) == microseconds(NOW + 1003.1 * MINUTE)
