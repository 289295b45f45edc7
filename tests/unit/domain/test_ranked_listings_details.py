"""Listings by rank, one rule at a time: when each is due, in which order, and what is told."""

import math

import pytest

from signalflow.domain.once import OnceResult, OnceRun
from signalflow.domain.ranked_listings import Place, RankedListing, RankedListings
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.test_ranked_listings import by_rank

NOW = 1_000_000.0


def configured(*subreddits: Subreddit, discover_every: float = 0.0) -> RankedListings:
    listings = RankedListings(discover_every)
    listings.configure(subreddits, NOW)
    return listings


def taken(listings: RankedListings, now: float, unreadable: str = "", *, with_popular: bool = True) -> RankedListing:
    listing = listings.take(now, lambda name: name not in unreadable.split(), with_popular=with_popular)
    assert listing is not None
    return listing


def order_at(listings: RankedListings, now: float) -> list[tuple[str, tuple[str, ...]]]:
    """Order and names of what is read at this time, until nothing is due any more."""
    found = []
    while (listing := listings.take(now, lambda name: True)) is not None:
        found.append((listing.post_sort, listing.names))
    return found


# --- what is told


@pytest.mark.parametrize(("rank", "is_news"), [(25, True), (26, False)])
def test_of_each_subreddit_the_first_25_places_are_told(rank: int, *, is_news: bool) -> None:
    assert RankedListing("hot", ("a",), NOW).is_news("p1", Place("a", rank), NOW) is is_news


@pytest.mark.parametrize(("seconds", "is_news"), [(1_799, False), (1_800, True)])
def test_a_rank_that_stays_is_told_again_after_half_an_hour(seconds: float, *, is_news: bool) -> None:
    listing = RankedListing("hot", ("a",), NOW)
    listing.note_told("p1", Place("a", 3), NOW)
    assert listing.is_news("p1", Place("a", 3), NOW + seconds) is is_news


# --- when a listing is due


def test_after_an_answer_the_waits_of_a_listing_that_fails_begin_anew() -> None:
    listing = RankedListing("hot", ("a",), NOW)
    waits = []
    for works in (False, False, False, True, False):
        if works:
            listing.answered((), NOW)
        else:
            listing.failed(NOW)
            waits.append(listing.due - NOW)
    assert waits == [60, 120, 240, 60]


def test_without_listings_nothing_is_due() -> None:
    listings = RankedListings()
    assert (listings.next_due(), listings.take(NOW, lambda name: True)) == (math.inf, None)


@pytest.mark.parametrize(
    ("post_sort", "seconds"), [("hot", 300), ("rising", 180), ("top:hour", 300), ("top:year", 900)]
)
def test_each_is_due_at_once_and_then_at_its_own_pace(post_sort: str, seconds: float) -> None:
    listings = configured(*by_rank("a", sorts=("new", post_sort)))
    assert listings.next_due() == NOW
    assert taken(listings, NOW).post_sort == post_sort
    assert listings.next_due() == NOW + seconds
    assert listings.take(NOW + seconds - 1, lambda name: True) is None
    assert taken(listings, NOW + seconds).post_sort == post_sort


def test_the_listing_that_is_late_for_the_largest_part_of_its_interval_comes_first() -> None:
    listings = configured(*by_rank("a", sorts=("hot", "rising", "top:hour", "top:year")))
    order_at(listings, NOW)
    # Late by 600 of 900, 1,200 of 300, 1,200 of 300 and 1,320 of 180 seconds.
    assert [post_sort for post_sort, _ in order_at(listings, NOW + 1_500)] == ["rising", "hot", "top:hour", "top:year"]


def test_a_listing_none_of_whose_subreddits_can_be_read_is_left_out_for_its_interval() -> None:
    listings = configured(*by_rank("a", "b"), *by_rank("c", sorts=("rising",)))
    assert taken(listings, NOW, "a b").names == ("c",)
    assert listings.take(NOW, lambda name: True) is None
    assert taken(listings, NOW + 300, "a").names == ("c",)
    assert taken(listings, NOW + 300, "a").names == ("a", "b"), "one of them can be read"


def test_popular_is_left_out_where_it_is_not_wanted() -> None:
    listings = configured(*by_rank("a"), discover_every=600.0)
    assert taken(listings, NOW, with_popular=False).names == ("a",)
    assert listings.take(NOW, lambda name: True, with_popular=False) is None
    assert sorted(order_at(listings, NOW)) == [("hot", ("popular",)), ("rising", ("popular",))]
    assert listings.next_due() == NOW + 300
    assert order_at(listings, NOW + 599) == [("hot", ("a",))]
    assert len(order_at(listings, NOW + 600)) == 2


def test_after_nine_other_requests_it_is_the_turn_of_one_of_them() -> None:
    listings = configured(*by_rank("a"))
    for _ in range(2):
        for _ in range(8):
            listings.note_other()
        assert not listings.is_its_turn
        listings.note_other()
        assert listings.is_its_turn
        taken(listings, listings.next_due())


# --- which listings there are


def test_ten_subreddits_share_a_page_and_names_are_lower_case() -> None:
    listings = configured(*by_rank(*(f"S{n:02}" for n in reversed(range(21)))))
    names = [f"s{n:02}" for n in range(21)]
    assert order_at(listings, NOW) == [("hot", tuple(names[at : at + 10])) for at in (0, 10, 20)]


def test_a_listing_that_stays_keeps_its_time_and_what_was_told() -> None:
    listings = configured(*by_rank("a"))
    before = taken(listings, NOW)
    assert not listings.configure(by_rank("a"), NOW + 10)
    assert listings.configure(by_rank("a", sorts=("hot", "rising")), NOW + 10)
    assert order_at(listings, NOW + 10) == [("rising", ("a",))]
    assert taken(listings, NOW + 300) is not before
    assert taken(listings, NOW + 300) is before


def test_a_refused_listing_is_read_in_halves_at_once_and_each_tells_for_itself() -> None:
    listings = configured(*by_rank("a", "b", "c"))
    whole = taken(listings, NOW)
    whole.note_told("p1", Place("a", 1), NOW)
    for _ in range(2):
        listings.refused(whole, NOW + 1)
    one, two = taken(listings, NOW + 1), taken(listings, NOW + 1)
    assert [(half.post_sort, half.names, half.told) for half in (one, two)] == [
        ("hot", ("a",), whole.told), ("hot", ("b", "c"), whole.told),
    ]  # fmt: skip
    one.note_told("p2", Place("a", 2), NOW + 1)
    assert two.told == {"p1": (1, NOW)}
    assert listings.take(NOW + 1, lambda name: True) is None


# --- runs that somebody asked for


def test_a_run_reads_each_subreddit_by_itself_before_the_others_and_only_once() -> None:
    listings = configured(*by_rank("x"))
    runs = [OnceRun(1, "top:day", ["A", "b"], 10), OnceRun(2, "rising", ["c"], 10)]
    for run in runs:
        listings.begin(run)
    assert listings.next_due() == -math.inf
    listings.configure(by_rank("y"), NOW)
    first = [taken(listings, NOW) for _ in range(3)]
    assert [(listing.post_sort, listing.names, listing.run) for listing in first] == [
        ("top:day", ("a",), runs[0]), ("top:day", ("b",), runs[0]), ("rising", ("c",), runs[1]),
    ]  # fmt: skip
    usual = taken(listings, NOW)
    assert (usual.names, usual.run) == (("y",), None)
    results = [OnceResult(published=number) for number in range(4)]
    for listing, result in zip([*first, usual], results, strict=True):
        listings.end(listing, result)
    listings.end(first[0], results[3])
    assert [run.results for run in runs] == [{"a": results[0], "b": results[1]}, {"c": results[2]}]
    assert order_at(listings, NOW + 3_600) == [("hot", ("y",))]
