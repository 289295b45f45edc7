"""Listings by rank beside `new`: what they observe, what they cost, and that they prove nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from signalflow.domain.fetch import Fetch, ListingRequest
from signalflow.domain.known import HORIZON, Seen
from signalflow.domain.planner import Planner
from signalflow.domain.ranked_fetches import PopularFetch, RankedFetch
from signalflow.domain.ranked_listings import FIRST_PAGE_AGAIN, Place, RankedListing, RankedListings, places_of
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import START, Harness, World, fast

DAY = 86_400.0


@dataclass
class RankedWorld(World):
    """`hot` has what listings by rank show, whatever their order and subreddits."""

    hot: list[Seen] = field(default_factory=list)

    def answer(self, fetch: Fetch) -> tuple[list[Seen], str | None]:
        request = fetch.request
        if isinstance(request, ListingRequest) and request.sort != "new":
            return [post for post in self.hot if post.subreddit in request.names], None
        return super().answer(fetch)


@dataclass
class RankedHarness(Harness):
    """Also writes down what was published by which listing: (mode, id, rank)."""

    ranks: list[tuple[str, str, int]] = field(default_factory=list)

    def _take(self, fetch: Fetch, sent: object) -> None:
        before = len(self.published)
        super()._take(fetch, lambda id_: True)
        if isinstance(fetch, RankedFetch):
            items, _ = self.world.answer(fetch)
            places = {item.id: place for item, place in zip(items, places_of(items), strict=True)}
            self.ranks += [
                (fetch.mode(is_new=is_new), id_, places[id_].rank) for id_, is_new, _ in self.published[before:]
            ]

    @property
    def hot(self) -> list[Seen]:
        assert isinstance(self.world, RankedWorld)
        return self.world.hot

    def kinds(self) -> Counter[str]:
        return Counter(fetch.kind for fetch in self.fetches)


def by_rank(*names: str, sorts: Sequence[str] = ("new", "hot")) -> list[Subreddit]:
    return [replace(subreddit, post_sorts=tuple(sorts)) for subreddit in fast(*names)]


def harness(*subreddits: Subreddit, refresh_ids_per_minute: float = 0.0) -> RankedHarness:
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=refresh_ids_per_minute)
    planner.start(subreddits, (), (), START)
    return RankedHarness(RankedWorld(), planner)


def post(id_: str, subreddit: str = "a", age: float = 3600.0) -> Seen:
    """A post as a feed shows it: no number of it changes, so that only its rank can be the reason of an observation."""
    return Seen(id_, subreddit, START - age, None, None, None, 1)


def test_the_rank_of_a_post_is_its_place_among_the_posts_of_its_subreddit() -> None:
    page = [post("x", "A"), post("y", "b"), post("z", "a")]
    assert places_of(page) == [Place("a", 1), Place("b", 1), Place("a", 2)]


def test_without_being_asked_for_no_listing_by_rank_is_read() -> None:
    run = harness(*fast("a"))
    run.run(1200)
    assert run.kinds().keys() == {"listing"}


def test_a_rank_is_published_when_it_changes_and_again_after_half_an_hour() -> None:
    run = harness(*by_rank("a"))
    run.hot[:] = [post("p1"), post("p2")]
    run.run(290)
    assert run.ranks == [("hot", "p1", 1), ("hot", "p2", 2)]
    run.run(900)
    assert len(run.ranks) == 2
    run.hot.reverse()
    run.run(300)
    assert run.ranks[2:] == [("hot", "p2", 1), ("hot", "p1", 2)]
    run.run(2100)
    assert run.ranks[4:] == [("hot", "p2", 1), ("hot", "p1", 2)]


def test_a_post_that_comes_back_into_a_listing_is_told_again() -> None:
    run = harness(*by_rank("a"))
    run.hot[:] = [post("p1"), post("p2")]
    run.run(290)
    gone = run.hot.pop()
    run.run(300)
    run.hot.append(gone)
    run.run(300)
    assert run.ranks == [("hot", "p1", 1), ("hot", "p2", 2), ("hot", "p2", 2)]


def test_changes_far_down_are_not_told() -> None:
    run = harness(*by_rank("a"))
    run.hot[:] = [post(f"p{n}") for n in range(1, 41)]
    run.run(290)
    assert len(run.ranks) == 40
    run.hot[30:] = reversed(run.hot[30:])
    run.run(300)
    assert len(run.ranks) == 40


def test_each_listing_asks_for_its_own_order_and_period() -> None:
    run = harness(*by_rank("a", sorts=("new", "hot", "rising", "top:week")))
    run.run(60)
    asked = [fetch.request for fetch in run.fetches if isinstance(fetch, RankedFetch)]
    assert {(request.sort, request.period) for request in asked if isinstance(request, ListingRequest)} == {
        ("hot", None), ("rising", None), ("top", "week"),
    }  # fmt: skip


def test_a_post_of_last_year_is_published_once_and_never_refreshed() -> None:
    run = harness(*by_rank("a", sorts=("new", "top:year")), refresh_ids_per_minute=6000)
    run.hot[:] = [post("old", age=200 * DAY)]
    run.run(6000)
    told = [id_ for _, id_, _ in run.ranks]
    # Once as new, and again because its rank stays.
    assert told.count("old") <= 1 + 6000 // 1800
    assert [id_ for id_, is_new, _ in run.published if is_new] == ["old"]
    assert run.kinds()["refresh"] == 0


def test_a_post_that_left_all_listings_two_days_ago_is_forgotten() -> None:
    run = harness(*by_rank("a"))
    run.hot[:] = [post("p1", age=HORIZON + 60)]
    run.run(60)
    run.hot.clear()
    assert "p1" in run.planner.posts
    run.run(3 * 3600)
    assert "p1" not in run.planner.posts


def test_what_a_listing_by_rank_shows_first_closes_no_gap_of_new() -> None:
    """The page of `new` overlaps by the posts that it showed itself, not by those that are known."""
    run = harness(*by_rank("a"))
    run.world.add(5)
    run.run(60)
    hidden = [post(f"h{n}", age=-60.0) for n in range(5)]
    run.hot[:] = hidden
    run.run(300)
    assert {f"h{n}" for n in range(5)} <= {id_ for _, id_, _ in run.ranks}
    run.world.add(150)
    run.run(30)
    assert run.gaps[0] == "open"
    assert "close proven" in run.gaps


@pytest.mark.slow
def test_while_others_wait_one_request_in_ten_is_for_ranks() -> None:
    run = harness(*by_rank(*(f"s{n:03}" for n in range(200))), refresh_ids_per_minute=60 * 100 * 60)
    for n in range(200):
        run.world.add(20, f"s{n:03}", age=7200.0)
    run.run(3600)
    kinds = run.kinds()
    assert kinds["refresh"] > 500
    assert 0.07 <= kinds["ranked"] / sum(kinds.values()) <= 0.1


def test_a_subreddit_that_reddit_refuses_keeps_no_other_from_its_ranks() -> None:
    names = [f"s{n}" for n in range(8)]
    run = harness(*by_rank(*names))
    run.hot[:] = [post(f"of_{name}", name) for name in names]
    run.world.refused = {"s3"}
    run.run(600)
    assert {id_ for _, id_, _ in run.ranks} == {f"of_{name}" for name in names if name != "s3"}


def test_a_refused_name_is_found_by_halving_and_asked_again_later_after_each_try() -> None:
    listings = RankedListings()
    listings.configure(by_rank(*(f"s{n}" for n in range(8))), START)
    alone, answered = [], set()
    for second in range(3600):
        listing = listings.take(START + second, lambda name: True)
        if listing is None:
            continue
        if "s3" in listing.names:
            listings.refused(listing, START + second)
            if listing.names == ("s3",):
                alone.append(second)
        else:
            listing.answered((), START + second)
            answered |= set(listing.names)
    assert answered == {f"s{n}" for n in range(8) if n != 3}
    waits = [after - before for before, after in pairwise(alone)]
    assert waits == [60, 120, 240, 480, 960]


def test_the_halves_of_a_refused_listing_do_not_tell_the_same_ranks_again() -> None:
    listings = RankedListings()
    listings.configure(by_rank("a", "b"), START)
    whole = listings.take(START, lambda name: True)
    assert whole is not None
    whole.note_told("p1", Place("a", 1), START)
    listings.refused(whole, START)
    half = listings.take(START, lambda name: name == "a")
    assert half is not None
    assert half.names == ("a",)
    assert not half.is_news("p1", Place("a", 1), START + 60)
    assert half.is_news("p1", Place("a", 2), START + 60)


def test_a_subreddit_that_no_longer_wants_ranks_is_not_asked_for_them() -> None:
    run = harness(*by_rank("a"))
    run.run(60)
    assert run.planner.configure(fast("a"), run.world.now)
    run.fetches.clear()
    run.run(900)
    assert run.kinds().keys() == {"listing"}


def test_an_unanswered_listing_waits_longer_after_each_failure_and_blames_nobody() -> None:
    run = harness(*by_rank("a"))
    for _ in range(1800):
        run.round(works=lambda fetch: not isinstance(fetch, RankedFetch))
        run.world.now += 1.0
    assert 3 <= run.kinds()["ranked"] <= 6
    assert not run.blamed
    assert not run.planner.subreddits_set_aside


def test_a_subreddit_that_reappears_is_read_back_past_the_posts_that_ranks_showed_of_it() -> None:
    run = harness(*by_rank("a", "b"))
    run.world.page_size = 10
    run.world.add(10, "a", age=4000)
    run.run(10)
    run.world.hidden = {"a"}
    missed = run.world.add(25, "a", age=600)
    run.hot[:] = run.world.posts[:5]
    for _ in range(33):
        run.world.add(1, "b")
        run.run(10)
    assert {id_ for _, id_, _ in run.ranks} == set(missed[-5:])
    run.world.hidden = set()
    missed += run.world.add(1, "a")
    run.run(120)
    assert set(missed) <= {id_ for id_, _, _ in run.published}


# --- r/popular


def test_popular_is_read_at_its_own_pace_and_publishes_ranks_of_known_posts_only() -> None:
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0, discover_every=600.0)
    planner.start(fast("a"), (), (), START)
    run = RankedHarness(RankedWorld(), planner)
    (ours,) = run.world.add(1, "a")
    run.run(30)
    shown = [post("x1", "elsewhere"), run.world.posts[0], post("x2", "elsewhere")]
    fetches = [fetch for fetch in run.fetches if isinstance(fetch, PopularFetch)]
    assert {fetch.post_sort for fetch in fetches} == {"rising", "hot"}
    fetch = fetches[0]
    assert (fetch.names, fetch.asked_for("x1", "elsewhere")) == ((), True)
    findings = planner.judge(fetch, shown, None, run.world.now)
    told = [(shown[decision.item].id, findings.place(decision.item)) for decision in findings.decisions]
    assert told == [(ours, Place("popular", 2))]
    assert findings.place(2) == Place("popular", 3)
    run.run(3600)
    assert len([fetch for fetch in run.fetches if isinstance(fetch, PopularFetch)]) == 2 * 7
    assert run.new_ids() == [ours]


def test_a_new_configuration_leaves_popular_as_it_is() -> None:
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0, discover_every=600.0)
    planner.start(fast("a"), (), (), START)
    run = RankedHarness(RankedWorld(), planner)
    run.run(30)
    planner.configure(by_rank("a", "b"), run.world.now)
    run.run(300)
    assert len([fetch for fetch in run.fetches if isinstance(fetch, PopularFetch)]) == 2


def test_ranks_that_a_first_page_shows_right_after_its_posts_were_published_are_told_soon() -> None:
    """At most one observation of a post is published within five seconds, so that look cannot tell them."""
    run = harness(*by_rank("a"))
    run.world.add(3)
    # One that only this listing shows is told at once.
    run.hot.extend([*run.world.posts, post("older")])
    run.run(30)
    assert run.ranks == [("hot", "older", 4), *(("hot", each.id, rank) for rank, each in enumerate(run.hot[:3], 1))]
    run.run(270)
    assert run.kinds()["ranked"] == 2, "only the first page is read again so early"


def test_a_later_page_is_not_read_again_early_whatever_could_not_be_told() -> None:
    listing = RankedListing("hot", ("a",), due=START + 300)
    listing.note_untold(START)
    assert listing.due == START + FIRST_PAGE_AGAIN
    listing.note_untold(START + 1)
    assert listing.due == START + FIRST_PAGE_AGAIN, "never later than it was due"
    listing.answered((), START)
    listing.due = START + 300
    listing.note_untold(START + 1)
    assert listing.due == START + 300
