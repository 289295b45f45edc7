"""Looks below the newest page: when they begin, which pages they read, and what ends them."""

import math

import pytest

from signalflow.domain.deep_looks import LONGEST_WAIT, MOST_FAILURES, PAGES, POSTS_BETWEEN, DeepFetch, DeepLooks
from signalflow.domain.fetch import Findings, ListingRequest
from signalflow.domain.fetches import GAP_PAGE_TIMEOUT, ListingFetch
from signalflow.domain.known import HORIZON
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import START, Harness, World, fast

A, B = ("a", "b"), ("c",)


def looks(*, new: int = POSTS_BETWEEN) -> DeepLooks:
    """Group A was polled at START, and now that so many posts came."""
    made = DeepLooks()
    made.polled(A, "t3_first", 0, START)
    made.polled(A, "t3_top", new, START + 60)
    return made


def taken(made: DeepLooks, now: float = START + 60) -> DeepFetch | None:
    return made.next(now, lambda: [A, B])


def outcome(fetch: DeepFetch) -> str | None:
    """What became of the look."""
    assert fetch.job is not None
    return fetch.job.outcome


def confirm(fetch: DeepFetch, after: str | None, now: float, *, is_complete: bool = True) -> None:
    assert not fetch.confirm(Findings(fetch, (), after, now), new=0, is_complete=is_complete, now=now)


@pytest.mark.parametrize(("new", "waited", "is_due"), [
    (POSTS_BETWEEN, 60.0, True),
    (POSTS_BETWEEN - 1, 60.0, False),
    (1, LONGEST_WAIT, True),
    (1, LONGEST_WAIT - 1, False),
    (0, 10 * LONGEST_WAIT, False),
])  # fmt: skip
def test_a_look_begins_after_enough_posts_or_after_half_an_hour_in_which_some_came(
    new: int, waited: float, *, is_due: bool
) -> None:
    assert (taken(looks(new=new), START + waited) is not None) == is_due


def test_a_look_reads_all_pages_below_the_newest_one_and_the_next_waits_for_more_posts() -> None:
    made = looks()
    asked = []
    for page in range(PAGES):
        fetch = taken(made, START + 100 + page)
        assert fetch is not None
        assert fetch.job == ("second_look", "2 subreddits", None)
        asked.append(fetch.request)
        confirm(fetch, f"t3_{page}", START + 100 + page)
    assert asked == [ListingRequest(A, after) for after in ("t3_top", *(f"t3_{page}" for page in range(PAGES - 1)))]
    assert fetch.job == ("second_look", "2 subreddits", "ok")
    assert taken(made, START + 200) is None
    made.polled(A, "t3_later", POSTS_BETWEEN - 1, START + 200)
    assert taken(made, START + 201) is None
    made.polled(A, "t3_later", 1, START + 202)
    assert taken(made, START + 202) is not None


def test_the_end_of_the_listing_ends_a_look() -> None:
    made = looks()
    fetch = taken(made)
    assert fetch is not None
    confirm(fetch, None, START + 60)
    assert outcome(fetch) == "ok"
    assert made.next_due() == math.inf


def test_where_the_newest_page_is_the_whole_listing_nothing_lies_below() -> None:
    made = looks()
    made.polled(A, None, 1, START + 61)
    assert taken(made, START + 61) is None


def test_a_page_that_is_asked_for_is_awaited_and_given_up_after_some_failures() -> None:
    made = looks()
    for failures in range(MOST_FAILURES):
        now = START + 60 + failures * GAP_PAGE_TIMEOUT
        fetch = taken(made, now)
        assert fetch is not None
        assert taken(made, now + GAP_PAGE_TIMEOUT - 1) is None
        assert made.next_due() == now + GAP_PAGE_TIMEOUT
        fetch.failed(now)
        assert outcome(fetch) == ("failed" if failures == MOST_FAILURES - 1 else None)
    assert made.next_due() == math.inf
    assert taken(made, START + 1000) is None


def test_an_answer_ends_the_count_of_failures() -> None:
    made = looks()
    for page in range(MOST_FAILURES):
        now = START + 100 * (page + 1)
        fetch = taken(made, now)
        assert fetch is not None
        confirm(fetch, "t3_x", now, is_complete=False)
        fetch = taken(made, now + GAP_PAGE_TIMEOUT)
        assert fetch is not None, "what was not confirmed is read again"
        confirm(fetch, "t3_y", now + GAP_PAGE_TIMEOUT)
    assert made.next_due() < math.inf


def test_a_refused_look_ends_and_so_does_that_of_a_group_that_is_no_more() -> None:
    made = looks()
    fetch = taken(made)
    assert fetch is not None
    confirm(fetch, "t3_x", START + 60)
    fetch.refused(START + 60)
    assert outcome(fetch) == "partly"
    assert made.next_due() == math.inf
    made.polled(A, "t3_x", POSTS_BETWEEN, START + 70)
    assert made.next(START + 70, lambda: [B]) is None
    made.polled(A, "t3_x", 0, START + 80)
    assert taken(made, START + 80) is None, "it was forgotten"


def test_a_look_at_what_is_no_longer_watched_ends() -> None:
    made = looks()
    fetch = taken(made)
    assert fetch is not None
    assert made.next(START + 60 + GAP_PAGE_TIMEOUT, lambda: [("a",), B]) is None
    assert outcome(fetch) == "stopped"
    assert made.next_due() == math.inf


def test_the_group_with_most_new_posts_comes_first() -> None:
    made = looks()
    made.polled(B, "t3_b", POSTS_BETWEEN + 1, START + 60)
    fetch = taken(made)
    assert fetch is not None
    assert fetch.names == B
    assert fetch.job == ("second_look", "c", None)


@pytest.mark.parametrize(("now", "since"), [(START + 60, START), (START + HORIZON + 60, START + 60)])
def test_only_what_was_created_since_the_group_is_polled_is_new(now: float, since: float) -> None:
    fetch = taken(looks())
    assert fetch is not None
    assert fetch.new_since(now) == since


@pytest.mark.parametrize(
    ("began", "since"),
    [
        ({"a": START - 600, "b": START - 300}, START - 300),
        ({"a": START - 600}, START),
        ({"a": START - 600, "c": START - 300}, START),
    ],
)
def test_what_was_created_under_an_earlier_poller_is_new_if_that_polled_all_subreddits_of_the_group(
    began: dict[str, float], since: float
) -> None:
    made = DeepLooks()
    made.arrive(Subreddit(name.upper(), 60, "fast", polled_since=began.get(name)) for name in "abc")
    made.polled(A, "t3_first", POSTS_BETWEEN, START)
    fetch = taken(made)
    assert fetch is not None
    assert fetch.new_since(START + 60) == since


def test_a_group_of_other_subreddits_keeps_in_mind_since_when_each_is_polled() -> None:
    made = looks(new=0)
    made.polled(("b", "a"), "t3_first", POSTS_BETWEEN, START + 100)
    fetch = made.next(START + 100, lambda: [("b", "a")])
    assert fetch is not None
    assert fetch.new_since(START + 100) == START


def test_a_subreddit_that_was_not_polled_for_a_while_is_polled_anew() -> None:
    made = looks()
    assert made.next(START + 60, lambda: [B]) is None
    made.polled(A, "t3_first", POSTS_BETWEEN, START + 100)
    fetch = taken(made, START + 100)
    assert fetch is not None
    assert fetch.new_since(START + 100) == START + 100


def test_a_post_that_shows_up_further_down_is_published_as_new_once_and_listings_keep_their_pace() -> None:
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    planner.start(fast("a"), (), (), START)
    run = Harness(World(), planner)
    for _ in range(POSTS_BETWEEN // 10 + 30):
        run.world.add(10)
        run.run(10)
    late = run.world.posts[150]._replace(id="late")
    old = run.world.posts[-1]._replace(id="old", created=START - 10)
    run.world.posts[150:150] = [late]
    run.world.posts.append(old)
    for _ in range(POSTS_BETWEEN // 10 + 10):
        run.world.add(10)
        run.run(10)
    assert run.new_ids().count("late") == 1
    assert "old" not in run.new_ids(), "it may have been there before polling began"
    listings = sum(isinstance(fetch, ListingFetch) for fetch in run.fetches)
    deep = [fetch for fetch in run.fetches if isinstance(fetch, DeepFetch)]
    assert listings > 20 * len(deep) > 0
    assert not run.gaps
