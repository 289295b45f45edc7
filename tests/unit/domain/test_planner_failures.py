"""Requests that Reddit does not answer: whose fault that is, and who is polled meanwhile."""

from itertools import pairwise

import pytest

from signalflow.domain.budget import Budget, RateLimit
from signalflow.domain.fetches import RefreshFetch
from signalflow.domain.known import Seen, first_seen
from signalflow.domain.planner import ANY_ID
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import START, Harness, fast, harness

NAMES = [f"s{number}" for number in range(26)]


def watching(*broken: str, refresh_ids_per_minute: float = 0.0) -> Harness:
    """26 fast subreddits and a slow one. What is broken breaks after a minute."""
    subreddits = [*fast(*NAMES), Subreddit("slow", 600, "slow")]
    run = harness(subreddits, refresh_ids_per_minute=refresh_ids_per_minute)
    run.run(60)
    run.world.broken = set(broken)
    return run


def delays(run: Harness, names: list[str], seconds: int) -> list[float]:
    """A new post each second, of one subreddit after another; after how many seconds each is published as new."""
    made: dict[str, float] = {}
    found: dict[str, float] = {}
    for second in range(seconds + 60):
        if second < seconds:
            made[run.world.add(1, names[second % len(names)])[0]] = run.world.now
        before = len(run.published)
        run.run(1)
        found |= {id_: run.world.now for id_, is_new, _ in run.published[before:] if is_new}
    return sorted(found[id_] - at for id_, at in made.items())


@pytest.mark.parametrize("broken", [["s17"], ["s0"], ["s3", "s20"], ["s1", "s2", "s25"]])
def test_a_subreddit_that_breaks_its_group_is_set_aside_and_the_rest_goes_on(broken: list[str]) -> None:
    run = watching(*broken)
    waits = delays(run, [name for name in NAMES if name not in broken], 300)
    assert run.planner.watchlist.excluded == set(broken)
    assert run.blamed == set(broken)
    assert waits[len(waits) // 2] < 5
    assert waits[-1] <= 60, "the halves are asked one after another, none of them waits for an hour"


def test_two_subreddits_that_are_alone_in_their_groups_are_told_apart() -> None:
    run = harness([*fast("a"), Subreddit("b", 180, "medium")])
    run.run(30)
    run.world.broken = {"a"}
    run.run(300)
    assert (run.planner.watchlist.excluded, run.blamed) == ({"a"}, {"a"})


def test_the_only_group_with_a_broken_subreddit_is_halved_as_well() -> None:
    run = harness(fast(*NAMES[:8]), refresh_ids_per_minute=600)
    posts = run.world.add(5, "s1")
    run.run(300)
    run.world.broken = {"s5"}
    run.run(300)
    assert run.planner.watchlist.excluded == {"s5"}
    assert set(run.new_ids()).issuperset(posts)


def test_when_every_group_has_a_broken_subreddit_from_the_first_poll_on_all_are_found() -> None:
    run = harness([*fast(*NAMES), Subreddit("m1", 180, "medium"), Subreddit("m2", 180, "medium")])
    run.world.broken = {"s3", "s4", "s20", "m2"}
    run.run(240)
    assert run.planner.watchlist.set_aside == run.world.broken
    posts = run.world.add(3, "s5") + run.world.add(3, "m1")
    run.run(20)
    assert set(run.new_ids()).issuperset(posts)


def test_in_an_outage_of_posts_by_id_listings_are_not_displaced_by_probes() -> None:
    run = watching(ANY_ID)
    run.world.broken = {"s3", ANY_ID}
    posts = run.world.add(3, "s5")
    run.run(300)
    assert run.planner.watchlist.set_aside == {"s3"}
    assert set(run.new_ids()).issuperset(posts)


def test_in_an_outage_of_everything_no_group_is_halved_and_afterwards_all_go_on() -> None:
    run = watching(*NAMES, "slow", ANY_ID)
    before = [group.names for group in run.planner.watchlist.groups]
    run.run(1800)
    assert [group.names for group in run.planner.watchlist.groups] == before
    assert run.blamed == set()
    run.world.broken = set()
    posts = run.world.add(5, "s4")
    run.run(60)
    assert set(run.new_ids()).issuperset(posts)
    assert run.planner.watchlist.excluded == frozenset()


def test_in_an_outage_of_listings_alone_no_subreddit_is_set_aside() -> None:
    run = watching(refresh_ids_per_minute=600)
    run.world.add(50, "s1")
    run.run(300)
    run.world.broken = {*NAMES, "slow"}
    run.run(1800)
    assert run.planner.watchlist.excluded == frozenset()
    run.world.broken = set()
    posts = run.world.add(5, "s4")
    run.run(120)
    assert set(run.new_ids()).issuperset(posts)
    run.run(300)
    assert len(run.planner.watchlist.groups) == 2, "halves that are answered are polled together again"


def test_a_subreddit_that_is_answered_again_joins_the_others() -> None:
    run = watching("s9")
    run.run(120)
    assert run.planner.watchlist.excluded == {"s9"}
    run.world.broken = set()
    missed = run.world.add(150, "s9")
    run.run(300)
    assert run.planner.watchlist.excluded == frozenset()
    assert set(run.new_ids()).issuperset(missed), "also what does not fit on a page"


def test_a_broken_subreddit_is_tried_again_later_after_each_try() -> None:
    run = watching("s9")
    tries = []
    for _ in range(3 * 3600):
        fetch = run.round()
        if fetch and fetch.names == ("s9",):
            tries.append(run.world.now)
        run.world.now += 1.0
    waits = [after - before for before, after in pairwise(tries)]
    assert waits[-6:] == pytest.approx([120, 240, 480, 960, 1920, 3600], abs=5)


def test_a_single_failure_halves_nothing() -> None:
    run = watching()
    failed = []
    for _ in range(600):
        run.round(works=lambda fetch: True)
        run.world.now += 1.0
        if int(run.world.now) % 97 == 0 and (fetch := run.planner.next(run.world.now, 1.0)):
            fetch.unanswered(run.world.now)
            failed.append(fetch.names)
    assert failed
    assert len(run.planner.watchlist.groups) == 2


def test_a_gap_with_a_broken_subreddit_is_read_for_each_subreddit_alone() -> None:
    run = harness([*fast("a", "b"), Subreddit("m", 180, "medium")], page_size=10)
    run.world.add(10, "a", age=60)
    run.world.add(10, "b", age=50)
    run.run(10)
    missed = run.world.add(25, "a")
    while "open" not in run.gaps:
        run.round()
        run.world.now += 1.0
    run.world.broken = {"b"}
    run.run(120)
    assert set(run.new_ids()).issuperset(missed)


# --- posts by id


def refreshing(broken_posts: int) -> tuple[Harness, set[str]]:
    """150 known posts of which some break every request that names them. Listings show the newest ones only."""
    run = harness([*fast("a"), Subreddit("b", 180, "medium")], page_size=5, refresh_ids_per_minute=3000)
    ids = []
    for _ in range(15):
        ids += run.world.add(5, "a") + run.world.add(5, "b")
        run.run(12)
    run.world.add(5, "a")
    run.world.add(5, "b")
    run.run(12)
    broken = set(ids[3 : 3 + 40 * broken_posts : 40])
    run.world.broken = set(broken)
    return run, broken


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_post_that_breaks_its_batch_is_set_aside_and_the_others_are_refreshed(count: int) -> None:
    run, broken = refreshing(count)
    before = len(run.fetches)
    run.run(600)
    assert run.planner.posts_set_aside == broken
    refreshed = {id_ for fetch in run.fetches[before:] if isinstance(fetch, RefreshFetch) for id_ in fetch.ids}
    answered = {
        id_
        for fetch in run.fetches[before:]
        if isinstance(fetch, RefreshFetch) and not broken.intersection(fetch.ids)
        for id_ in fetch.ids
    }
    assert refreshed - broken == answered
    assert len(answered) >= 150 - count
    listings = [fetch for fetch in run.fetches[before:] if fetch.kind == "listing"]
    assert len(listings) >= 600 / 60 * 18, "listings keep their pace"
    batches = [fetch.ids for fetch in run.fetches[before:] if isinstance(fetch, RefreshFetch)]
    assert sum(bool(broken.intersection(ids)) for ids in batches) <= 12 * count, "not the same batch again and again"


def test_a_post_that_was_set_aside_is_asked_again_later_after_each_try_and_comes_back() -> None:
    run, broken = refreshing(1)
    run.run(900)
    tries = [fetch for fetch in run.fetches if isinstance(fetch, RefreshFetch) and set(fetch.ids) == broken]
    assert 3 <= len(tries) <= 6
    run.world.broken = set()
    run.run(900)
    assert run.planner.posts_set_aside == frozenset()
    (id_,) = broken
    assert any(isinstance(fetch, RefreshFetch) and id_ in fetch.ids and len(fetch.ids) > 1 for fetch in run.fetches)


def test_when_no_request_by_id_is_answered_no_post_is_set_aside() -> None:
    run, _ = refreshing(0)
    run.world.broken = set(run.planner.posts)
    run.world.broken.add(ANY_ID)
    run.run(900)
    assert run.planner.posts_set_aside == frozenset()
    asked = [fetch for fetch in run.fetches if isinstance(fetch, RefreshFetch)]
    run.world.broken = set()
    before = len(asked)
    run.run(300)
    after = [fetch for fetch in run.fetches if isinstance(fetch, RefreshFetch)][before:]
    assert {id_ for fetch in after for id_ in fetch.ids} == set(run.planner.posts)


# --- the breaker


def test_a_failure_makes_no_other_request_wait_and_more_in_a_row_wait_longer_up_to_30_seconds() -> None:
    budget, now, waits = Budget(60), 0.0, []
    for _ in range(8):
        now += budget.wait(now)
        budget.start(now)
        budget.failed(now)
        waits.append(budget.wait(now))
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    for ends in (budget.succeeded, budget.refused):
        now += budget.wait(now)
        budget.start(now)
        ends(now)
        now += budget.wait(now)
        budget.start(now)
        budget.failed(now)
        assert budget.wait(now) == 1


@pytest.mark.parametrize("ends", ["failed", "broke", "refused"])
def test_the_limits_of_an_answer_that_cannot_be_used_count(ends: str) -> None:
    budget = Budget(60)
    budget.start(0.0)
    getattr(budget, ends)(0.0, RateLimit(remaining=0.0, reset=185.0))
    assert budget.wait(0.0) == 185.0


def test_at_a_faster_pace_a_first_failure_costs_no_wait_either() -> None:
    budget = Budget(95)
    budget.start(0.0)
    budget.failed(0.0)
    assert budget.wait(0.0) == pytest.approx(60 / 95)


def test_a_post_whose_batch_waits_comes_in_no_other_batch_although_a_listing_shows_a_new_score() -> None:
    queue = RefreshQueue(6000)
    posts = {id_: first_seen(Seen(id_, "a", START - 900, 1, 0), START - 600) for id_ in ("p1", "p2")}
    for known in posts.values():
        queue.put(known, START)
    queue.unanswered(("p1",), START)
    posts["p1"].score_velocity = 5.0
    queue.score_changed(posts["p1"], START)
    assert queue.take(posts, START + 1, lambda known: True) == ["p2"]
    assert queue.take(posts, START + 5, lambda known: True) == ["p1"], "its own batch"
