"""The kinds of requests for listings by rank, and what each kind does with its answer. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from signalflow.domain.discovery import POPULAR
from signalflow.domain.fetch import PAGE, Fetch, Findings, ListingRequest, PopularSubredditsRequest, Request
from signalflow.domain.known import Seen
from signalflow.domain.once import MOST_TRIES, OnceResult
from signalflow.domain.ranked_listings import SUBREDDITS, Place, RankedListing, RankedListings, places_of
from signalflow.domain.run_history import Job
from signalflow.domain.sorts import NEW, asked
from signalflow.domain.words import ObservationMode, RunOutcome


@dataclass(slots=True, eq=False)
class RankedFetch(Fetch):
    """The top of a listing by rank. It observes posts and their ranks, and proves nothing."""

    kind = "ranked"
    request_kind = "ranked"
    is_in_order = False
    tells_state = False

    listing: RankedListing
    listings: RankedListings

    @property
    def request(self) -> Request:
        wanted = asked(self.listing.post_sort)
        return ListingRequest(self.listing.names, sort=wanted.sort, period=wanted.period)

    @property
    def post_sort(self) -> str:
        return self.listing.post_sort

    def mode(self, *, is_new: bool) -> ObservationMode:
        return asked(self.listing.post_sort).mode

    def places(self, items: Sequence[Seen]) -> Sequence[Place]:
        return places_of(items)

    def is_news(self, id_: str, place: Place, now: float) -> bool:
        return self.listing.is_news(id_, place, now)

    def note_told(self, id_: str, place: Place, now: float) -> None:
        self.listing.note_told(id_, place, now)

    def note_untold(self, now: float) -> None:
        self.listing.note_untold(now)

    def new_since(self, now: float) -> float:
        # The best post of a year is not known to anybody who has polled since yesterday.
        return -math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        self.listing.answered((item.id for item in findings.items), now)
        return False

    def failed(self, now: float) -> None:
        self.listing.failed(now)

    def refused(self, now: float) -> None:
        self.listings.refused(self.listing, now)


@dataclass(slots=True, eq=False)
class OnceFetch(RankedFetch):
    """The top of a listing that somebody asked for once."""

    kind = "once"

    @property
    def request(self) -> Request:
        wanted, run = asked(self.listing.post_sort), self.listing.run
        limit = PAGE if run is None else run.posts
        return ListingRequest(self.listing.names, sort=wanted.sort, period=wanted.period, limit=limit)

    @property
    def job(self) -> Job | None:
        run = self.listing.run
        return None if run is None else Job("once", run.title, run.outcome)

    def places(self, items: Sequence[Seen]) -> Sequence[Place]:
        return () if self.listing.post_sort == NEW else places_of(items)

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        failed = sum(not is_sent for is_sent in findings.confirmed)
        known = len({item.id for item in findings.items}) - new - failed
        self.listings.end(self.listing, OnceResult(new, known, failed))
        return False

    def failed(self, now: float) -> None:
        self.listing.failed(now)
        if self.listing.failures >= MOST_TRIES:
            self.listings.end(self.listing, OnceResult(error="not answered"))

    def refused(self, now: float) -> None:
        self.listings.end(self.listing, OnceResult(error="refused"))


@dataclass(slots=True, eq=False)
class PopularFetch(RankedFetch):
    """The top of r/popular. It observes known posts, and shows what rises in subreddits that are not watched."""

    kind = "popular"
    shows_others = True

    outcome: RunOutcome | None = None

    @property
    def job(self) -> Job | None:
        return Job("discovery", f"{self.listing.post_sort} of r/{POPULAR}", self.outcome)

    @property
    def names(self) -> tuple[str, ...]:
        """None: nobody watches this listing, and posts of every subreddit belong into it."""
        return ()

    def places(self, items: Sequence[Seen]) -> Sequence[Place]:
        return [Place(POPULAR, rank) for rank in range(1, len(items) + 1)]

    def new_since(self, now: float) -> float:
        # A post of a watched subreddit comes from a listing of its own.
        return math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        self.outcome = "ok" if all(findings.confirmed) else "partly"
        return RankedFetch.confirm(self, findings, new=new, is_complete=is_complete, now=now)

    def failed(self, now: float) -> None:
        self.outcome = "failed"
        RankedFetch.failed(self, now)

    def refused(self, now: float) -> None:
        self.outcome = "failed"
        RankedFetch.refused(self, now)


@dataclass(slots=True, eq=False)
class PopularSubredditsFetch(PopularFetch):
    """Reddit's list of popular subreddits. It shows no posts."""

    kind = "popular_subreddits"
    shows_others = False

    @property
    def request(self) -> Request:
        return PopularSubredditsRequest()

    @property
    def job(self) -> Job | None:
        return Job("discovery", "popular subreddits", self.outcome)


def fetch_of(listing: RankedListing, listings: RankedListings) -> RankedFetch:
    """The fetch that reads a listing."""
    if listing.run is not None:
        return OnceFetch(listing, listings)
    if not listing.is_popular:
        return RankedFetch(listing, listings)
    return (PopularSubredditsFetch if listing.post_sort == SUBREDDITS else PopularFetch)(listing, listings)
