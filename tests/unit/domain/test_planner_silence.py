"""Subreddits of which combined listings show nothing: quiet ones, and ones that cannot be read."""

import pytest

from signalflow.domain.fetches import SilenceFetch
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import Harness, fast, harness


def asked_alone(run: Harness) -> list[str]:
    return [fetch.name for fetch in run.fetches if isinstance(fetch, SilenceFetch)]


def polled(run: Harness) -> int:
    return len([fetch for fetch in run.fetches if fetch.kind == "listing"])


def busy(*quiet: str) -> Harness:
    """Two busy subreddits, and others without a post."""
    run = harness(fast("a", "b", *quiet), page_size=10)
    run.world.add(5, "a")
    run.world.add(5, "b")
    return run


@pytest.mark.parametrize("names", [["misspelt"], ["misspelt", "private"], ["x1", "x2", "x3", "x4"]])
def test_a_new_subreddit_that_cannot_be_read_is_found_within_a_minute_and_the_rest_goes_on(names: list[str]) -> None:
    run = busy(*names)
    run.world.hidden = set(names)
    run.run(60)
    assert run.planner.subreddits_set_aside == set(names)
    posts = run.world.add(3, "a")
    run.run(10)
    assert set(run.new_ids()).issuperset(posts)


def test_a_quiet_subreddit_is_asked_alone_once_when_new_and_then_every_five_minutes() -> None:
    run = busy("quiet")
    run.run(60)
    assert asked_alone(run) == ["quiet"]
    run.run(1200)
    assert 4 <= len(asked_alone(run)) <= 5
    assert run.planner.subreddits_set_aside == frozenset()


def test_what_an_older_quiet_subreddit_has_below_the_page_is_found() -> None:
    run = busy("quiet")
    (old,) = run.world.add(1, "quiet", age=3600)
    run.world.posts.sort(key=lambda post: -post.created)
    run.run(60)
    assert old in run.new_ids()


def test_a_subreddit_whose_posts_vanish_from_the_page_is_asked_within_half_a_minute() -> None:
    run = busy()
    run.run(60)
    run.world.hidden = {"b"}
    run.run(30)
    assert run.planner.subreddits_set_aside == {"b"}


def test_a_subreddit_whose_newest_post_was_removed_costs_one_request() -> None:
    run = busy("quiet")
    run.world.add(1, "quiet")
    run.run(60)
    run.world.posts = [post for post in run.world.posts if post.subreddit != "quiet"]
    before = len(asked_alone(run))
    run.run(250)
    assert asked_alone(run)[before:] == ["quiet"]


def test_a_subreddit_that_leaves_the_page_because_others_are_busier_is_not_asked_at_once() -> None:
    run = busy()
    run.run(60)
    run.world.add(20, "a")
    run.run(60)
    assert asked_alone(run) == []


def test_a_subreddit_that_shows_posts_again_is_well_at_once() -> None:
    run = busy()
    run.run(60)
    run.world.hidden = {"b"}
    run.run(2000)
    assert run.planner.subreddits_set_aside == {"b"}
    assert len(asked_alone(run)) <= 5, "later after each refusal"
    run.world.hidden = set()
    run.world.add(1, "b")
    run.run(10)
    assert run.planner.subreddits_set_aside == frozenset()


def test_many_quiet_subreddits_do_not_delay_listings() -> None:
    quiet, loud = busy(*(f"q{number}" for number in range(40))), busy()
    quiet.run(600)
    loud.run(600)
    assert polled(quiet) >= polled(loud) - 2
    assert len(asked_alone(quiet)) <= 61
    assert set(asked_alone(quiet)) == {f"q{number}" for number in range(40)}


def test_a_subreddit_that_breaks_only_its_own_listing_is_told() -> None:
    run = busy("odd")
    blamed = []
    for _ in range(200):
        fetch = run.planner.next(run.world.now, 1.0)
        if isinstance(fetch, SilenceFetch):
            blamed.append(fetch.unanswered(run.world.now))
        elif fetch is not None:
            items, after = run.world.answer(fetch)
            findings = run.planner.judge(fetch, items, after, run.world.now)
            run.planner.confirm(findings, [True] * len(findings.decisions), run.world.now)
        run.world.now += 1.0
    assert blamed[:2] == [False, True]
    assert run.planner.subreddits_set_aside == {"odd"}


def test_a_subreddit_that_is_no_longer_watched_is_not_asked() -> None:
    run = busy("quiet", "other")
    run.run(5)
    run.planner.configure([*fast("a", "b", "other"), Subreddit("c", 180, "medium")], run.world.now)
    before = len(run.fetches)
    run.run(600)
    assert "quiet" not in {fetch.name for fetch in run.fetches[before:] if isinstance(fetch, SilenceFetch)}
