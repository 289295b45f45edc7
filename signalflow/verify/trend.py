"""The trend velocity of one post, by its definition.

It is the difference to the newest earlier observation that is at least the trend window older and the first in its
fifth of a window (fifths are counted from 1970). Before there is one, a post that was first observed at an age below
the window is compared with that first observation, and another one has none. A difference within Reddit's noise is 0.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from signalflow.verify.figures import per_second, without_noise

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Trend:
    """What the log told of a post, as far as later observations are compared with it: times with scores.

    `marks`: the first observations of their fifths, from the newest on that is older than the window.
    """

    first: tuple[datetime, int] | None = None
    marks: list[tuple[datetime, int]] = field(default_factory=list)

    def take(
        self, at: datetime, score: int, created: datetime, window: timedelta, certain_after: datetime | None
    ) -> tuple[float | None, bool]:
        """The trend velocity of an observation that is newer than all before, and whether it is certain.

        `certain_after`: of observations up to this moment some may not have been read; None when all were.
        """
        while len(self.marks) > 1 and self.marks[1][0] <= at - window:
            del self.marks[0]
        mark = self.marks[0] if self.marks and self.marks[0][0] <= at - window else None
        reference = mark
        if mark is None and self.first is not None and self.first[0] < created + window:
            reference = self.first
        certain = (
            certain_after is None
            or (mark is not None and mark[0] - window / 5 > certain_after)
            or (self.first is not None and min(self.first[0], created) > certain_after)
        )
        fifth = window / 5
        if not self.marks or (self.marks[-1][0] - _BEGIN) // fifth != (at - _BEGIN) // fifth:
            self.marks.append((at, score))
        self.first = self.first or (at, score)
        if reference is None:
            return None, certain
        return per_second(reference[1], without_noise(reference[1], score), reference[0], at), certain
