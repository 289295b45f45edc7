"""Which subreddits share a listing request, how often each group is polled, and what happens when one of them spoils it. Pure.

Groups come from the priorities. A group whose listing is refused is halved until the culprit stands alone; the culprit is set aside and tried
again hourly, and the rest is put together again.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signalflow.domain.backoff import Backoff
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.subreddits import PRIORITIES, Priority

# Seconds between two polls of a group of this priority, with three groups at 20 listing requests a minute (12 + 6 + 2).
POLL_SECONDS: dict[Priority, float] = {"fast": 5.0, "medium": 10.0, "slow": 30.0}
SHORTEST_INTERVAL = 1.0
# Reddit answers 414 somewhere between 468 and 936 names; 80 names and 2 kB keep far from it.
MAX_NAMES = 80
MAX_URL_NAMES = 1900
# A page holds 100 posts; with a mean of 55 new ones the chance of an overflow is 2e-8 (Poisson tail), so poll before 55 are expected.
MAX_EXPECTED_NEW = 55.0
# The rate follows a rise three times faster than a fall, in seconds; polls are counted in bins of at least 30 s, so that single posts do not look like a rise.
RATE_MEMORY_UP, RATE_MEMORY_DOWN, RATE_BIN = 200.0, 600.0, 30.0
RETRY_UNAVAILABLE = 3600.0
LONGEST_RETRY = 60.0
# When nothing at all is left to poll, the fault is hardly that of every subreddit.
RETRY_WHEN_ALL_GONE = 60.0


@dataclass(frozen=True, slots=True)
class Subreddit:
    """A subreddit to watch. `interval_seconds` is an upper bound on how late it is looked at; it is polled more often where the budget allows.

    `polled_at`: when an earlier poller last had all that its listing showed confirmed; None when it never told.
    """

    name: str
    interval_seconds: float
    priority: Priority
    polled_at: float | None = None

    @property
    def polling_priority(self) -> Priority:
        """Its priority, or a faster one if its interval asks for that."""
        slower_or_equal = PRIORITIES[: PRIORITIES.index(self.priority) + 1]
        return next((p for p in reversed(slower_or_equal) if POLL_SECONDS[p] <= self.interval_seconds), "fast")


@dataclass(slots=True, eq=False)
class Group:
    """Subreddits that share one listing request. `anchors` must all be reached by a page to prove it complete.

    `gap` is the gap whose upper end waits for a page of this group to be published in full. Rates are posts per second.
    """

    priority: Priority
    names: tuple[str, ...]
    longest: float
    due: float
    anchors: tuple[Anchor, ...] = ()
    rate: float = 0.0
    polled_at: float = -math.inf
    bin_start: float = -math.inf
    bin_count: int = 0
    failures: int = 0
    is_fragment: bool = False
    is_sound: bool = False
    gap: Gap | None = None
    interval: float = 0.0

    def count(self, new: int, now: float, *, overflowed: bool) -> None:
        """Take note of `new` posts since the last poll; an overflow raises the rate at once, which about halves the interval."""
        since_poll, self.polled_at = now - self.polled_at, now
        if self.bin_start == -math.inf:
            # The first page shows a whole listing, not what came since a poll.
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
        """Upper bound of the arrivals per second: the estimate and two standard deviations of a Poisson count over its memory."""
        return self.rate + 2.0 * math.sqrt(self.rate / RATE_MEMORY_UP)


@dataclass(slots=True)
class _Absent:
    """A subreddit that is polled by itself from `retry_at` on, until an answer lets it join the others."""

    retry_at: float
    anchors: tuple[Anchor, ...]


def split_names(names: Sequence[str]) -> list[tuple[str, ...]]:
    """The names in as few runs of about equal length as fit into one URL each."""
    count = max(1, math.ceil(len(names) / MAX_NAMES))
    while True:
        size = max(1, math.ceil(len(names) / count))
        runs = [tuple(names[start : start + size]) for start in range(0, len(names), size)]
        if all(len("+".join(run)) <= MAX_URL_NAMES for run in runs) or size == 1:
            return runs
        count += 1


class Watchlist:
    """The groups and their timetable. Names are lower case."""

    def __init__(self, listing_per_minute: float) -> None:
        self._per_minute = listing_per_minute
        self._wanted: dict[str, Subreddit] = {}
        self._absent: dict[str, _Absent] = {}
        self._merge_at = math.inf
        self._culprit_found = False
        self.groups: list[Group] = []
        # Gaps whose group was taken apart while they still waited for their upper end.
        self.orphans: list[Gap] = []

    @property
    def absent(self) -> frozenset[str]:
        """The subreddits set aside: their listing is refused, or has to catch up by itself."""
        return frozenset(self._absent)

    def __contains__(self, name: str) -> bool:
        return name in self._wanted

    def configure(self, subreddits: Iterable[Subreddit], now: float) -> bool:
        """Watch these and no others; returns whether anything changed. What is known of those that stay is kept."""
        wanted = {
            subreddit.name.lower(): Subreddit(subreddit.name.lower(), subreddit.interval_seconds, subreddit.priority)
            for subreddit in subreddits
        }
        if wanted == self._wanted:
            return False
        self._wanted = wanted
        self._absent = {name: absent for name, absent in self._absent.items() if name in wanted}
        self._regroup(now)
        return True

    def set_apart(self, anchors: Mapping[str, tuple[Anchor, ...]], now: float) -> None:
        """Poll each of these by itself first, against its own anchors; they join the others when they are answered."""
        self._absent |= {name: _Absent(now, own) for name, own in anchors.items()}
        self._regroup(now)

    def due(self, now: float) -> Group | None:
        """The group that is latest against its interval, or None when none is due."""
        self._retry_absent(now)
        if now >= self._merge_at:
            self._regroup(now)
        late = [group for group in self.groups if group.due <= now]
        return max(late, key=lambda group: (now - group.due) / group.interval, default=None)

    def next_due(self) -> float:
        """When the next group is due; inf without groups."""
        return min((group.due for group in self.groups), default=math.inf)

    def started(self, group: Group, now: float) -> None:
        """A poll of the group starts: the next one is due an interval later."""
        group.due = now + group.interval

    def succeeded(self, group: Group, now: float) -> None:
        """Its listing was answered."""
        group.failures, group.is_sound = 0, True
        for name in group.names:
            if self._absent.pop(name, None):
                self._culprit_found = True
        self._time()
        self._consider_merging(now)

    def failed(self, group: Group, now: float) -> None:
        """Its poll failed for no fault of its names: it is tried again soon, and later each time, so that others come first."""
        group.failures += 1
        group.due = now + Backoff(group.interval, LONGEST_RETRY).after(group.failures)

    def refused(self, group: Group, now: float) -> None:
        """Its listing is refused (403, 404, redirect): halve it, or set the one subreddit aside."""
        if group not in self.groups:
            return
        self.groups.remove(group)
        self._orphan(group)
        self._merge_at = math.inf
        if len(group.names) == 1:
            self._set_aside(group, now)
        else:
            middle = len(group.names) // 2
            for names in (group.names[:middle], group.names[middle:]):
                half = self._made_of(group.priority, names, [group], now)
                half.is_fragment = True
                self.groups.append(half)
        self._time()
        self._consider_merging(now)

    def _orphan(self, group: Group) -> None:
        if group.gap is not None:
            self.orphans.append(group.gap)
            group.gap = None

    def _set_aside(self, group: Group, now: float) -> None:
        self._absent[group.names[0]] = _Absent(now + RETRY_UNAVAILABLE, group.anchors)
        self._culprit_found = True
        if not self.groups:
            for absent in self._absent.values():
                absent.retry_at = min(absent.retry_at, now + RETRY_WHEN_ALL_GONE)

    def _consider_merging(self, now: float) -> None:
        """When every fragment answers again: merge at once if a culprit was found; if none was, the same would happen again, so wait."""
        fragments = [group for group in self.groups if group.is_fragment]
        if self._merge_at == math.inf and (fragments or self._culprit_found) and all(f.is_sound for f in fragments):
            self._merge_at = now if self._culprit_found else now + RETRY_UNAVAILABLE

    def _retry_absent(self, now: float) -> None:
        for name, absent in self._absent.items():
            if absent.retry_at <= now:
                absent.retry_at = now + RETRY_UNAVAILABLE
                subreddit = self._wanted[name]
                probe = Group(subreddit.polling_priority, (name,), subreddit.interval_seconds, now, absent.anchors)
                probe.is_fragment = True
                self.groups.append(probe)
                self._time()

    def _regroup(self, now: float) -> None:
        """Build the groups anew from the priorities; each new one inherits the anchors, rate and due time of those it was made of."""
        old = self.groups
        for group in old:
            self._orphan(group)
            for name in self._absent.keys() & group.names:
                # Its probe has had no answer yet.
                self._absent[name].retry_at = now
        self._merge_at, self._culprit_found = math.inf, False
        self.groups = []
        for priority in POLL_SECONDS:
            names = sorted(
                n for n, sub in self._wanted.items() if sub.polling_priority == priority and n not in self._absent
            )
            self.groups += [self._made_of(priority, run, old, now) for run in split_names(names)]
        self._time()
        self._spread(now)

    def _made_of(self, priority: Priority, names: tuple[str, ...], sources: Iterable[Group], now: float) -> Group:
        group = Group(priority, names, min(self._wanted[name].interval_seconds for name in names), now)
        members = set(names)
        anchors: list[Anchor] = []
        for source in sources:
            shared = len(members.intersection(source.names))
            if not shared:
                continue
            group.rate += source.rate * shared / len(source.names)
            group.polled_at = max(group.polled_at, source.polled_at)
            group.bin_start = max(group.bin_start, source.bin_start)
            group.due = min(group.due, source.due)
            anchors += source.anchors
            if source.names == names:
                group.anchors = source.anchors
        if anchors and not group.anchors:
            # Fifty ids of a quiet subreddit are on no page that it shares with busy ones.
            group.anchors = (min(anchors, key=lambda anchor: anchor.since).by_time(),)
        return group

    def _spread(self, now: float) -> None:
        """Groups that are due at the same moment would wait for each other at every poll: a second apart they stay apart."""
        fresh = [group for group in self.groups if group.due <= now]
        for position, group in enumerate(fresh):
            group.due = now + position * SHORTEST_INTERVAL

    def _time(self) -> None:
        """The intervals: the priority's share of the listing budget, bounded by the shortest interval_seconds and by what a page can hold."""
        whole = [group.priority for group in self.groups if not group.is_fragment]
        broken = {group.priority for group in self.groups if group.is_fragment}.difference(whole)
        demand = sum(60.0 / POLL_SECONDS[priority] for priority in [*whole, *broken])
        scale = max(demand, 60.0 / POLL_SECONDS["fast"]) / self._per_minute
        for group in self.groups:
            interval = min(POLL_SECONDS[group.priority] * scale, group.longest)
            if group.rate > 0:
                interval = min(interval, MAX_EXPECTED_NEW / group.rate_upper)
            group.interval = max(interval, SHORTEST_INTERVAL)
