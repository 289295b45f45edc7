"""What a planner does with what its predecessor left: known posts, last polls and open gaps."""

from collections import Counter

import pytest

from signalflow.domain.fetches import ListingFetch, ReappearanceFetch
from signalflow.domain.gaps import GapRecord
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.watchlist import RETRY_UNAVAILABLE
from tests.unit.domain.listing_world import START, Harness, World, fast, harness, known


def test_a_successor_publishes_no_known_post_as_new_and_finds_what_came_in_between() -> None:
    world = World(page_size=10)
    old = world.add(30, age=600)
    missed = world.add(25)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    planner.start(fast("a"), [known(id_, START - 600) for id_ in old], (), START)
    run = Harness(world, planner)
    run.run(40)
    assert sorted(run.new_ids()) == sorted(missed)
    assert run.gaps[0] == "open"
    assert run.gaps[-1] == "close proven"


def test_a_successor_reads_the_gap_of_a_killed_leader() -> None:
    world = World(page_size=10)
    anchor = world.add(10, age=900)
    hole = world.add(20, age=600)
    above = world.add(20, age=300)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    record = GapRecord(7, ("a",), tuple(anchor), START - 900, START - 290, f"t3_{above[0]}", 1)
    known_posts = [known(id_, START - 900) for id_ in anchor] + [known(id_, START - 300) for id_ in above]
    planner.start(fast("a"), known_posts, [record], START)
    run = Harness(world, planner)
    run.run(30)
    assert sorted(run.new_ids()) == sorted(hole)
    assert run.gaps[-1] == "close proven"


@pytest.mark.parametrize("behind", [60.0, 1000.0])
@pytest.mark.parametrize("is_reported", [True, False])
def test_a_successor_proves_each_subreddit_against_its_own_last_poll(behind: float, is_reported: bool) -> None:
    # A refused listing had split the group, and the leader died after it had polled only one of the halves.
    world = World(page_size=10)
    known_b = world.add(10, "b", age=behind + 300)
    missed = world.add(15, "b", age=behind + 30)
    known_a = world.add(30, "a", age=150)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    polled_at = {"a": START - 20, "b": START - behind - 60} if is_reported else {}
    known_posts = [known(id_, START - behind - 300, "b") for id_ in known_b]
    known_posts += [known(id_, START - 150) for id_ in known_a]
    planner.start([Subreddit(name, 60, "fast", polled_at.get(name)) for name in "ab"], known_posts, (), START)
    run = Harness(world, planner)
    run.run(60)
    assert sorted(run.new_ids()) == sorted(missed)
    assert run.gaps[0] == "open"
    assert not planner.gaps
    assert [group.names for group in planner.watchlist.groups] == [("a", "b")]


def test_a_successor_opens_no_gap_when_every_last_poll_is_recent() -> None:
    world = World()
    quiet = world.add(5, "b", age=40_000)
    busy = world.add(50, "a", age=140) + world.add(60, "a", age=5)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    known_posts = [known(id_, START - 40_000, "b") for id_ in quiet] + [known(id_, START - 140) for id_ in busy]
    watched = [Subreddit(name, 60, "fast", START - 15) for name in "ab"] + fast("c")
    planner.start(watched, known_posts, (), START)
    run = Harness(world, planner)
    run.run(20)
    assert run.new_ids() == []
    assert run.gaps == []
    assert {fetch.names for fetch in run.fetches if fetch.kind == "listing"} == {("a", "b", "c")}


def test_posts_found_after_days_of_standstill_are_new_although_they_are_old() -> None:
    world = World(page_size=10)
    anchor = world.add(10, age=4 * 86400)
    missed = world.add(25, age=3 * 86400)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    planner.start(fast("a"), [known(id_, START - 4 * 86400) for id_ in anchor], (), START)
    run = Harness(world, planner)
    run.run(60)
    assert sorted(run.new_ids()) == sorted(missed)


# --- subreddits that are added, resumed, or shown by Reddit again


def paused_for_two_hours(run: Harness, others: list[Subreddit]) -> list[str]:
    """`a` is polled, paused, and has 25 posts before it is resumed; every other subreddit goes on. Returns the 25."""
    run.world.add(10, "a")
    for _ in range(10):
        for subreddit in others:
            run.world.add(1, subreddit.name)
        run.run(6)
    polled_at = run.world.now
    run.planner.configure(others, run.world.now)
    run.run(60)
    missed = []
    for _ in range(25):
        missed += run.world.add(1, "a")
        for subreddit in others:
            run.world.add(1, subreddit.name)
        run.run(288 if others else 0)
        run.world.now += 0 if others else 288
    known_posts = [
        known(post.id, post.created, "a") for post in run.world.posts if post.subreddit == "a" and post.id not in missed
    ]
    run.planner.configure([Subreddit("a", 60, "fast", polled_at), *others], run.world.now, known_posts)
    return missed


@pytest.mark.parametrize("others", [fast("b", "c"), []], ids=["beside others", "alone"])
def test_what_a_resumed_subreddit_had_meanwhile_is_read_back(others: list[Subreddit]) -> None:
    run = harness([*fast("a"), *others], page_size=10)
    missed = paused_for_two_hours(run, others)
    run.run(120)
    assert set(run.new_ids()).issuperset(missed)
    assert max(Counter(run.new_ids()).values()) == 1
    assert (run.gaps[0], run.gaps[-1]) == ("open", "close proven")
    (group,) = run.planner.watchlist.groups
    assert set(group.names) == {"a", *(subreddit.name for subreddit in others)}


def test_what_reddit_no_longer_has_of_a_resumed_subreddit_is_recorded() -> None:
    run = harness(fast("a", "b"), page_size=10)
    paused_for_two_hours(run, fast("b"))
    # Its listing ends before the last poll.
    run.planner.configure(fast("b"), run.world.now)
    run.world.add(110, "a")
    run.planner.configure([Subreddit("a", 60, "fast", START), *fast("b")], run.world.now)
    run.run(120)
    assert run.gaps[0] == "open"
    assert "close given_up" in run.gaps


def test_an_added_subreddit_that_was_never_polled_has_nothing_to_catch_up_with() -> None:
    run = harness(fast("a"), page_size=10)
    run.world.add(10, "a")
    run.run(10)
    run.world.add(30, "b", age=3600)
    run.planner.configure(fast("a", "b"), run.world.now)
    posts = run.world.add(3, "b")
    run.run(30)
    assert set(run.new_ids()).issuperset(posts)
    assert run.gaps == []
    assert {fetch.names for fetch in run.fetches[-3:] if fetch.names} == {("a", "b")}


def test_what_a_banned_subreddit_had_meanwhile_is_read_back() -> None:
    run = harness(fast("a", "b"), page_size=10)
    run.world.add(10, "a")
    run.world.add(10, "b")
    run.run(10)
    run.world.refused = {"a"}
    missed = []
    for _ in range(25):
        run.run(140)
        missed += run.world.add(1, "a")
        run.world.add(1, "b")
    run.world.refused = set()
    run.run(RETRY_UNAVAILABLE + 120)
    assert set(run.new_ids()).issuperset(missed)
    assert run.gaps[-1] == "close proven"


@pytest.mark.parametrize("count", [5, 25])
def test_what_a_subreddit_had_while_combined_listings_left_it_out_is_read_back(count: int) -> None:
    """Reddit leaves a private or banned subreddit out of a combined listing without a word."""
    run = harness(fast("a", "b"), page_size=10)
    run.world.add(5, "a")
    run.world.add(5, "b")
    run.run(10)
    run.world.hidden = {"a"}
    missed = []
    for _ in range(count):
        missed += run.world.add(1, "a")
        for _ in range(4):
            run.world.add(1, "b")
            run.run(20)
    for _ in range(15):
        run.world.add(1, "b")
        run.run(20)
    run.world.hidden = set()
    run.run(60)
    first = run.world.add(1, "a")
    run.run(60)
    assert set(run.new_ids()).issuperset(missed + first)
    assert max(Counter(run.new_ids()).values()) == 1
    assert ("open" in run.gaps) is (count > 10)
    assert not run.planner.gaps
    assert len([fetch for fetch in run.fetches if isinstance(fetch, ReappearanceFetch)]) == 1


def test_a_quiet_subreddit_costs_one_request_for_a_post_and_opens_no_gap() -> None:
    run = harness(fast("a", "b"), page_size=10)
    run.world.add(10, "a", age=40_000)
    for _ in range(100):
        run.world.add(1, "b")
        run.run(10)
    (post,) = run.world.add(1, "a")
    run.run(120)
    assert post in run.new_ids()
    assert run.gaps == []
    assert len([fetch for fetch in run.fetches if isinstance(fetch, ReappearanceFetch)]) == 1


@pytest.mark.parametrize("trouble", ["no answer", "not confirmed", "hidden again"])
def test_a_subreddit_that_reappeared_is_read_whatever_comes_between(trouble: str) -> None:
    run = harness(fast("a", "b"), page_size=10)
    run.world.add(10, "a", age=4000)
    run.run(10)
    run.world.hidden = {"a"}
    missed = run.world.add(15, "a", age=600)
    for _ in range(30):
        run.world.add(1, "b")
        run.run(10)
    run.world.hidden = set()
    missed += run.world.add(1, "a")
    while not isinstance(run.fetches[-1], ListingFetch) or missed[-1] not in run.new_ids():
        run.round()
        run.world.now += 1
    if trouble == "no answer":
        run.round(works=lambda fetch: not isinstance(fetch, ReappearanceFetch))
    elif trouble == "not confirmed":
        run.round(sent=lambda id_: False)
    else:
        run.world.hidden = {"a"}
        run.run(60)
        assert "open" in run.gaps
        run.world.hidden = set()
    run.run(RETRY_UNAVAILABLE + 60)
    assert set(run.new_ids()).issuperset(missed)
    assert not run.planner.gaps
