"""What a planner does with what its predecessor left: known posts, last polls and open gaps."""

import pytest

from signalflow.domain.gaps import GapRecord
from signalflow.domain.planner import Planner
from signalflow.domain.watchlist import Subreddit
from tests.unit.domain.listing_world import START, Harness, World, fast, known


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
    assert {fetch.names for fetch in run.fetches if fetch.names} == {("a", "b", "c")}


def test_posts_found_after_days_of_standstill_are_new_although_they_are_old() -> None:
    world = World(page_size=10)
    anchor = world.add(10, age=4 * 86400)
    missed = world.add(25, age=3 * 86400)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    planner.start(fast("a"), [known(id_, START - 4 * 86400) for id_ in anchor], (), START)
    run = Harness(world, planner)
    run.run(60)
    assert sorted(run.new_ids()) == sorted(missed)
