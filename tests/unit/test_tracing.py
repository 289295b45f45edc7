"""Traces: a request to Reddit is found again in the batches of agents that hold what came of it."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from signalflow import tracing
from signalflow.enrichment import Enricher
from signalflow.errors import Fatal
from signalflow.events import Envelope
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.publisher import Publisher
from signalflow.lineage import TRACE_HEADER
from signalflow.open_telemetry import MOST_LINKS, OpenTelemetry
from signalflow.settings import Settings
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from tests.integration.workers import observation
from tests.unit.streams.fakes import FakeApp, FakeStream, Record
from tests.waiting import until

NOW = datetime.now(UTC)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use(OpenTelemetry(SimpleSpanProcessor(exporter), "w1"))
    yield exporter
    tracing.end()


class Producer(ConfirmedProducer):
    """A producer that keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def partitions_of(self, topic: str) -> int:
        return 1

    async def send(self, topic: str, by_partition: Mapping[int, Sequence[Outgoing]]) -> Any:
        self.sent += by_partition[0]
        return {}


class Handler:
    """A handler whose batches are done when they come."""

    async def prepare(self, batch: Batch) -> None: ...

    async def commit(self, work: None, owned: Ownership) -> None: ...


async def published(envelope: Envelope) -> Record:
    producer = Producer()
    await Publisher(producer, "raw").publish([envelope])
    ((key, value, headers),) = producer.sent
    return Record(0, key=key, value=value, timestamp=int(NOW.timestamp() * 1000), headers=tuple(headers))


async def stored_by(agent: str, records: Sequence[Record]) -> None:
    app = FakeApp()
    stream = FakeStream(app)
    stream.push(0, len(records) - 1).message.value[:] = records
    task = asyncio.create_task(run_batch_loop(app, stream, Handler(), Gathering(1, 10, 0.0), name=agent))
    await until(lambda: len(stream.acked) == len(records))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = (span for span in spans.get_finished_spans() if span.name == name)
    return found


async def test_a_request_is_linked_to_the_batch_that_stores_what_came_of_it(spans: InMemorySpanExporter) -> None:
    with tracing.request("listing"):
        raw = await published(observation("a", NOW, created_at=NOW - timedelta(hours=1)))
    other = await published(observation("b", NOW, created_at=NOW - timedelta(hours=1)))
    outputs = [Enricher(Settings()).enrich_record(record, lambda key: None).output for record in (raw, raw, other)]
    enriched = [Record(n, key=out.key, value=out.value, headers=tuple(out.headers)) for n, out in enumerate(outputs)]
    await stored_by("sink", enriched)
    request, sink = named(spans, "reddit listing"), named(spans, "sink")
    assert [link.context.trace_id for link in sink.links] == [request.context.trace_id]
    assert [link.context.span_id for link in sink.links] == [request.context.span_id]
    assert sink.attributes == {"messaging.batch.message_count": 3}
    assert sink.context.trace_id != request.context.trace_id
    assert sink.resource.attributes["service.instance.id"] == "w1"


async def test_headers_of_other_programs_are_no_links_and_links_are_bounded(spans: InMemorySpanExporter) -> None:
    junk = [b"", b"\xff", b"00-0-0-00", b"x" * 1_000]
    real = [f"00-{n:032x}-{n:016x}-01".encode() for n in range(1, 2 * MOST_LINKS)]
    await stored_by("few", [Record(n, headers=((TRACE_HEADER, each),)) for n, each in enumerate([*junk, real[0]])])
    await stored_by("many", [Record(n, headers=((TRACE_HEADER, each),)) for n, each in enumerate(real)])
    assert [link.context.trace_id for link in named(spans, "few").links] == [1]
    assert len(named(spans, "many").links) == MOST_LINKS


async def test_without_a_collector_records_carry_no_context_and_nothing_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "signalflow.open_telemetry", None)
    tracing.begin("", "w1")
    with tracing.request("listing"):
        raw = await published(observation("a", NOW, created_at=NOW))
    assert TRACE_HEADER not in dict(raw.headers)
    await stored_by("sink", [raw])
    tracing.end()


def test_a_collector_without_the_packages_for_it_is_refused_and_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "signalflow.open_telemetry", None)
    with pytest.raises(Fatal, match=r"SIGNALFLOW_OTLP_ENDPOINT.*signalflow\[otel\]"):
        tracing.begin("http://127.0.0.1:4318/v1/traces", "w1")


@pytest.mark.slow
def test_a_collector_that_is_away_holds_up_nothing() -> None:
    tracing.begin("http://127.0.0.1:9/v1/traces", "w1")
    with tracing.request("listing"):
        assert len(tracing.headers()) == 1
    tracing.end()
    assert tracing.headers() == []
