"""Headers that link a record to the dead letter that it replays, and to the request that it is of."""

from collections.abc import Collection, Sequence

# The headers that a replay adds to a record, and the one that tells of which request it is (tracing.py). Agents copy
# them to what they make from it.
ATTEMPT_HEADER = "attempt"
ORIGIN_HEADER = "dlq_of"
TRACE_HEADER = "traceparent"
_LINKS = (ATTEMPT_HEADER, ORIGIN_HEADER, TRACE_HEADER)
# These are short. Longer ones are of another program, and a record that is made from their record could become too
# large for its topic.
MOST_LINK_BYTES = 100


def lineage(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    """The headers that link a replayed record to its dead letter, and a record to the request that it is of."""
    return _links(headers, _LINKS)


def trace_of(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    """The header that links a record to the request that it is of. For what says nothing of a dead letter's fate."""
    return _links(headers, (TRACE_HEADER,))


def _links(headers: Sequence[tuple[str, bytes | None]], names: Collection[str]) -> list[tuple[str, bytes]]:
    links: dict[str, bytes] = {}
    for name, value in headers:
        if name in names:
            links.setdefault(name, value or b"")
    return [(name, links[name]) for name in names if name in links and len(links[name]) <= MOST_LINK_BYTES]


def attempt_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """How often a record was tried, from its `attempt` header; 1 without this header or if it is not a number."""
    for name, value in headers:
        if name == ATTEMPT_HEADER and value.isdigit():
            return max(int(value[:9]), 1)
    return 1
