"""How far a worker wrote the logs: what the brokers confirmed, and which logs have lost some of it since."""

from collections.abc import Mapping, Sequence

from signalflow.domain.positions import Position, further, takes_the_place
from signalflow.kafka.producer import Span


class Written:
    """The last confirmed record of each partition that a worker wrote, and those that were replaced since."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, int], Position] = {}
        self._overwritten: set[tuple[str, int]] = set()

    def note(self, topic: str, confirmed: Mapping[int, Sequence[Span]]) -> None:
        """The brokers confirmed these batches, which are in offset order within a partition."""
        for partition, spans in confirmed.items():
            for span in spans:
                known = self._ends.get((topic, partition))
                if known is not None and takes_the_place(span.first, span.timestamp, known):
                    self._overwritten.add((topic, partition))
                self.know(topic, partition, Position(span.last + 1, None, span.timestamp))

    def know(self, topic: str, partition: int, end: Position) -> None:
        """Records before this position were confirmed, to whomever."""
        self._ends[topic, partition] = further(self._ends.get((topic, partition)), end)

    def end(self, topic: str, partition: int) -> Position | None:
        """The position after the last confirmed record; None when none is known."""
        return self._ends.get((topic, partition))

    def is_overwritten(self, topic: str, partition: int) -> bool:
        """Whether new records have the offsets of confirmed ones: then the log has lost these."""
        return (topic, partition) in self._overwritten

    def forget(self, topic: str, partition: int) -> None:
        """What was written there so far is no longer of interest."""
        self._ends.pop((topic, partition), None)
        self._overwritten.discard((topic, partition))
