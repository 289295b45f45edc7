"""The offsets that a consumer delivers next: within a partition they follow each other without a hole."""

from collections import Counter
from enum import Enum, auto

from faust.types import TP

# After a seek, several fetches may still return records that were in memory before it. A record that is still missing
# after this many seeks is not in the log.
MAX_SEEKS_TO_ONE_OFFSET = 3


class Place(Enum):
    """Where a run of records stands, compared with the offset that its partition expects."""

    NOT_READ = auto()
    BELOW = auto()
    NEXT = auto()
    AHEAD = auto()


class Sequence:
    """By source partition that is read: the offset and time that were delivered last, and where reading began.

    `start_offsets`: the first offset that the current assignment reads. It outlives the assignment.
    """

    def __init__(self) -> None:
        self.start_offsets: dict[TP, int] = {}
        self._expected: dict[TP, int] = {}
        self._times: dict[TP, int | None] = {}
        # How many seeks to the expected offset have not yet brought the record at that offset.
        self._seeks: Counter[TP] = Counter()
        self._beginnings: Counter[TP] = Counter()

    def begin(self, tp: TP, offset: int, after: int | None) -> None:
        """Expect this offset first. `after`: the timestamp of the record before it, None when it is not known."""
        self.start_offsets[tp] = self._expected[tp] = offset
        self._times[tp] = after
        self._seeks.pop(tp, None)
        self._beginnings[tp] += 1

    def forget(self) -> None:
        """Expect nothing until the partitions begin again."""
        self._expected.clear()
        self._seeks.clear()

    def skip_to(self, tp: TP, offset: int) -> None:
        """Expect a later offset: the log begins there now."""
        self.start_offsets[tp] = self._expected[tp] = offset

    def partitions(self) -> frozenset[TP]:
        """The partitions that are read."""
        return frozenset(self._expected)

    def expected(self, tp: TP) -> int | None:
        """The offset that is delivered next; None for a partition that is not read."""
        return self._expected.get(tp)

    def time_before(self, tp: TP) -> int | None:
        """The timestamp of the record before the expected offset; None when it is not known."""
        return self._times.get(tp)

    def beginning(self, tp: TP) -> int:
        """A number that changes whenever the partition begins to be read, or to be read again."""
        return self._beginnings[tp]

    def place(self, tp: TP, first: int) -> Place:
        """Where a run stands whose first record has this offset."""
        expected = self._expected.get(tp)
        if expected is None:
            return Place.NOT_READ
        if first < expected:
            return Place.BELOW
        return Place.AHEAD if first > expected and self.may_seek(tp) else Place.NEXT

    def deliver(self, tp: TP, last: int, timestamp: int) -> None:
        """A run was delivered, whose last record has this offset and timestamp."""
        self._expected[tp], self._times[tp] = last + 1, timestamp
        self._seeks.pop(tp, None)

    def may_seek(self, tp: TP) -> bool:
        """Whether another seek to the expected offset may still bring the record there."""
        return self._seeks[tp] < MAX_SEEKS_TO_ONE_OFFSET

    def note_seek(self, tp: TP) -> None:
        """A seek to the expected offset begins."""
        self._seeks[tp] += 1
