"""Which posts the planner has published: every post once, and gaps read back until they are complete."""

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.fetches import GapFetch, ListingFetch
from signalflow.domain.gaps import LONGEST_PAGE_RETRY, GapRecord
from signalflow.domain.known import HORIZON, Seen
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.watchlist import RETRY_UNAVAILABLE
from tests.unit.domain.listing_world import START, Harness, World, fast, harness, known


def test_a_page_without_overlap_opens_a_gap_that_is_read_back_to_the_anchor() -> None:
    run = harness(page_size=10)
    first = run.world.add(10)
    run.run(10)
    flood = run.world.add(45)
    run.run(30)
    assert sorted(run.new_ids()) == sorted(first + flood)
    assert run.gaps[0] == "open"
    assert run.gaps[-1] == "close proven"
    assert not run.planner.gaps


def test_no_page_of_a_gap_is_fetched_before_the_ledger_has_it() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    flood = run.world.add(45)
    run.is_ledger_away = True
    run.run(60)
    assert not [fetch for fetch in run.fetches if isinstance(fetch, GapFetch)]
    assert set(run.new_ids()).issuperset(flood[-10:]), "polling goes on while the ledger is away"
    run.is_ledger_away = False
    run.write_ledger()
    run.run(30)
    assert set(run.new_ids()).issuperset(flood)


@pytest.mark.parametrize("reappearing", [1, 2])
def test_old_posts_that_reappear_do_not_prove_an_overlap(reappearing: int) -> None:
    run = harness(page_size=10)
    run.world.add(20)
    run.run(10)
    flood = run.world.add(45)
    old = [post for post in run.world.posts if post.id in {"p20", "p19"}][:reappearing]
    run.world.posts = old + [post for post in run.world.posts if post not in old]
    run.run(40)
    assert "open" in run.gaps
    assert set(run.new_ids()).issuperset(flood)


def test_three_known_posts_of_the_anchor_prove_the_overlap() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    run.world.add(7)
    run.run(10)
    assert run.gaps == []


def test_an_overflow_of_ten_pages_goes_on_subreddit_by_subreddit() -> None:
    run = harness(fast("a", "b"), page_size=10)
    run.world.add(10, "a")
    run.world.add(10, "b")
    run.run(10)
    flood = []
    for _ in range(75):
        flood += run.world.add(1, "a") + run.world.add(1, "b")
    run.run(200)
    assert sorted(set(run.new_ids()).intersection(flood)) == sorted(flood)
    assert "close split" in run.gaps
    assert run.gaps.count("close proven") == 2
    assert run.gaps.index("close split") > len(
        [entry for entry in run.gaps[: run.gaps.index("close split")] if entry == "open"]
    )


def test_a_gap_that_reddit_no_longer_has_is_given_up_and_says_so() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    run.world.add(300)
    run.run(300)
    assert run.gaps[-1] == "close given_up"
    assert not run.planner.gaps


def test_a_gap_that_continues_below_a_deleted_post_starts_again_from_the_top() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    flood = run.world.add(45)
    while not any(isinstance(fetch, GapFetch) for fetch in run.fetches):
        run.round()
        run.world.now += 1
    (gap,) = {fetch.gap for fetch in run.fetches if isinstance(fetch, GapFetch)}
    assert gap is not None
    assert gap.after
    deleted = gap.after.removeprefix("t3_")
    run.world.posts = [post for post in run.world.posts if post.id != deleted]
    run.run(60)
    assert set(run.new_ids()).issuperset(set(flood) - {deleted})
    assert run.gaps[-1] == "close proven"


def test_a_short_answer_without_overlap_proves_nothing() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    everything = run.world.posts
    run.world.posts = []
    flood = run.world.add(2)
    run.run(6)  # an answer cut short by a fault of Reddit's
    run.world.posts = run.world.posts + everything
    run.run(20)
    assert "open" in run.gaps
    assert set(run.new_ids()).issuperset(flood)


def test_an_empty_answer_does_not_close_a_gap() -> None:
    world = World(page_size=10, empty_answers=3)
    anchor = world.add(10, age=900)
    hole = world.add(20, age=600)
    above = world.add(20, age=420)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    # To be read from the top, as after a split.
    record = GapRecord(7, ("a",), tuple(anchor), START - 900, START - 290)
    known_posts = [known(id_, START - 900) for id_ in anchor] + [known(id_, START - 420) for id_ in above]
    planner.start([Subreddit("a", 60, "fast", START - 290)], known_posts, [record], START)
    run = Harness(world, planner)
    run.run(60)
    assert any(isinstance(fetch, GapFetch) for fetch in run.fetches[:3]), (
        "an empty page of the gap is among the answers"
    )
    assert sorted(run.new_ids()) == sorted(hole)
    assert not planner.gaps


def with_an_open_gap() -> tuple[Harness, list[str]]:
    """A planner with a gap of 40 posts that is recorded, and none of whose pages was read."""
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    flood = run.world.add(45)
    while not run.planner.gaps:
        run.run(1)
    return run, flood


@pytest.mark.parametrize("minutes", [1, 120])
def test_no_number_of_empty_answers_gives_a_gap_up(minutes: int) -> None:
    run, flood = with_an_open_gap()
    run.world.empty_answers = 10**6
    run.run(minutes * 60)
    assert len([fetch for fetch in run.fetches if isinstance(fetch, GapFetch)]) >= 4
    assert run.gaps.count("open") == 1
    assert run.planner.gaps
    run.world.empty_answers = 0
    run.run(LONGEST_PAGE_RETRY + 60)
    assert set(run.new_ids()).issuperset(flood)
    assert run.gaps[-1] == "close proven"


def test_a_gap_whose_page_is_followed_by_itself_is_read_anew_later_and_completed() -> None:
    run, missed = with_an_open_gap()
    run.world.loops = True
    run.run(1800)
    asked = [fetch for fetch in run.fetches if isinstance(fetch, GapFetch)]
    assert len(asked) <= 20, "later after each try"
    assert not set(missed) <= set(run.new_ids())
    assert not any("given_up" in change for change in run.gaps)
    run.world.loops = False
    run.run(700)
    assert set(missed) <= set(run.new_ids())
    assert run.gaps[-1] == "close proven"


def test_a_gap_whose_pages_are_empty_is_asked_for_less_and_less_and_given_up_for_its_age() -> None:
    run, _ = with_an_open_gap()
    run.world.empty_answers = 10**6
    run.run(3600)
    fetches = len([fetch for fetch in run.fetches if isinstance(fetch, GapFetch)])
    assert fetches <= 20
    run.world.now += HORIZON
    run.run(LONGEST_PAGE_RETRY + 60)
    assert run.gaps[-1] == "close given_up"


def test_posts_that_were_read_twice_because_of_an_empty_page_are_no_proof() -> None:
    old = [Seen(f"p{n}", "a", START, 1, 0) for n in range(5)]
    gap = Gap(("a",), (Anchor(frozenset(post.id for post in old), START),), START)
    assert not gap.read(old[:2])
    gap.begin_anew()
    assert not gap.read(old[:2])
    assert gap.read(old[2:])


def test_an_empty_answer_sets_no_anchor_and_opens_no_gap() -> None:
    run = harness()
    run.world.add(10)
    run.run(10)
    run.world.empty_answers = 1
    run.may_begin.clear()
    run.run(5)
    assert run.may_begin == [False]
    run.run(10)
    assert run.may_begin[-1]
    assert run.gaps == []


def test_a_gap_whose_subreddit_is_refused_waits_until_it_can_be_read() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    flood = run.world.add(45)
    while not run.planner.gaps:
        run.run(1)
    run.world.refused = {"a"}
    run.run(30)
    assert run.planner.gaps
    run.world.refused = set()
    run.run(RETRY_UNAVAILABLE + 60)
    assert set(run.new_ids()).issuperset(flood)
    assert run.gaps[-1] == "close proven"


def test_a_gap_that_cannot_be_read_for_two_days_is_unreachable() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    run.world.add(45)
    while not run.planner.gaps:
        run.run(1)
    run.world.refused = {"a"}
    run.run(30)
    run.world.now += HORIZON
    run.run(RETRY_UNAVAILABLE)
    assert run.gaps[-1] == "close unreachable"


def test_a_gap_is_read_although_its_group_was_dissolved_while_its_page_was_in_flight() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    flood = run.world.add(45)
    fetch = run.planner.next(run.world.now, 1.0)
    while not isinstance(fetch, ListingFetch):
        run.world.now += 1
        fetch = run.planner.next(run.world.now, 1.0)
    items, after = run.world.answer(fetch)
    run.planner.configure(fast("a", "b"), run.world.now)
    findings = run.planner.judge(fetch, items, after, run.world.now)
    run.planner.confirm(findings, [False] * len(findings.decisions), run.world.now)
    run.run(60)
    assert set(run.new_ids()).issuperset(flood)
    assert not run.planner.gaps


def test_a_post_whose_send_failed_is_sent_again_and_its_page_is_no_anchor() -> None:
    run = harness(page_size=10)
    run.world.add(10)
    run.run(10)
    lost = run.world.add(5)
    run.run(7, sent=lambda id_: False)
    run.world.add(40)
    run.run(40)
    assert set(run.new_ids()).issuperset(lost)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 35), st.sampled_from("ab"), st.booleans(), st.booleans(), st.integers(0, 3)),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_whatever_fails_every_post_is_published_as_new_exactly_once(
    script: list[tuple[int, str, bool, bool, int]], rng: Random
) -> None:
    run = harness(fast("a", "b"), page_size=10)
    run.world.add(10, "a")
    run.world.add(10, "b")
    run.run(10)
    expected = set(run.new_ids())
    behind = 0
    for count, subreddit, is_answered, is_sent, seconds in script:
        behind += count
        if behind > 90:
            # More than ten pages are lost to anybody: what fell behind is caught up with before.
            run.run(60)
            behind = count
        expected.update(run.world.add(count, subreddit))
        run.round(sent=lambda id_: is_sent or rng.random() < 0.5, works=lambda fetch: is_answered)  # noqa: B023
        run.world.now += seconds
    run.run(150)
    counts = Counter(run.new_ids())
    assert set(counts).issuperset(expected)
    assert set(counts.values()) == {1}
    assert not run.planner.gaps


def test_gap_pages_wait_for_no_more_than_every_other_request_of_refreshes() -> None:
    run = harness(page_size=10, refresh_ids_per_minute=6000)
    run.world.add(10)
    run.run(200)
    run.world.add(90)
    run.run(30)
    assert run.gaps[-1] == "close proven"


def test_memory_is_bounded_to_two_days() -> None:
    run = harness(refresh_ids_per_minute=210)
    run.world.add(50)
    run.run(10)
    assert len(run.planner.posts) == 50
    run.world.now += HORIZON
    run.run(1200)
    assert run.planner.posts == {}
    assert run.planner.wake(run.world.now) < math.inf


def test_a_forgotten_post_that_reappears_is_not_new() -> None:
    run = harness()
    (old,) = run.world.add(1)
    run.world.add(10)
    run.run(10)
    run.world.now += HORIZON
    run.run(1200)
    assert old not in run.planner.posts
    run.world.add(1)
    run.run(10)
    assert Counter(run.new_ids())[old] == 1
