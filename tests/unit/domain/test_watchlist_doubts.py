"""Groups whose listing fails or shows nothing: when their names are suspected, put on trial, and polled together."""

import math

import pytest

from signalflow.domain.groups import Group
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.watchlist import EXCLUSIONS, RETRY_UNAVAILABLE, REUNIONS, Watchlist
from tests.unit.domain.listing_world import fast

NOW = 1_000_000.0


def watching(*names: str) -> tuple[Watchlist, LastAnswers]:
    answers = LastAnswers()
    watch = Watchlist(20, answers)
    watch.configure(fast(*names), NOW)
    return watch, answers


def group_of(watch: Watchlist, *names: str) -> Group:
    return next(group for group in watch.groups if group.names == names)


def names_of(watch: Watchlist) -> list[tuple[str, ...]]:
    return sorted(group.names for group in watch.groups)


def halve(watch: Watchlist, answers: LastAnswers, now: float, *, was_empty: bool = False) -> None:
    """The only group has no answer, another listing has one, and the group has none again."""
    (group,) = watch.groups
    watch.unanswered(group, now, was_empty=was_empty)
    answers.note("listing", now + 1)
    watch.unanswered(group, now + 2, was_empty=was_empty)
    assert len(watch.groups) == 2


def retried(watch: Watchlist, name: str, now: float) -> Group:
    """The group in which an excluded subreddit is tried again."""
    watch.due(now)
    return group_of(watch, name)


def wait_of(watch: Watchlist, name: str, now: float) -> float:
    """After how many seconds an excluded subreddit is tried again."""
    for seconds in range(4000):
        watch.due(now + seconds)
        if (name,) in names_of(watch):
            return seconds
    return math.inf


# --- no answer


def test_a_group_is_in_doubt_from_its_second_failure_in_a_row_until_anything_is_answered() -> None:
    watch, answers = watching("a")
    (group,) = watch.groups
    watch.failed(group, NOW)
    assert watch.in_doubt_since() == -math.inf
    watch.failed(group, NOW + 5)
    assert watch.in_doubt_since() == NOW + 5
    answers.note("posts", NOW + 6)
    assert watch.in_doubt_since() == -math.inf


@pytest.mark.parametrize(("was_empty", "wait"), [(False, 4), (True, 1)])
def test_a_group_without_an_answer_waits_longer_each_time_but_an_empty_answer_is_one(
    was_empty: bool, wait: float
) -> None:
    watch, _ = watching("a")
    (group,) = watch.groups
    for _ in range(3):
        if was_empty:
            watch.unanswered(group, NOW, was_empty=True)
        else:
            watch.unanswered(group, NOW)
    assert group.due == NOW + wait * group.interval


@pytest.mark.parametrize("names", ["a", "ab"])
def test_an_empty_answer_to_another_is_no_evidence_against_a_group_that_shows_nothing(names: str) -> None:
    watch, answers = watching(*names)
    (group,) = watch.groups
    watch.unanswered(group, NOW, was_empty=True)
    answers.note("listing", NOW + 1, shows_posts=False)
    watch.unanswered(group, NOW + 2, was_empty=True)
    assert names_of(watch) == [tuple(names)]


def test_a_half_that_fails_once_more_is_halved_by_any_answer_in_between() -> None:
    watch, answers = watching("a", "b", "c", "d")
    halve(watch, answers, NOW)
    answers.note("posts", NOW + 3)
    watch.unanswered(group_of(watch, "a", "b"), NOW + 4)
    assert names_of(watch) == [("a",), ("b",), ("c", "d")]


def test_the_next_failure_of_a_half_counts_as_its_third() -> None:
    watch, answers = watching("a", "b")
    halve(watch, answers, NOW)
    half = group_of(watch, "a")
    watch.failed(half, NOW + 3)
    assert half.due == NOW + 3 + 4 * half.interval


def test_another_pace_leaves_halves_as_they_are() -> None:
    watch, answers = watching("a", "b")
    halve(watch, answers, NOW)
    watch.set_pace(30, NOW + 3)
    assert names_of(watch) == [("a",), ("b",)]
    assert [group.interval for group in watch.groups] == [2, 2]


def reunion(watch: Watchlist, answers: LastAnswers, now: float) -> float:
    """The group is halved, and both halves are answered at `now`: how long they stay apart."""
    halve(watch, answers, now - 3)
    for half in list(watch.groups):
        watch.succeeded(half, now)
    for seconds in range(4000):
        watch.due(now + seconds)
        if len(watch.groups) == 1:
            return seconds
    return math.inf


def test_halves_of_a_group_that_had_no_answer_stay_apart_longer_each_time() -> None:
    watch, answers = watching("a", "b")
    now, waits = NOW, []
    for _ in range(4):
        waits.append(reunion(watch, answers, now))
        now += waits[-1] + 600
    assert waits == [REUNIONS.after(times) for times in (1, 2, 3, 4)] == [60, 120, 240, 480]


@pytest.mark.parametrize(("later", "wait"), [(2 * RETRY_UNAVAILABLE - 1, 120), (2 * RETRY_UNAVAILABLE, 60)])
def test_after_two_hours_together_a_group_is_united_soon_again(later: float, wait: float) -> None:
    watch, answers = watching("a", "b")
    together_at = NOW + reunion(watch, answers, NOW)
    assert reunion(watch, answers, together_at + later) == wait


@pytest.mark.parametrize("but", ["", "all are answered", "one has a gap", "one was refused", "one is faster"])
def test_answered_parts_of_a_group_are_polled_together_while_another_part_is_suspected(but: str) -> None:
    answers = LastAnswers()
    watch = Watchlist(20, answers)
    watch.configure([Subreddit(name, 180, "medium") for name in "abcdefgh"], NOW)
    anchor = Anchor(frozenset({"p1", "p2", "p3"}), NOW - 60)
    watch.groups[0].anchors = (anchor,)
    halve(watch, answers, NOW)
    answers.note("posts", NOW + 3)
    watch.unanswered(group_of(watch, *"abcd"), NOW + 4)
    first, second = group_of(watch, *"ab"), group_of(watch, *"cd")
    for part in (first, second, *([group_of(watch, *"efgh")] if but == "all are answered" else ())):
        watch.succeeded(part, NOW + 5)
    if but == "one has a gap":
        second.gap = Gap(("c", "d"), (anchor,), NOW)
    second.is_refused = but == "one was refused"
    if but == "one is faster":
        second.priority = "fast"
    first.due = second.due = NOW + 60
    watch.due(NOW + 5)
    if but:
        assert names_of(watch) == [tuple("ab"), tuple("cd"), tuple("efgh")]
        return
    assert names_of(watch) == [tuple("abcd"), tuple("efgh")]
    joined = group_of(watch, *"abcd")
    assert (joined.priority, joined.is_temporary, joined.is_answered) == ("medium", True, True)
    assert (joined.anchors, joined.due) == ((anchor.by_time(),), NOW + 5)
    assert joined.interval > 0


def test_answered_parts_of_two_groups_that_do_not_fit_into_one_request_stay_apart() -> None:
    watch, answers = watching(*(f"s{number:03}" for number in range(240)))
    for group in list(watch.groups):
        assert len(group.names) == 120
        watch.unanswered(group, NOW)
    answers.note("listing", NOW + 1)
    for group in list(watch.groups):
        watch.unanswered(group, NOW + 2)
    first, second, third, suspected = watch.groups
    for half in (first, second, third):
        watch.succeeded(half, NOW + 3)
    watch.due(NOW + 3)
    assert watch.groups == [first, second, third, suspected]


# --- listings that show nothing


def test_one_half_of_a_group_that_showed_nothing_is_put_on_trial_when_it_shows_nothing_either() -> None:
    watch, answers = watching("a", "b")
    halve(watch, answers, NOW, was_empty=True)
    watch.showed_nothing(group_of(watch, "a"), NOW + 3)
    assert watch.empty_listings.on_trial == "a"
    assert watch.excluded == frozenset()


def test_a_half_of_several_names_that_shows_nothing_is_halved_again_at_once() -> None:
    watch, answers = watching("a", "b", "c", "d")
    halve(watch, answers, NOW, was_empty=True)
    watch.showed_nothing(group_of(watch, "a", "b"), NOW + 3)
    halves = [group_of(watch, "a"), group_of(watch, "b")]
    assert [(half.is_emptied, half.is_refused, half.due) for half in halves] == [(True, False, NOW + 3)] * 2


def test_the_half_of_a_refused_group_may_be_empty() -> None:
    watch, _ = watching("a", "b", "c", "d")
    watch.refused(watch.groups[0], NOW)
    watch.showed_nothing(group_of(watch, "a", "b"), NOW + 3)
    assert names_of(watch) == [("a", "b"), ("c", "d")]


def test_a_subreddit_that_only_catches_up_may_be_empty() -> None:
    watch, _ = watching("a", "b")
    watch.poll_alone({"b": ()}, NOW)
    watch.showed_nothing(retried(watch, "b", NOW), NOW)
    assert watch.empty_listings.on_trial is None
    assert watch.excluded == frozenset()


@pytest.mark.parametrize("names", ["a", "ab"])
def test_a_name_on_trial_in_a_listing_that_may_be_empty_does_no_harm(names: str) -> None:
    watch, _ = watching(*names)
    watch.empty_listings.put_on_trial("a", 0)
    watch.showed_nothing(watch.groups[0], NOW)
    assert watch.empty_listings.on_trial is None
    assert not watch.empty_listings.is_guilty("a")


@pytest.mark.parametrize("tries", [0, 1])
def test_a_name_that_empties_its_group_on_trial_is_left_out_longer_if_it_was_before(tries: int) -> None:
    watch, answers = watching("a", "b", "c")
    group = watch.groups[0]
    if tries:
        # Refused once, and then without a post in an answer of its own.
        watch.refused(group, NOW)
        watch.refused(group_of(watch, "a"), NOW)
        group = retried(watch, "a", NOW + EXCLUSIONS.after(1))
    else:
        halve(watch, answers, NOW, was_empty=True)
        group = group_of(watch, "a")
    now = NOW + 100
    watch.showed_nothing(group, now)
    assert watch.empty_listings.on_trial == "a"
    watch.configure(fast("a", "b", "c", "d"), now)
    watch.unanswered(group_of(watch, "a", "b", "c", "d"), now, was_empty=True)
    assert watch.excluded == {"a"}
    assert wait_of(watch, "a", now) == EXCLUSIONS.after(tries + 1)


def convicted(watch: Watchlist, now: float) -> None:
    """The only group shows nothing because of the subreddit a, which is on trial."""
    (group,) = watch.groups
    watch.empty_listings.put_on_trial("a", 0)
    watch.unanswered(group, now, was_empty=True)
    assert watch.set_aside == {"a"}


def test_a_name_that_was_the_reason_and_shows_nothing_alone_is_put_on_trial_again() -> None:
    watch, answers = watching("a", "b")
    convicted(watch, NOW)
    answers.note("listing", NOW + 1)
    alone = retried(watch, "a", NOW + EXCLUSIONS.after(1))
    watch.succeeded(group_of(watch, "b"), NOW + 65)
    assert watch.unanswered(alone, NOW + 70, was_empty=True)
    assert watch.empty_listings.on_trial == "a"
    assert watch.excluded == frozenset()
    watch.due(NOW + 70)
    assert names_of(watch) == [("a", "b")], "its group is to show whether it does harm"


def test_a_subreddit_that_shows_nothing_alone_three_times_is_put_on_trial() -> None:
    watch, answers = watching("a", "b")
    halve(watch, answers, NOW, was_empty=True)
    watch.succeeded(group_of(watch, "b"), NOW + 3)
    alone, now = group_of(watch, "a"), NOW + 10
    for tries in (1, 2):
        answers.note("listing", now - 1)
        assert watch.unanswered(alone, now, was_empty=True)
        assert (watch.set_aside, watch.empty_listings.on_trial) == ({"a"}, None)
        watch.due(now)
        now += EXCLUSIONS.after(tries)
        alone = retried(watch, "a", now)
    answers.note("listing", now - 1)
    assert watch.unanswered(alone, now, was_empty=True)
    assert watch.empty_listings.on_trial == "a"
    watch.due(now)
    watch.unanswered(group_of(watch, "a", "b"), now + 1, was_empty=True)
    assert watch.set_aside == {"a"}
    assert wait_of(watch, "a", now + 1) == EXCLUSIONS.after(3)


def test_a_name_that_was_the_reason_must_reach_back_to_what_its_group_had() -> None:
    watch, _ = watching("a", "b")
    anchor = Anchor(frozenset({"p1", "p2", "p3"}), NOW - 60)
    watch.groups[0].anchors = (anchor,)
    convicted(watch, NOW)
    assert retried(watch, "a", NOW + EXCLUSIONS.after(1)).anchors == (anchor.by_time(),)


def test_without_the_name_that_was_the_reason_a_group_is_the_usual_one_once_it_is_answered() -> None:
    watch, _ = watching("a", "b", "c")
    convicted(watch, NOW)
    rest = group_of(watch, "b", "c")
    assert (rest.is_temporary, rest.due) == (True, NOW)
    watch.succeeded(rest, NOW + 1)
    watch.due(NOW + 1)
    assert [(group.names, group.is_temporary) for group in watch.groups] == [(("b", "c"), False)]


def test_a_name_that_is_refused_after_a_conviction_waits_twice_as_long() -> None:
    watch, _ = watching("a", "b")
    convicted(watch, NOW)
    watch.refused(retried(watch, "a", NOW + EXCLUSIONS.after(1)), NOW + 100)
    assert wait_of(watch, "a", NOW + 100) == EXCLUSIONS.after(2)


def test_a_name_on_trial_that_is_a_group_by_itself_harms_nobody() -> None:
    watch, _ = watching("a")
    watch.empty_listings.put_on_trial("a", 0)
    assert not watch.unanswered(watch.groups[0], NOW, was_empty=True)
    assert (names_of(watch), watch.excluded) == ([("a",)], frozenset())


def test_a_late_answer_to_a_group_that_is_gone_changes_no_group() -> None:
    watch, _ = watching("a", "b")
    (group,) = watch.groups
    watch.configure(fast("a", "b", "c"), NOW)
    watch.empty_listings.put_on_trial("a", 0)
    assert not watch.unanswered(group, NOW + 1, was_empty=True)
    assert names_of(watch) == [("a", "b", "c")]
