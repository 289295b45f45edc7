"""Which listings by rank (hot, rising, top) to read next, and which ranks are worth publishing. Pure.

They prove nothing: a listing by rank leaves posts out. So they get a small share of the requests, and every other
fetch is more urgent. A combined listing keeps the order of each of its subreddits, so that the rank of a post within
its subreddit is its place among the posts of the same subreddit.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from signalflow.domain.backoff import Backoff
from signalflow.domain.discovery import POPULAR, POPULAR_SORTS, SUBREDDITS_EVERY
from signalflow.domain.known import Seen
from signalflow.domain.once import OnceResult, OnceRun
from signalflow.domain.sorts import NEW
from signalflow.domain.subreddits import Subreddit

# What stands for a sort in Reddit's list of popular subreddits.
SUBREDDITS = "subreddits"
# A page of 100 shows about the first ten of each.
NAMES_A_PAGE = 10
# Seconds between two looks at a listing: ranks of young posts change within minutes, those of a day or longer slowly.
EVERY = {"hot": 300.0, "rising": 180.0, "top:hour": 300.0}
SELDOM = 900.0
# While there is anything else to ask for, so many other requests are made for one of these.
OTHERS_FOR_ONE = 9
# A change of the rank is published for the first places only. Further down ranks change all the time.
RANKS_TOLD = 25
# A rank that stays is published again after this many seconds: otherwise nobody could tell it from a post that left.
REPEAT = 1800.0
# Seconds until a first page is read again because some of its posts had just been published. A post is published at
# most once in five seconds.
FIRST_PAGE_AGAIN = 10.0
# Waits until a listing that was refused, or not answered, is asked for again.
RETRIES = Backoff(first=60.0, most=3600.0)


class Place(NamedTuple):
    """Where a post stands in a listing by rank, 1 at the top. `listing`: the subreddit's name in lower case."""

    listing: str
    rank: int


@dataclass(slots=True, eq=False)
class RankedListing:
    """Subreddits that share one request, in one order. `failures` counts those in a row.

    `every`: seconds between two looks, if not the usual time. `run`: what it is read for once. `was_read`: a page was
    read. `told` has, by the id of each post of the last page, the rank that was published last and when.
    """

    post_sort: str
    names: tuple[str, ...]
    due: float
    failures: int = 0
    every: float | None = None
    run: OnceRun | None = None
    was_read: bool = False
    told: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return self.every or EVERY.get(self.post_sort, SELDOM)

    @property
    def is_popular(self) -> bool:
        """Whether it is of r/popular, which is no subreddit, or of what Reddit calls popular subreddits."""
        return self.names == (POPULAR,)

    def is_news(self, id_: str, place: Place, now: float) -> bool:
        """Whether a post's place is worth an observation."""
        rank, told_at = self.told.get(id_, (None, -math.inf))
        return place.rank <= RANKS_TOLD and (rank != place.rank or now - told_at >= REPEAT)

    def note_told(self, id_: str, place: Place, now: float) -> None:
        """An observation with this place was published."""
        self.told[id_] = (place.rank, now)

    def note_untold(self, now: float) -> None:
        """A place could not be told yet. On the first page that holds for many, so it is read again soon."""
        if not self.was_read:
            self.due = min(self.due, now + FIRST_PAGE_AGAIN)

    def answered(self, shown: Iterable[str], now: float) -> None:
        """The page was read. A post that left it is told when it comes back."""
        self.failures, self.was_read = 0, True
        ids = set(shown)
        self.told = {id_: told for id_, told in self.told.items() if id_ in ids}

    def failed(self, now: float) -> None:
        """There was no answer. The others go first meanwhile."""
        self.failures += 1
        self.due = now + RETRIES.after(self.failures)


def places_of(items: Sequence[Seen]) -> list[Place]:
    """The place of each item of a page, from the top of the listing, within its own subreddit."""
    places: list[Place] = []
    ranks: Counter[str] = Counter()
    for item in items:
        name = item.subreddit.lower()
        ranks[name] += 1
        places.append(Place(name, ranks[name]))
    return places


class RankedListings:
    """The listings by rank of the watched subreddits, and those of what is popular. Names are lower case.

    `discover_every`: seconds between two looks at r/popular; 0: it is not read. `lists_subreddits`: Reddit can be asked
    for its list of popular subreddits. That is read beside r/popular, once an hour at most.
    """

    def __init__(self, discover_every: float = 0.0, *, lists_subreddits: bool = False) -> None:
        self._wanted: dict[str, tuple[str, ...]] = {}
        self._popular = [
            RankedListing(post_sort, (POPULAR,), -math.inf, every=discover_every)
            for post_sort in (POPULAR_SORTS if discover_every else ())
        ]
        if discover_every and lists_subreddits:
            every = max(discover_every, SUBREDDITS_EVERY)
            self._popular.append(RankedListing(SUBREDDITS, (POPULAR,), -math.inf, every=every))
        self._once: list[RankedListing] = []
        self._listings = list(self._popular)
        self._others = 0

    def configure(self, subreddits: Iterable[Subreddit], now: float) -> bool:
        """Read the listings that these subreddits are configured for; returns whether that changed."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for subreddit in subreddits:
            for post_sort in subreddit.post_sorts:
                if post_sort != NEW:
                    names[post_sort].append(subreddit.name.lower())
        wanted = {post_sort: tuple(sorted(names[post_sort])) for post_sort in sorted(names)}
        if wanted == self._wanted:
            return False
        before = {(listing.post_sort, listing.names): listing for listing in self._listings}
        self._wanted, self._listings = wanted, [*self._once, *self._popular]
        for post_sort, members in wanted.items():
            for start in range(0, len(members), NAMES_A_PAGE):
                key = post_sort, members[start : start + NAMES_A_PAGE]
                self._listings.append(before.get(key) or RankedListing(*key, due=now))
        return True

    def begin(self, run: OnceRun) -> None:
        """Read the listings of a run once, each subreddit by itself, before the others."""
        added = [RankedListing(run.post_sort, (name.lower(),), -math.inf, run=run) for name in run.subreddits]
        self._once += added
        self._listings += added

    def end(self, listing: RankedListing, result: OnceResult) -> None:
        """A listing of a run was read, or cannot be."""
        if listing in self._once and listing.run is not None:
            self._once.remove(listing)
            self._listings.remove(listing)
            listing.run.results[listing.names[0]] = result

    @property
    def is_its_turn(self) -> bool:
        """Whether one of them may go before other requests."""
        return self._others >= OTHERS_FOR_ONE

    def note_other(self) -> None:
        """A request for something else was made."""
        self._others += 1

    def next_due(self) -> float:
        """When the next one is due; inf without any."""
        return min((listing.due for listing in self._listings), default=math.inf)

    def take(
        self, now: float, is_readable: Callable[[str], bool], *, with_popular: bool = True
    ) -> RankedListing | None:
        """The listing that has been due for the largest part of its interval; None when none is due.

        It is left out while none of its subreddits can be read.
        """
        due = [each for each in self._listings if each.due <= now and (with_popular or not each.is_popular)]
        while due:
            listing = max(due, key=lambda listing: (now - listing.due) / listing.interval)
            listing.due = now + listing.interval
            if any(is_readable(name) for name in listing.names):
                self._others = 0
                return listing
            due.remove(listing)
        return None

    def refused(self, listing: RankedListing, now: float) -> None:
        """Reddit refuses it because of one of its names: read it in halves until that one is alone."""
        if listing not in self._listings:
            return
        if len(listing.names) == 1:
            listing.failed(now)
            return
        self._listings.remove(listing)
        middle = len(listing.names) // 2
        for names in (listing.names[:middle], listing.names[middle:]):
            self._listings.append(RankedListing(listing.post_sort, names, now, told=dict(listing.told)))
