"""What is known of subreddits that showed nothing, and what follows from it for their groups."""

import pytest

from signalflow.domain.emptiness import BELIEVED_AFTER, EmptyListings
from signalflow.domain.fetches import SilenceFetch
from signalflow.domain.groups import Group
from signalflow.domain.known import KnownPost, Seen, first_seen
from signalflow.domain.silence import Silences
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.watchlist import EXCLUSIONS, Watchlist
from tests.unit.domain.listing_world import fast

NOW = 1_000_000.0


def posts(**counts: int) -> list[KnownPost]:
    """So many known posts of each subreddit."""
    return [
        first_seen(Seen(f"{name}{number}", name, NOW - 600, 1, 0), NOW - 500)
        for name, count in counts.items()
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("known", "is_doubtful"),
    [({"a": 2}, False), ({"a": 3}, True), ({"a": 2, "b": 1}, True), ({"a": 2, "c": 9}, False), ({}, False)],
)
def test_three_known_posts_of_all_its_subreddits_make_an_empty_listing_doubtful(
    known: dict[str, int], is_doubtful: bool
) -> None:
    assert EmptyListings().is_doubtful(("a", "b"), posts(**known)) is is_doubtful


@pytest.mark.parametrize(("missing", "is_doubtful"), [(0, True), (1, False)])
def test_posts_that_are_no_longer_shown_do_not_count(missing: int, is_doubtful: bool) -> None:
    known = posts(a=3)
    for post in known[:missing]:
        post.absences, post.absent_since = 3, NOW
    assert EmptyListings().is_doubtful(("a",), known) is is_doubtful


def test_the_posts_of_a_subreddit_that_is_believed_or_on_trial_count_again_once_one_is_shown() -> None:
    empty = EmptyListings()
    empty.believe("a")
    assert not empty.is_doubtful(("a",), posts(a=3))
    assert empty.is_doubtful(("a", "b"), posts(a=3, b=3))
    empty.shown(("a", "b"), {"b"})
    assert not empty.is_doubtful(("a",), posts(a=3))
    empty.shown(("a", "b"), {"a"})
    assert empty.is_doubtful(("a",), posts(a=3))
    assert empty.put_on_trial("a", 2)
    assert not empty.is_doubtful(("a",), posts(a=3))


def test_one_subreddit_at_a_time_is_on_trial() -> None:
    empty = EmptyListings()
    assert empty.put_on_trial("a", 2)
    assert not empty.put_on_trial("b", 0)
    assert empty.put_on_trial("a", 2)
    assert empty.on_trial == "a"
    assert empty.convict() == 2
    assert (empty.on_trial, empty.is_guilty("a"), empty.is_guilty("b")) == (None, True, False)
    assert empty.is_doubtful(("a",), []), "alone, though no post of it is known"
    assert not empty.is_doubtful(("a", "b"), [])
    assert empty.put_on_trial("b", 0)


@pytest.mark.parametrize(
    ("names", "shown", "on_trial"),
    [(("a", "b"), {"b"}, None), (("a",), {"a"}, None), (("b", "c"), {"b"}, "a"), (("a",), (), "a")],
)
def test_a_trial_ends_when_its_group_shows_a_post_or_the_subreddit_does(
    names: tuple[str, ...], shown: set[str], on_trial: str | None
) -> None:
    empty = EmptyListings()
    empty.put_on_trial("a", 0)
    empty.shown(names, shown)
    assert empty.on_trial == on_trial
    assert not empty.is_guilty("a")


def test_a_subreddit_that_is_no_longer_watched_is_on_trial_no_more() -> None:
    empty = EmptyListings()
    empty.put_on_trial("a", 0)
    empty.keep({"a", "b"})
    assert empty.on_trial == "a"
    empty.keep({"b"})
    assert empty.on_trial is None


# --- in the groups


def watching(*names: str) -> tuple[Watchlist, LastAnswers]:
    answers = LastAnswers()
    watch = Watchlist(20, answers)
    watch.configure([*fast(*names), Subreddit("slow", 600, "slow")], NOW)
    return watch, answers


def show_nothing(watch: Watchlist, answers: LastAnswers, names: tuple[str, ...], now: float) -> None:
    """The group's listing is empty at `now`, and others have shown posts a second before."""
    answers.note("listing", now - 1)
    (group,) = [group for group in watch.groups if group.names == names]
    watch.started(group, now)
    watch.unanswered(group, now, was_empty=True)


def test_a_subreddit_that_shows_nothing_alone_is_put_on_trial_at_the_third_time() -> None:
    watch, answers = watching("a")
    show_nothing(watch, answers, ("a",), NOW)
    show_nothing(watch, answers, ("a",), NOW + 3)
    now = NOW + 3
    for tries in range(1, BELIEVED_AFTER):
        assert (watch.excluded, watch.empty_listings.on_trial) == ({"a"}, None), tries
        # The usual groups are formed without it first.
        watch.due(now)
        now += EXCLUSIONS.after(tries)
        watch.due(now)
        show_nothing(watch, answers, ("a",), now)
    assert (watch.excluded, watch.empty_listings.on_trial) == (frozenset(), "a")


def test_the_subreddit_on_trial_is_set_aside_when_its_group_shows_nothing_and_the_rest_is_polled_at_once() -> None:
    watch, answers = watching("a", "b", "c")
    watch.empty_listings.put_on_trial("b", 4)
    show_nothing(watch, answers, ("a", "b", "c"), NOW + 9)
    assert watch.set_aside == {"b"}
    assert [(group.names, group.due) for group in watch.groups if "a" in group.names] == [(("a", "c"), NOW + 9)]
    assert watch.due(NOW + 9 + EXCLUSIONS.after(5) - 1) is not None
    assert ("b",) not in [group.names for group in watch.groups]
    watch.due(NOW + 9 + EXCLUSIONS.after(5))
    assert ("b",) in [group.names for group in watch.groups]


def test_an_empty_answer_is_repeated_after_the_usual_interval() -> None:
    watch, answers = watching("a", "b")
    for turn in range(5):
        (group,) = [group for group in watch.groups if group.names == ("a", "b")]
        watch.unanswered(group, NOW + turn, was_empty=True)
        assert group.due == NOW + turn + group.interval
    assert not answers.came_since(NOW)


@pytest.mark.parametrize(("shows_posts", "is_halved"), [(True, True), (False, False)])
def test_only_an_answer_with_posts_shows_that_a_name_is_the_reason_of_an_empty_one(
    shows_posts: bool, is_halved: bool
) -> None:
    watch, answers = watching("a", "b")
    (group,) = [group for group in watch.groups if group.names == ("a", "b")]
    watch.unanswered(group, NOW, was_empty=True)
    answers.note("listing", NOW + 1, shows_posts=shows_posts)
    watch.unanswered(group, NOW + 3, was_empty=True)
    assert (group not in watch.groups) is is_halved


def test_a_group_by_itself_that_is_empty_and_on_trial_is_believed() -> None:
    watch, _ = watching("a")
    watch.empty_listings.put_on_trial("a", 3)
    (group,) = [group for group in watch.groups if group.names == ("a",)]
    watch.showed_nothing(group, NOW)
    assert watch.empty_listings.on_trial is None
    assert not watch.empty_listings.is_doubtful(("a",), posts(a=9))


def test_a_silent_subreddit_counts_its_refusals_anew_after_an_answer() -> None:
    silences = Silences()
    assert [silences.refused("a", NOW), silences.refused("a", NOW)] == [1, 2]
    silences.answered("a")
    assert silences.refused("a", NOW) == 1


def test_of_a_pair_the_one_on_trial_is_set_aside_and_the_usual_groups_are_formed_after_the_next_answer() -> None:
    watch, answers = watching("a", "b")
    watch.empty_listings.put_on_trial("b", 0)
    show_nothing(watch, answers, ("a", "b"), NOW + 9)
    assert watch.set_aside == {"b"}
    (rest,) = [group for group in watch.groups if group.names == ("a",)]
    assert rest.is_temporary
    watch.succeeded(rest, NOW + 10)
    watch.due(NOW + 10)
    assert not any(group.is_temporary for group in watch.groups)


def test_a_subreddit_that_only_has_to_catch_up_is_not_put_on_trial() -> None:
    watch, _ = watching("a", "b")
    watch.poll_alone({"a": ()}, NOW)
    watch.due(NOW)
    (probe,) = [group for group in watch.groups if group.names == ("a",)]
    watch.showed_nothing(probe, NOW)
    assert (watch.empty_listings.on_trial, watch.excluded) == (None, frozenset())


def test_a_trial_remembers_how_often_the_subreddit_was_set_aside_while_its_own_listing_stays_empty() -> None:
    watch, _ = watching("a", "b")
    watch.empty_listings.put_on_trial("a", 4)
    half = Group("fast", ("a",), 60, NOW, is_temporary=True, is_emptied=True)
    watch.showed_nothing(half, NOW)
    assert watch.empty_listings.convict() == 4


def test_a_silent_subreddit_is_told_twice_and_believed_at_the_third_empty_answer() -> None:
    silences, answers, empty = Silences(), LastAnswers(), EmptyListings()
    fetch = SilenceFetch("a", silences, answers, empty)
    told = []
    for turn in range(4):
        answers.note("listing", NOW + 2 * turn)
        told.append(fetch.showed_nothing(NOW + 2 * turn + 1))
    assert told == [False, True, True, False]
    assert silences.refused_names == frozenset()
    assert not empty.is_doubtful(("a",), posts(a=3))
