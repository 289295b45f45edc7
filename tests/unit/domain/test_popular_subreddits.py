"""Reddit's list of popular subreddits: how often it is asked for, and what becomes of the request."""

from collections import Counter

from signalflow.domain.fetch import Findings, PopularSubredditsRequest
from signalflow.domain.planner import Planner
from signalflow.domain.ranked_fetches import PopularFetch, PopularSubredditsFetch, fetch_of
from signalflow.domain.ranked_listings import OTHERS_FOR_ONE, SUBREDDITS, RankedListing, RankedListings
from tests.unit.domain.listing_world import START, Harness, World, fast


def looks(hours: int, *, lists_subreddits: bool, every: float = 600.0) -> dict[str, int]:
    """How often each kind of request for what is popular was made."""
    planner = Planner(
        listing_per_minute=20, refresh_ids_per_minute=0, discover_every=every, lists_subreddits=lists_subreddits
    )
    planner.start(fast("a"), (), (), START)
    run = Harness(World(), planner)
    run.run(hours * 3600 - 60)
    made = Counter(fetch.kind for fetch in run.fetches)
    return {kind: made[kind] for kind in ("popular", "popular_subreddits")}


def test_it_is_read_once_an_hour_where_the_source_has_it() -> None:
    assert looks(3, lists_subreddits=True) == {"popular": 2 * 18, "popular_subreddits": 3}
    assert looks(3, lists_subreddits=False) == {"popular": 2 * 18, "popular_subreddits": 0}


def test_it_is_read_no_oftener_than_the_setting_says() -> None:
    assert looks(4, lists_subreddits=True, every=7200.0) == {"popular": 2 * 2, "popular_subreddits": 2}
    assert looks(1, lists_subreddits=True, every=0.0) == {"popular": 0, "popular_subreddits": 0}


def only_it_is_due() -> tuple[RankedListings, RankedListing]:
    """Listings of which all but this one were read now, and this one as it was taken."""
    listings = RankedListings(600.0, lists_subreddits=True)
    taken = [listings.take(START, lambda name: True) for _ in range(3)]
    (listing,) = [each for each in taken if each is not None and each.post_sort == SUBREDDITS]
    assert listings.take(START, lambda name: True) is None
    return listings, listing


def test_it_has_a_turn_within_the_share_of_listings_by_rank() -> None:
    listings, listing = only_it_is_due()
    listing.due = START
    for _ in range(OTHERS_FOR_ONE):
        assert not listings.is_its_turn
        listings.note_other()
    assert listings.is_its_turn
    assert listings.take(START, lambda name: True, with_popular=False) is None, "where few requests are allowed"
    assert listings.take(START, lambda name: True) is listing
    assert not listings.is_its_turn


def test_the_request_is_a_job_that_is_over_with_its_answer() -> None:
    listings, listing = only_it_is_due()
    fetch = fetch_of(listing, listings)
    assert isinstance(fetch, PopularSubredditsFetch)
    assert (fetch.request, fetch.names, fetch.shows_others) == (PopularSubredditsRequest(), (), False)
    assert fetch.job == ("discovery", "popular subreddits", None)
    assert not fetch.confirm(Findings(fetch, (), None, START), new=0, is_complete=True, now=START)
    assert fetch.job == ("discovery", "popular subreddits", "ok")
    assert listing.due == START + 3600


def test_without_an_answer_it_is_asked_for_again_later_each_time() -> None:
    listings, listing = only_it_is_due()
    waits = []
    for end in ("failed", "refused", "unanswered"):
        fetch = fetch_of(listing, listings)
        getattr(fetch, end)(START)
        assert fetch.job == ("discovery", "popular subreddits", "failed")
        waits.append(listing.due - START)
    assert waits == [60, 120, 240]


def test_each_other_listing_of_popular_shows_posts() -> None:
    listings = RankedListings(600.0)
    listing = listings.take(START, lambda name: True)
    assert listing is not None
    assert type(fetch_of(listing, listings)) is PopularFetch
