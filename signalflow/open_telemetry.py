"""Spans for a collector of OpenTelemetry. Only `tracing` imports this, when it is used: it needs the extra `otel`."""

from collections.abc import Collection
from contextlib import AbstractContextManager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

# As W3C Trace Context names it.
FIELD = "traceparent"
# A batch may hold records of more requests; the others are not linked.
MOST_LINKS = 128
SEND_SECONDS = 5.0


def to_collector(endpoint: str) -> SpanProcessor:
    """Sends spans to this URL by a thread of its own. What waits is bounded: the rest is dropped."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=SEND_SECONDS))


class OpenTelemetry:
    """The traces of one process."""

    def __init__(self, processor: SpanProcessor, worker: str) -> None:
        resource = Resource.create({"service.name": "signalflow", "service.instance.id": worker})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("signalflow")

    def request(self, kind: str) -> AbstractContextManager[Span]:
        """A request to Reddit, and what is done with its answer."""
        return self._tracer.start_as_current_span(f"reddit {kind}", kind=SpanKind.CLIENT)

    def batch(self, agent: str, records: int, contexts: Collection[bytes]) -> AbstractContextManager[Span]:
        """A batch of an agent, linked to the requests whose contexts its records carry. Others' headers may be junk."""
        found = [_linked(context) for context in sorted(contexts)[:MOST_LINKS]]
        return self._tracer.start_as_current_span(
            agent,
            kind=SpanKind.CONSUMER,
            links=[link for link in found if link.context.is_valid],
            attributes={"messaging.batch.message_count": records},
        )

    def context(self) -> bytes | None:
        """The context of the span that this task is in; None outside of one."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier[FIELD].encode() if FIELD in carrier else None

    def close(self) -> None:
        """Send what waits, for a few seconds."""
        self._provider.shutdown()


def _linked(context: bytes) -> Link:
    read = TraceContextTextMapPropagator().extract({FIELD: context.decode("ascii", "replace")})
    return Link(get_current_span(read).get_span_context())
