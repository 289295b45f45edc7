"""Groups of subreddits: when each is polled, how often, and how they are halved and formed again."""

import math

import pytest

from signalflow.domain.groups import Group, split_names
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.watchlist import RETRY_UNAVAILABLE, Watchlist
from tests.unit.domain.listing_world import fast

NOW = 1_000_000.0
ANCHOR = Anchor(frozenset({"p1", "p2", "p3"}), NOW - 60)


def watchlist(*subreddits: Subreddit, per_minute: float = 20) -> Watchlist:
    made = Watchlist(per_minute)
    made.configure(subreddits, NOW)
    return made


def names_of(watch: Watchlist) -> list[tuple[str, ...]]:
    return [group.names for group in watch.groups]


def poll(watch: Watchlist, now: float, *, refused: str = "") -> list[tuple[str, ...]]:
    """Poll every group that is due, each once; returns their names."""
    polled = []
    while (group := watch.due(now)) is not None:
        polled.append(group.names)
        watch.started(group, now)
        if refused and refused in group.names:
            watch.refused(group, now)
        else:
            watch.succeeded(group, now)
    return polled


# --- the rate of new posts


def counted(*polls: tuple[float, int], rate: float = 0.0) -> Group:
    """A group whose first poll was at 0. Each later one has the time and the number of new posts."""
    group = Group("fast", ("a",), 60, 0.0)
    group.count(100, 0.0, overflowed=False)
    group.rate = rate
    for now, new in polls:
        group.count(new, now, overflowed=False)
    return group


def test_the_first_page_says_nothing_about_the_rate() -> None:
    group = counted()
    assert (group.rate, group.bin_start, group.bin_count, group.polled_at) == (0.0, 0.0, 0, 0.0)


def test_the_rate_changes_once_30_seconds_were_counted() -> None:
    group = counted((10, 20), (29.9, 20))
    assert (group.rate, group.bin_count, group.polled_at) == (0.0, 40, 29.9)
    group.count(20, 30.0, overflowed=False)
    # 2 posts a second, of which 1 - exp(-30/200) counts.
    assert group.rate == pytest.approx(0.2785840, abs=1e-6)
    assert (group.bin_start, group.bin_count) == (30.0, 0)


def test_the_rate_falls_three_times_slower_than_it_rises() -> None:
    # exp(-60/600) and, from 0, 1 - exp(-60/200)
    assert counted((60, 0), rate=1.0).rate == pytest.approx(0.9048374, abs=1e-6)
    assert counted((60, 60)).rate == pytest.approx(0.2591818, abs=1e-6)
    assert counted((30, 300), (90, 0)).rate == pytest.approx(10 * 0.1392920 * 0.9048374, abs=1e-5)


def test_an_overflow_raises_the_rate_at_once_and_never_lowers_it() -> None:
    group = counted((10, 3))
    group.count(100, 10.5, overflowed=True)
    assert (group.rate, group.bin_start, group.bin_count) == (200.0, 10.5, 0)
    group.count(100, 20.5, overflowed=True)
    assert group.rate == 200.0


def test_two_answers_at_one_moment_are_no_infinite_rate() -> None:
    group = counted((10, 3))
    group.count(100, 10, overflowed=True)
    assert (group.rate, group.bin_count) == (0.0, 103)


# --- parts of a listing


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (120, [120]), (121, [61, 60]), (241, [81, 81, 79])])
def test_subreddits_are_divided_into_equal_parts_of_at_most_120(count: int, sizes: list[int]) -> None:
    assert [len(part) for part in split_names([f"s{number}" for number in range(count)])] == sizes


def test_a_part_has_at_most_1900_characters_and_one_name_at_least() -> None:
    names = ["x" * 37] * 50  # with the plus signs between them 1,899 characters
    assert [len(part) for part in split_names(names)] == [50]
    assert [len(part) for part in split_names([*names[1:], "x" * 38])] == [50]
    assert [len(part) for part in split_names([*names[1:], "x" * 39])] == [25, 25]
    assert split_names(["x" * 1901, "y"]) == [("x" * 1901,), ("y",)]


# --- how often a group is polled


@pytest.mark.parametrize(
    ("priorities", "per_minute", "intervals"),
    [
        (["fast", "medium", "slow"], 20, [5, 10, 30]),
        (["fast", "medium", "slow"], 40, [2.5, 5, 15]),
        # Groups of one priority alone share the whole budget, but a slow one is not polled as often as a fast one.
        (["fast"], 20, [3]),
        (["medium"], 20, [6]),
        (["slow"], 20, [18]),
        (["fast"], 95, [1]),
    ],
)
def test_groups_share_the_budget_by_their_priority(
    priorities: list[str], per_minute: float, intervals: list[float]
) -> None:
    subreddits = [Subreddit(f"s{n}", 600, priority) for n, priority in enumerate(priorities)]  # type: ignore[arg-type]
    watch = watchlist(*subreddits, per_minute=per_minute)
    assert [group.interval for group in watch.groups] == pytest.approx(intervals)


def test_the_halves_of_a_group_do_not_take_the_budget_of_the_others() -> None:
    watch = watchlist(*fast("a", "b"), Subreddit("m", 180, "medium"), Subreddit("s", 600, "slow"))
    watch.refused(watch.groups[0], NOW)
    intervals = {group.names: group.interval for group in watch.groups}
    assert intervals == pytest.approx({("m",): 10, ("s",): 30, ("a",): 5, ("b",): 5})


def test_a_group_is_polled_before_55_posts_are_expected_and_within_its_shortest_interval() -> None:
    watch = watchlist(*fast("a", interval=2.5))
    (group,) = watch.groups
    assert group.interval == 2.5
    group.rate = 50.0
    watch.succeeded(group, NOW)
    # 50 + 2 * sqrt(50 / 200) = 51 a second
    assert group.interval == pytest.approx(55 / 51)
    group.rate = 500.0
    watch.succeeded(group, NOW)
    assert group.interval == 1.0
    watch = watchlist(Subreddit("s", 600, "slow"), per_minute=15)
    (group,) = watch.groups
    assert group.interval == 24
    group.rate = 8.0
    watch.succeeded(group, NOW)
    # 8 + 2 * sqrt(8 / 200) = 8.4 a second
    assert group.interval == pytest.approx(55 / 8.4)


def test_a_rate_below_one_post_a_second_shortens_a_long_interval_too() -> None:
    watch = watchlist(Subreddit("s", 600, "slow"), per_minute=0.5)
    (group,) = watch.groups
    assert group.interval == 120
    group.rate = 0.5
    watch.succeeded(group, NOW)
    # 0.5 + 2 * sqrt(0.5 / 200) = 0.6 a second
    assert group.interval == pytest.approx(55 / 0.6)


def test_few_listings_a_minute_serve_all_priorities_at_once() -> None:
    names = [*fast("a"), Subreddit("m", 180, "medium"), Subreddit("s", 600, "slow")]
    watch = watchlist(*names, per_minute=1)
    assert [(group.names, group.interval) for group in watch.groups] == [(("a", "m", "s"), 60)]
    # Two groups share what is allowed.
    watch = watchlist(*(Subreddit(f"s{number}", 600, "slow") for number in range(121)), per_minute=1)
    assert [(len(group.names), group.interval) for group in watch.groups] == [(61, 120), (60, 120)]


def test_another_pace_changes_intervals_and_perhaps_groups() -> None:
    watch = watchlist(*fast("a"), Subreddit("s", 600, "slow"), per_minute=1)
    poll(watch, NOW)
    watch.set_pace(4, NOW)
    assert [(group.names, group.interval) for group in watch.groups] == [(("a", "s"), 15)]
    watch.set_pace(20, NOW)
    assert names_of(watch) == [("a",), ("s",)]
    watch.set_pace(4, NOW)
    assert names_of(watch) == [("a", "s")]


# --- which group comes next


def test_groups_that_begin_together_are_polled_a_second_apart() -> None:
    watch = watchlist(*fast("a"), Subreddit("m", 180, "medium"), Subreddit("s", 600, "slow"))
    assert [group.due - NOW for group in watch.groups] == [0, 1, 2]
    assert watch.next_due() == NOW
    assert Watchlist(20).next_due() == math.inf


def test_the_group_that_is_late_for_the_largest_part_of_its_interval_comes_first() -> None:
    watch = watchlist(*fast("a"), Subreddit("m", 180, "medium"))
    a, m = watch.groups
    a.due, m.due, a.interval, m.interval = NOW, NOW - 3, 5.0, 30.0
    assert watch.due(NOW - 3.1) is None
    assert watch.due(NOW) is m
    assert watch.due(NOW + 1) is a, "late by 1/5 of its interval; the other one by 4/30"
    watch.started(a, NOW + 1)
    assert a.due == NOW + 6


def test_a_failed_poll_is_repeated_after_waits_that_double_up_to_a_minute() -> None:
    watch = watchlist(*fast("a"))
    (group,) = watch.groups
    waits = []
    for _ in range(7):
        watch.failed(group, NOW)
        waits.append(group.due - NOW)
    assert waits == pytest.approx([3, 6, 12, 24, 48, 60, 60])
    watch.succeeded(group, NOW)
    watch.failed(group, NOW)
    assert group.due - NOW == pytest.approx(3)


# --- configuration


def test_without_a_configuration_nothing_is_watched() -> None:
    watch = Watchlist(20)
    assert "a" not in watch
    assert (watch.due(NOW), watch.configure([], NOW), watch.groups) == (None, False, [])


def test_names_are_lower_case_and_an_equal_configuration_changes_nothing() -> None:
    watch = watchlist(Subreddit("Python", 60, "fast", polled_at=NOW - 5))
    assert "python" in watch
    assert "Python" not in watch
    assert not watch.configure([Subreddit("python", 60, "fast")], NOW)
    assert watch.configure([Subreddit("python", 90, "fast")], NOW)
    assert watch.groups[0].max_interval == 90


def test_a_subreddit_that_is_no_longer_watched_is_not_tried_again() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.poll_alone({"b": ()}, NOW)
    assert watch.excluded == {"b"}
    watch.configure(fast("a"), NOW)
    assert watch.excluded == frozenset()


def test_an_interval_that_needs_it_makes_a_subreddit_faster() -> None:
    priorities = [Subreddit("a", seconds, "slow").polling_priority for seconds in (30, 29, 10, 9, 5, 4)]
    assert priorities == ["slow", "medium", "medium", "fast", "fast", "fast"]


# --- subreddits outside of the groups


def test_subreddits_that_must_catch_up_are_polled_alone_at_once_with_their_own_anchors() -> None:
    watch = watchlist(*fast("a", "b", "c", interval=45))
    watch.poll_alone({"b": ()}, NOW)
    watch.poll_alone({"c": ()}, NOW)
    watch.poll_alone({"b": (ANCHOR,)}, NOW)
    assert watch.excluded == {"b", "c"}
    assert names_of(watch) == [("a",)]
    watch.started(watch.groups[0], NOW)
    probe = watch.due(NOW)
    assert probe is not None
    assert (probe.names, probe.anchors, probe.due, probe.max_interval) == (("b",), (ANCHOR,), NOW, 45)
    assert probe.is_temporary
    assert probe.interval > 0


def test_a_subreddit_that_caught_up_joins_the_others_at_once() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.poll_alone({"b": (ANCHOR,)}, NOW)
    assert sorted(poll(watch, NOW + 1)) == [("a",), ("a", "b"), ("b",)]
    assert names_of(watch) == [("a", "b")]
    assert watch.excluded == frozenset()


def test_a_subreddit_that_is_polled_alone_is_not_tried_twice_within_an_hour() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.poll_alone({"b": ()}, NOW)
    watch.due(NOW)
    watch.due(NOW + RETRY_UNAVAILABLE - 1)
    assert names_of(watch) == [("a",), ("b",)]


def test_a_subreddit_that_is_being_polled_alone_when_groups_change_is_tried_again_at_once() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.poll_alone({"b": (ANCHOR,)}, NOW)
    watch.due(NOW)
    watch.configure(fast("a", "b", "c"), NOW + 5)
    assert names_of(watch) == [("a", "c")]
    watch.due(NOW + 5)
    assert names_of(watch) == [("a", "c"), ("b",)]


# --- refusals


def test_a_refused_group_is_halved_and_both_halves_are_due_at_once() -> None:
    watch = watchlist(*fast("a", "b", "c", "d", "e"))
    (group,) = watch.groups
    group.anchors, group.rate = (ANCHOR,), 10.0
    watch.started(group, NOW)
    watch.refused(group, NOW + 1)
    assert names_of(watch) == [("a", "b"), ("c", "d", "e")]
    assert [half.due for half in watch.groups] == [NOW + 1, NOW + 1]
    assert [half.rate for half in watch.groups] == pytest.approx([4.0, 6.0]), "by the number of their subreddits"
    assert [half.anchors for half in watch.groups] == [(ANCHOR.by_time(),)] * 2
    assert all(half.is_temporary for half in watch.groups)
    watch.refused(group, NOW + 2)
    assert len(watch.groups) == 2, "an answer to a group that is no longer there changes nothing"


def test_halves_of_a_group_that_was_late_are_as_late() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.refused(watch.groups[0], NOW + 9)
    assert [half.due for half in watch.groups] == [NOW, NOW]


def test_halves_that_were_both_answered_are_polled_together_again_after_an_hour() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.refused(watch.groups[0], NOW)
    assert sorted(poll(watch, NOW)) == [("a",), ("b",)]
    poll(watch, NOW + RETRY_UNAVAILABLE - 1)
    assert names_of(watch) == [("a",), ("b",)]
    watch.due(NOW + RETRY_UNAVAILABLE)
    assert names_of(watch) == [("a", "b")]
    assert not watch.groups[0].is_temporary


def test_a_half_without_an_answer_puts_off_the_merge() -> None:
    watch = watchlist(*fast("a", "b"))
    watch.refused(watch.groups[0], NOW)
    first, second = watch.groups
    watch.succeeded(first, NOW)
    watch.due(NOW + 2 * RETRY_UNAVAILABLE)
    assert names_of(watch) == [("a",), ("b",)]
    watch.succeeded(second, NOW + 2 * RETRY_UNAVAILABLE)
    watch.due(NOW + 3 * RETRY_UNAVAILABLE)
    assert names_of(watch) == [("a", "b")]


def test_a_refusal_before_the_merge_puts_it_off() -> None:
    watch = watchlist(*fast("a", "b", "c"))
    watch.refused(watch.groups[0], NOW)
    poll(watch, NOW)
    pair = next(group for group in watch.groups if len(group.names) == 2)
    watch.refused(pair, NOW + RETRY_UNAVAILABLE - 1)
    watch.due(NOW + RETRY_UNAVAILABLE + 1)
    assert sorted(names_of(watch)) == [("a",), ("b",), ("c",)]


def test_a_refused_subreddit_is_left_out_for_a_minute_and_the_others_are_polled_together_at_once() -> None:
    watch = watchlist(*fast("a", "b", "c", "d"))
    poll(watch, NOW, refused="c")
    assert names_of(watch) == [("a", "b", "d")]
    assert watch.excluded == {"c"}
    assert poll(watch, NOW + 59) == [("a", "b", "d")]
    assert ("c",) in poll(watch, NOW + 60)
    assert watch.excluded == frozenset()


def test_a_refused_subreddit_keeps_what_its_next_page_must_reach() -> None:
    watch = watchlist(*fast("a"), Subreddit("m", 180, "medium"))
    watch.groups[0].anchors = (ANCHOR,)
    watch.refused(watch.groups[0], NOW)
    poll(watch, NOW + 59)
    probe = watch.due(NOW + 60)
    assert probe is not None
    assert (probe.names, probe.anchors) == (("a",), (ANCHOR,))


def test_when_no_group_is_left_everything_is_tried_again_within_a_minute() -> None:
    watch = watchlist(*fast("a", "b"))
    poll(watch, NOW, refused="a")
    now = NOW + 10
    watch.refused(watch.groups[0], now)
    for _ in range(5):
        assert watch.groups == []
        # The first of these calls forms the groups anew, of which none is left.
        assert [watch.due(now + 49), watch.due(now + 49)] == [None, None]
        watch.due(now + 60)
        assert sorted(names_of(watch)) == [("a",), ("b",)]
        now += 60
        for group in list(watch.groups):
            watch.refused(group, now)


def test_the_gap_of_a_group_that_is_dissolved_is_kept() -> None:
    for dissolve in (
        lambda watch: watch.refused(watch.groups[0], NOW),
        lambda watch: watch.configure(fast("a", "b", "c"), NOW),
    ):
        watch = watchlist(*fast("a", "b"))
        (old,) = watch.groups
        gap = old.gap = Gap(("a", "b"), (ANCHOR,), NOW)
        dissolve(watch)
        assert watch.detached_gaps == [gap]
        assert [group.gap for group in (old, *watch.groups)] == [None] * (1 + len(watch.groups))


# --- new groups from old ones


def test_a_group_that_stays_keeps_its_anchors_and_a_new_one_waits_for_its_turn() -> None:
    watch = watchlist(*fast("a", "b"), Subreddit("m", 180, "medium"))
    for group in watch.groups:
        group.anchors = (ANCHOR,)
        watch.started(group, NOW + 2)
    watch.configure([*fast("a", "b"), Subreddit("m", 180, "medium"), Subreddit("s", 600, "slow")], NOW + 3)
    anchors = {group.names: group.anchors for group in watch.groups}
    assert anchors == {("a", "b"): (ANCHOR,), ("m",): (ANCHOR,), ("s",): ()}
    assert [group.due - NOW for group in watch.groups] == [3, 4, 5]


def test_a_group_of_several_old_ones_adds_their_rates_and_must_reach_the_earliest_anchor() -> None:
    watch = watchlist(*fast("a", "b"), Subreddit("c", 180, "medium"), Subreddit("d", 600, "slow"))
    early, late = Anchor(frozenset({"x"}), NOW - 500), Anchor(frozenset({"y"}), NOW - 100)
    for group, rate, at, anchor in zip(watch.groups, (2.0, 3.0, 8.0), (10, 20, 90), (early, late, early), strict=True):
        group.rate, group.polled_at, group.bin_start, group.due = rate, NOW + at, NOW + at + 1, NOW + 200 + at
        group.anchors = (anchor,)
    watch.configure([*fast("b", "c"), Subreddit("d", 600, "slow")], NOW + 205)
    merged = next(group for group in watch.groups if group.names == ("b", "c"))
    assert merged.rate == pytest.approx(4.0), "half of a and b, and all of c"
    assert (merged.polled_at, merged.bin_start) == (NOW + 20, NOW + 21)
    assert merged.anchors == (early.by_time(),)
    assert merged.max_interval == 60
