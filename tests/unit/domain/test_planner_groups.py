"""Which subreddits the planner polls together, how often, and what a refusal or a new configuration changes."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.groups import Group, split_names
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.watchlist import MAX_EXPECTED_NEW, RETRY_UNAVAILABLE
from tests.unit.domain.listing_world import START, Harness, World, fast, harness, known


def test_one_bad_subreddit_is_found_and_the_rest_goes_on() -> None:
    names = [f"s{number}" for number in range(45)]
    run = harness(fast(*names))
    run.world.refused = {"s17"}
    run.run(60)
    assert run.planner.watchlist.excluded == {"s17"}
    (group,) = run.planner.watchlist.groups
    assert set(group.names) == set(names) - {"s17"}
    posts = run.world.add(3, "s18") + run.world.add(3, "s16")
    run.run(10)
    assert set(run.new_ids()).issuperset(posts)


def test_a_refused_subreddit_is_tried_again_later_after_each_try_and_comes_back() -> None:
    run = harness(fast("a", "b", "c"))
    run.world.refused = {"b"}
    probes = []
    end = run.world.now + 2.2 * RETRY_UNAVAILABLE
    while run.world.now < end:
        fetch = run.round()
        if fetch and fetch.names == ("b",):
            probes.append(run.world.now)
        run.world.now += 1.0
    waits = [after - before for before, after in pairwise(probes)]
    assert waits == pytest.approx([60, 120, 240, 480, 960, 1920, 3600], abs=4)
    run.world.refused = set()
    posts = run.world.add(2, "b")
    run.run(RETRY_UNAVAILABLE + 10)
    assert run.planner.watchlist.excluded == frozenset()
    assert [group.names for group in run.planner.watchlist.groups] == [("a", "b", "c")]
    assert set(run.new_ids()).issuperset(posts)


def test_a_quiet_subreddit_comes_back_without_a_gap_in_a_busy_group() -> None:
    run = harness(fast("a", "b"))
    run.world.add(10, "b", age=40_000)
    run.world.add(10, "a", age=10)
    run.run(10)
    run.world.refused = {"b"}
    for second in range(240):
        if second == 40:
            run.world.refused = set()
        if second % 10 == 0:
            run.world.add(1, "a")
        run.run(1)
    assert [group.names for group in run.planner.watchlist.groups] == [("a", "b")]
    assert run.gaps == []


def test_a_subreddit_that_catches_up_by_itself_is_not_forgotten_when_groups_change() -> None:
    world = World(page_size=10)
    known_b, known_a = world.add(10, "b", age=2000), world.add(10, "a", age=150)
    missed = world.add(15, "b", age=900)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    known_posts = [known(id_, START - 2000, "b") for id_ in known_b] + [known(id_, START - 150) for id_ in known_a]
    watched = [Subreddit("a", 60, "fast", START - 20), Subreddit("b", 60, "fast", START - 1000)]
    planner.start(watched, known_posts, (), START)
    run = Harness(world, planner)
    fetch = run.round(works=lambda fetch: False)
    while fetch is None or fetch.names != ("b",):
        run.world.now += 1.0
        fetch = run.round(works=lambda fetch: False)
    planner.configure([*watched, *fast("c")], run.world.now)
    run.run(90)
    assert set(run.new_ids()) == set(missed)
    assert [group.names for group in planner.watchlist.groups] == [("a", "b", "c")]


def test_a_subreddit_that_catches_up_joins_the_others_only_with_what_it_found_confirmed() -> None:
    world = World()
    known_b = world.add(10, "b", age=90_000)
    missed = world.add(5, "b", age=80_000)
    known_a = world.add(60, "a", age=150) + world.add(60, "a", age=10)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    known_posts = [known(id_, START - 90_000, "b") for id_ in known_b] + [known(id_, START - 150) for id_ in known_a]
    watched = [Subreddit("a", 60, "fast", START - 20), Subreddit("b", 60, "fast", START - 85_000)]
    planner.start(watched, known_posts, (), START)
    run = Harness(world, planner)
    while not any(fetch.names == ("b",) for fetch in run.fetches):
        run.round(sent=lambda id_: False)
        run.world.now += 1
    run.run(60)
    assert set(run.new_ids()) == set(missed)
    assert run.gaps == []
    assert [group.names for group in planner.watchlist.groups] == [("a", "b")]


def test_a_subreddit_that_was_empty_opens_a_gap_when_its_first_posts_overflow_a_page() -> None:
    run = harness(page_size=10)
    run.run(10)
    flood = run.world.add(25)
    run.run(30)
    assert sorted(run.new_ids()) == sorted(flood)
    assert (run.gaps[0], run.gaps[-1]) == ("open", "close proven")


def test_splitting_and_merging_a_group_misses_nothing_and_opens_no_gap() -> None:
    run = harness(fast(*"abcdefgh"))
    for name in "abcdefgh":
        run.world.add(5, name)
    run.run(20)
    run.world.refused = {"c"}
    posts = []
    for _ in range(12):
        for name in "abdefgh":
            posts += run.world.add(1, name)
        run.run(5)
    assert set(run.new_ids()).issuperset(posts)
    assert run.gaps == []


@pytest.mark.parametrize("is_split", [True, False])
def test_an_overflow_while_groups_change_is_noticed(is_split: bool) -> None:
    run = harness(fast("a", "b", "c", "d"), page_size=10)
    for name in "abcd":
        run.world.add(10, name)
    run.run(10)
    flood = run.world.add(30, "a")
    if is_split:
        run.world.refused = {"d"}
    else:
        run.planner.configure([*fast("a", "b", "c"), Subreddit("d", 600, "slow")], run.world.now)
    run.run(60)
    assert "open" in run.gaps
    assert set(run.new_ids()).issuperset(flood)
    assert not run.planner.gaps


def test_when_everything_is_refused_it_is_tried_again_within_minutes() -> None:
    run = harness(fast("a", "b"))
    run.world.refused = {"a", "b"}
    run.run(30)
    run.world.refused = set()
    posts = run.world.add(2, "a")
    run.run(120)
    assert set(run.new_ids()).issuperset(posts)


def test_added_paused_and_moved_subreddits_take_effect_and_nothing_known_is_lost() -> None:
    run = harness(fast("a", "b"))
    first = run.world.add(5, "a") + run.world.add(5, "b")
    run.run(20)
    run.planner.configure([*fast("a", "c"), Subreddit("B", 600, "slow")], run.world.now)
    added = run.world.add(2, "c")
    run.run(40)
    assert sorted(run.new_ids()) == sorted(first + added)
    assert {(group.priority, group.names) for group in run.planner.watchlist.groups} == {
        ("fast", ("a", "c")),
        ("slow", ("b",)),
    }
    assert run.gaps == []
    run.planner.configure(fast("c"), run.world.now)
    paused = run.world.add(2, "a")
    run.run(40)
    assert not set(paused).intersection(run.new_ids())
    run.planner.configure(fast("a", "c"), run.world.now)
    run.run(20)
    assert max(Counter(run.new_ids()).values()) == 1


def test_an_unchanged_configuration_changes_nothing() -> None:
    run = harness(fast("a", "b"))
    groups = list(run.planner.watchlist.groups)
    assert not run.planner.configure(fast("b", "a"), START)
    assert run.planner.watchlist.groups == groups


def test_the_default_priorities_are_polled_every_5_10_and_30_seconds() -> None:
    priorities = [("fast", 60, 26), ("medium", 180, 45), ("slow", 600, 44)]
    subreddits = [
        Subreddit(f"{priority}{n}", seconds, priority) for priority, seconds, count in priorities for n in range(count)
    ]  # type: ignore[arg-type]
    run = harness(subreddits)
    assert [group.interval for group in run.planner.watchlist.groups] == [5, 10, 30]
    run.run(600)
    assert len(run.fetches) == pytest.approx(200, abs=6)


def test_interval_seconds_is_an_upper_bound_even_with_little_budget() -> None:
    planner = Planner(listing_per_minute=0.5, refresh_ids_per_minute=0)
    planner.start([*fast("a"), Subreddit("b", 20, "slow"), Subreddit("c", 600, "slow")], (), (), START)
    intervals = {name: group.interval for group in planner.watchlist.groups for name in group.names}
    assert intervals["a"] <= 60
    assert intervals["b"] <= 20
    assert intervals["c"] <= 600


@given(st.integers(0, 400), st.integers(1, 32))
def test_no_listing_names_more_than_120_subreddits_or_two_kilobytes(count: int, length: int) -> None:
    names = [f"{number:0{length}d}" for number in range(count)]
    runs = split_names(names)
    assert [name for run in runs for name in run] == names
    assert all(0 < len(run) <= 120 and len("+".join(run)) < 2000 for run in runs)


@pytest.mark.parametrize("per_minute", [10, 60, 600, 3000])
def test_a_group_is_polled_before_more_than_a_page_is_expected(per_minute: float) -> None:
    group, now = Group("fast", ("a",), 60, START), START
    group.count(100, now, overflowed=False)
    interval = 5.0
    for _ in range(int(1800 / interval)):
        now += interval
        group.count(round(per_minute / 60 * interval), now, overflowed=False)
    assert group.rate_upper >= per_minute / 60 * 0.9
    assert MAX_EXPECTED_NEW / group.rate_upper * per_minute / 60 <= 62


def test_after_an_overflow_the_group_is_polled_about_twice_as_often() -> None:
    run = harness([Subreddit("a", 60, "medium")])
    run.world.add(100)
    run.run(20)
    (group,) = run.planner.watchlist.groups
    before = group.interval
    run.world.add(300)
    run.run(before + 1)
    assert "open" in run.gaps
    assert group.interval <= 0.6 * before


def test_a_fetch_that_keeps_failing_does_not_delay_the_others() -> None:
    run = harness([*fast("a"), Subreddit("b", 180, "medium")])
    for _ in range(200):
        run.round(works=lambda fetch: "a" not in fetch.names)
        run.world.now += 1
    assert len([fetch for fetch in run.fetches if "b" in fetch.names]) >= 15
    assert len([fetch for fetch in run.fetches if "a" in fetch.names]) >= 3
