"""Which time of a subreddit is covered, and how many of its posts we saw. Pure; times in epoch seconds.

Time is covered when it lies between the first and the last poll of the subreddit, and in no gap that is still open or
was closed without reaching its end. It does not matter whether anybody polled at that moment: a later page that reaches
back proves that nothing is missing. What lies outside of the polls is unknown, and unknown is not covered.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from signalflow.domain.gaps import Outcome
from signalflow.domain.overlap import UNSETTLED

# A stretch of time: its begin, inclusive, and its end, exclusive.
Span = tuple[float, float]
# Reddit's times are whole seconds. A post of the same second as the newest missing one may be missing too.
SECOND = 1.0
# As many seconds on each side of a gap tell how quickly posts came, or as many as the gap has if that is more. A side
# with less covered time than the second number tells nothing: a single post would look like a flood.
SHORTEST_SIDE = 300.0
LEAST_COVERED = 150.0


@dataclass(frozen=True, slots=True)
class Followed:
    """A subreddit, and when its listings were followed: from `since` until its last poll, None if never.

    `refused_since`: since when Reddit refuses it, or gives no answer for it.
    """

    name: str
    since: float | None = None
    polled_at: float | None = None
    refused_since: float | None = None

    @property
    def known(self) -> Span:
        """The time of which the polls and the gaps tell everything; empty if it was never polled."""
        if self.since is None or self.polled_at is None:
            return (math.inf, math.inf)
        until = self.polled_at - UNSETTLED
        return (self.since, until if self.refused_since is None else min(until, self.refused_since))


@dataclass(frozen=True, slots=True)
class UnprovenGap:
    """A gap of the ledger in which posts may be missing: created after `since`, and up to `until` where it is known.

    `outcome` is None while the gap is open.
    """

    record: int
    subreddits: tuple[str, ...]
    since: float
    until: float | None
    opened_at: float
    closed_at: float | None
    outcome: Outcome | None
    pages: int = 0

    def span(self, now: float) -> Span:
        """The time of which posts may be missing. It is not shorter than the truth."""
        if self.until is not None:
            return (self.since, self.until + SECOND)
        return (self.since, now if self.closed_at is None else self.closed_at)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time without proof, and the covered time before and after it, whose posts tell how many came meanwhile."""

    span: Span
    sides: tuple[tuple[Span, ...], tuple[Span, ...]]

    def missing(self, seen: int, seen_beside: tuple[int, int]) -> float | None:
        """How many posts are missing by an estimate; None when too little time beside the stretch is covered.

        `seen` of its posts were seen, and `seen_beside` before and after it. The higher rate of the two sides is taken
        for the stretch: a gap that could not be read is one in which many posts came.
        """
        sides = zip(seen_beside, map(length, self.sides), strict=True)
        rates = [posts / seconds for posts, seconds in sides if seconds >= LEAST_COVERED]
        if not rates:
            return None
        return max(max(rates) * (self.span[1] - self.span[0]) - seen, 0.0)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The covered time of a subreddit, and the stretches in which posts may be missing. All other time is unknown."""

    covered: tuple[Span, ...]
    stretches: tuple[Stretch, ...]

    @classmethod
    def of(cls, followed: Followed, gaps: Iterable[UnprovenGap], now: float) -> "Timeline":
        """The timeline that follows from the polls and from the gaps that name the subreddit in any case."""
        key = followed.name.lower()
        holes = united(gap.span(now) for gap in gaps if key in (name.lower() for name in gap.subreddits))
        covered = without(followed.known, holes)
        return cls(covered, tuple(Stretch(hole, _sides(hole, covered)) for hole in holes))


@dataclass(frozen=True, slots=True)
class Cell:
    """Part of the time of a subreddit: how many seconds are covered, missing and unknown, and its posts.

    `missing_posts` is an estimate, None where there is none.
    """

    covered: float
    missing: float
    unknown: float
    posts: int = 0
    missing_posts: float | None = 0.0

    @property
    def seconds(self) -> float:
        """How long the part is."""
        return self.covered + self.missing + self.unknown

    @property
    def posts_share(self) -> float | None:
        """The estimated share of posts that we saw; None if nothing tells it."""
        if self.missing_posts is None or not self.covered + self.missing:
            return None
        if not self.posts + self.missing_posts:
            return 1.0 if not self.missing else None
        return self.posts / (self.posts + self.missing_posts)

    def __add__(self, other: "Cell") -> "Cell":
        missing_posts = (
            None
            if self.missing_posts is None or other.missing_posts is None
            else self.missing_posts + other.missing_posts
        )
        return Cell(
            self.covered + other.covered,
            self.missing + other.missing,
            self.unknown + other.unknown,
            self.posts + other.posts,
            missing_posts,
        )


def cell_of(timeline: Timeline, part: Span, posts: int, missing: Sequence[float | None]) -> Cell:
    """What a part of the timeline holds: `posts` seen, and of each stretch its estimate of `missing` posts, by time."""
    covered = length(within(span, part) for span in timeline.covered)
    lost_seconds = 0.0
    lost_posts: float | None = 0.0
    for stretch, estimate in zip(timeline.stretches, missing, strict=True):
        shared = length([within(stretch.span, part)])
        if not shared:
            continue
        lost_seconds += shared
        if lost_posts is not None:
            share = shared / (stretch.span[1] - stretch.span[0])
            lost_posts = None if estimate is None else lost_posts + estimate * share
    return Cell(covered, lost_seconds, max(part[1] - part[0] - covered - lost_seconds, 0.0), posts, lost_posts)


def _sides(hole: Span, covered: tuple[Span, ...]) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    side = max(hole[1] - hole[0], SHORTEST_SIDE)
    before, after = (hole[0] - side, hole[0]), (hole[1], hole[1] + side)
    return _parts(covered, before), _parts(covered, after)


def _parts(spans: Iterable[Span], part: Span) -> tuple[Span, ...]:
    return tuple(shared for span in spans if (shared := within(span, part))[0] < shared[1])


def united(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same time in spans that do not touch, in order."""
    parts: list[Span] = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if parts and begin <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(parts[-1][1], end))
        else:
            parts.append((begin, end))
    return tuple(parts)


def without(span: Span, holes: Iterable[Span]) -> tuple[Span, ...]:
    """What is left of a span without the holes, which are in order and do not touch."""
    left: list[Span] = []
    begin, end = span
    for hole in holes:
        if begin < min(hole[0], end):
            left.append((begin, min(hole[0], end)))
        begin = max(begin, hole[1])
    if begin < end:
        left.append((begin, end))
    return tuple(left)


def within(span: Span, part: Span) -> Span:
    """The time that both have; it is empty, and its end not after its begin, where they have none."""
    return (max(span[0], part[0]), min(span[1], part[1]))


def length(spans: Iterable[Span]) -> float:
    """The seconds of spans that do not overlap."""
    return sum(max(end - begin, 0.0) for begin, end in spans)
