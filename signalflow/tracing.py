"""Traces from a request to Reddit to the rows that came of it. Nothing happens, and nothing is imported, unless begun.

A request to Reddit is a span. Its context travels in the header `traceparent` of each record that is published of its
answer, and of each record that an agent makes from it. A batch of an agent is a span that is linked to the requests
whose records are in it: it has records of many requests, so it is part of none of their traces.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from signalflow.errors import Fatal
from signalflow.lineage import TRACE_HEADER


class Traces(Protocol):
    """What makes spans."""

    def request(self, kind: str) -> AbstractContextManager[object]: ...
    def batch(self, agent: str, records: int, contexts: Collection[bytes]) -> AbstractContextManager[object]: ...
    def context(self) -> bytes | None: ...
    def close(self) -> None: ...


class Traced(Protocol):
    """A record with headers."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class _Process:
    """The traces of this process; None while it makes none."""

    traces: Traces | None = None


def begin(endpoint: str, worker: str) -> None:
    """Send the spans of this process to a collector; to none with an empty `endpoint`.

    Raises Fatal when the packages for it are not installed.
    """
    if not endpoint:
        use(None)
        return
    try:
        from signalflow.open_telemetry import OpenTelemetry, to_collector  # they take a third of a second
    except ImportError as error:
        raise Fatal(f"SIGNALFLOW_OTLP_ENDPOINT needs the extra `otel`: install signalflow[otel] ({error})") from error
    use(OpenTelemetry(to_collector(endpoint), worker))


def use(traces: Traces | None) -> None:
    """Make the spans of this process with these traces."""
    _Process.traces = traces


def end() -> None:
    """Send what waits, for a few seconds, and make no more spans."""
    traces, _Process.traces = _Process.traces, None
    if traces is not None:
        traces.close()


def request(kind: str) -> AbstractContextManager[object]:
    """A request to Reddit, and what is done with its answer."""
    return nullcontext() if _Process.traces is None else _Process.traces.request(kind)


def batch(agent: str, records: Iterable[Traced]) -> AbstractContextManager[object]:
    """A batch of an agent, linked to the requests whose answers its records are of."""
    if _Process.traces is None:
        return nullcontext()
    headers = [record.headers for record in records]
    contexts = {value for some in headers for name, value in some if name == TRACE_HEADER and value}
    return _Process.traces.batch(agent, len(headers), contexts)


def headers() -> list[tuple[str, bytes]]:
    """The header that tells of which request a record is; none outside of a request."""
    context = None if _Process.traces is None else _Process.traces.context()
    return [] if context is None else [(TRACE_HEADER, context)]
