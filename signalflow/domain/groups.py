"""Groups: subreddits that share one listing request, how many fit into one, and how quickly new posts arrive. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.subreddits import Priority

# Reddit answers 414 (URI too long) somewhere between 468 and 936 names; 120 names and 2 kB keep far from it. The 115
# default subreddits fit into one request.
MAX_NAMES = 120
MAX_URL_NAMES = 1900
# Time constants of the rate estimate, in seconds: it follows a rise three times faster than a fall. New posts are
# counted over at least 30 s (a bin), so that single posts do not look like a rise.
RATE_MEMORY_UP, RATE_MEMORY_DOWN, RATE_BIN = 200.0, 600.0, 30.0


@dataclass(slots=True, eq=False)
class Group:
    """Subreddits that share one listing request. A page is proven complete when it reaches all `anchors`.

    `max_interval` is the shortest `interval_seconds` of its members, and an upper bound of `interval`. `is_temporary`:
    the group is half of a halved group, or an excluded subreddit that is tried again. `is_answered`: Reddit has
    answered its listing at least once. `failures` counts polls in a row that had no answer; the last one, of this group
    or of the one that it is half of, was at `failed_at`. `is_refused`: Reddit refused the group that it is half of.
    `is_emptied`: the listing of that group was empty, though posts of its subreddits were known.
    `gap` is a gap whose upper end is unknown: the next page that is published in full sets it, or proves that nothing
    is missing. `rate` is in posts per second; `latest_rate` is that of the last poll alone, inf if it overflowed.
    """

    priority: Priority
    names: tuple[str, ...]
    max_interval: float
    due: float
    anchors: tuple[Anchor, ...] = ()
    rate: float = 0.0
    latest_rate: float = math.inf
    polled_at: float = -math.inf
    bin_start: float = -math.inf
    bin_count: int = 0
    failures: int = 0
    failed_at: float = math.inf
    is_temporary: bool = False
    is_refused: bool = False
    is_emptied: bool = False
    is_answered: bool = False
    gap: Gap | None = None
    interval: float = 0.0

    def count(self, new: int, now: float, *, overflowed: bool) -> None:
        """Count `new` posts since the last poll. An overflow raises the rate at once, about halving the interval."""
        since_poll, self.polled_at = now - self.polled_at, now
        self.latest_rate = math.inf if overflowed or since_poll <= 0 else new / since_poll
        if self.bin_start == -math.inf:
            # The first page also shows posts that were created long before polling began.
            self.bin_start = now
            return
        self.bin_count += new
        elapsed = now - self.bin_start
        if overflowed and since_poll > 0:
            self.rate = max(self.rate, new / since_poll)
        elif elapsed >= RATE_BIN:
            seen = self.bin_count / elapsed
            memory = RATE_MEMORY_UP if seen > self.rate else RATE_MEMORY_DOWN
            self.rate += (seen - self.rate) * (1.0 - math.exp(-elapsed / memory))
        else:
            return
        self.bin_start, self.bin_count = now, 0

    @property
    def rate_upper(self) -> float:
        """Upper bound of new posts per second: the estimate plus two standard deviations.

        The standard deviation is computed for a Poisson count over the time constant of the estimate.
        """
        return self.rate + 2.0 * math.sqrt(self.rate / RATE_MEMORY_UP)


def split_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The names in as few parts of about equal length as possible, each short enough for one URL."""
    count = max(1, math.ceil(len(names) / MAX_NAMES))
    while True:
        size = max(1, math.ceil(len(names) / count))
        parts = [tuple(names[start : start + size]) for start in range(0, len(names), size)]
        if all(len("+".join(part)) <= MAX_URL_NAMES for part in parts) or size == 1:
            return parts
        count += 1
