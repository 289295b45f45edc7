"""The last guard against silent loss: it stops the worker when an offset was skipped."""

from collections.abc import Mapping

from faust.types import TP

from signalflow.errors import Fatal
from signalflow.metrics import HOLES
from signalflow.streams.faust_types import RunMessage


class ContiguityGuard:
    """Checks that no offset is skipped within a partition and a generation of the assignment."""

    def __init__(self, start_offsets: Mapping[TP, int]) -> None:
        self._start_offsets = start_offsets
        self._generation = -1
        # By partition: the start offset that counted last, and the offset that is due.
        self._next: dict[TP, tuple[int | None, int]] = {}

    def admit(self, message: RunMessage) -> None:
        """Raises Fatal when an offset was skipped. A lower offset than expected is a redelivery and passes."""
        if message.generation_id != self._generation:
            self._generation, self._next = message.generation_id, {}
        # The start offset changes when retention has removed records, or when the partition was rewound. The consumer
        # has reported both.
        start = self._start_offsets.get(message.tp)
        counted, due = self._next.get(message.tp, (None, None))
        expected = due if counted == start else start
        first = message.value[0].offset
        if expected is not None and first > expected:
            HOLES.inc()
            raise Fatal(
                f"{message.tp.topic}[{message.tp.partition}]: expected offset {expected}, but got {first}. The worker "
                "stops, so that a restart reads the skipped records from the last committed offset on. If the topic "
                "has lost them, start once with SIGNALFLOW_CONTIGUITY_GUARD=false"
            )
        self._next[message.tp] = start, max(message.offset + 1, expected or 0)
