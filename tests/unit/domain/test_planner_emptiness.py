"""Listings that show nothing although posts are known: whose fault that is, and which of them are believed."""

from itertools import pairwise

import pytest

from signalflow.domain.fetch import Findings
from signalflow.domain.fetches import RefreshFetch, SilenceFetch
from signalflow.domain.known import Seen, first_seen
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from tests.unit.domain.listing_world import START, Harness, fast, harness

NAMES = [f"s{number}" for number in range(16)]


def watching(posts: int = 3, *quiet: str, refresh_ids_per_minute: float = 0.0) -> Harness:
    """16 fast subreddits and a slow one with known posts, and `quiet` ones that never had any."""
    subreddits = [*fast(*NAMES, *quiet), Subreddit("slow", 600, "slow")]
    run = harness(subreddits, refresh_ids_per_minute=refresh_ids_per_minute)
    for name in [*NAMES, "slow"]:
        run.world.add(posts, name)
    run.run(60)
    return run


def polls_of(run: Harness, name: str, since: int) -> list[tuple[str, ...]]:
    return [fetch.names for fetch in run.fetches[since:] if fetch.kind == "listing" and name in fetch.names]


def finds(run: Harness, names: list[str], within: float) -> bool:
    posts = [post for name in names for post in run.world.add(1, name)]
    run.run(within)
    return set(run.new_ids()).issuperset(posts)


@pytest.mark.parametrize("ill", [["s5"], ["s0"], ["s2", "s11"]])
def test_a_subreddit_that_empties_its_group_is_set_aside_with_a_state_and_the_rest_goes_on(ill: list[str]) -> None:
    run = watching()
    run.world.emptied = set(ill)
    run.run(240)
    well = [name for name in NAMES if name not in ill]
    assert run.blamed == set(ill)
    assert run.planner.watchlist.set_aside == set(ill)
    for _ in range(100):
        assert finds(run, well, 30)
    assert run.blamed == set(ill)
    missed = [post for name in ill for post in run.world.add(5, name)]
    run.world.emptied = set()
    run.run(3700)
    assert set(run.new_ids()).issuperset(missed)
    assert run.planner.subreddits_set_aside == frozenset()
    assert len(run.planner.watchlist.groups) == 2


def test_a_subreddit_that_empties_its_group_costs_one_listing_of_the_group_at_growing_distances() -> None:
    run = watching()
    run.world.emptied = {"s5"}
    run.run(600)
    before, at = len(run.fetches), []
    for _ in range(6 * 3600):
        fetch = run.round()
        if fetch is not None and fetch.kind == "listing" and "s5" in fetch.names and len(fetch.names) > 1:
            at.append(run.world.now)
        run.world.now += 1.0
    assert len(at) <= 10
    waits = [later - earlier for earlier, later in pairwise(at)]
    assert waits[-2:] == pytest.approx([3600, 3600], abs=10)
    assert [names for names in polls_of(run, "s6", before) if len(names) < 15] == [], "no group is halved any more"


def test_a_subreddit_that_never_had_a_post_and_empties_its_group_is_found_as_well() -> None:
    run = watching(3, "odd")
    run.world.emptied = {"odd"}
    run.run(400)
    assert run.blamed == {"odd"}
    assert run.planner.watchlist.set_aside == {"odd"}
    before = len(run.fetches)
    assert finds(run, NAMES, 30)
    run.run(3600)
    assert len([names for names in polls_of(run, "s6", before) if len(names) < 16]) <= 2


def test_a_quiet_subreddit_beside_one_that_empties_the_group_is_well_in_the_end() -> None:
    run = watching(3, "o1", "o2", "o3")
    run.world.emptied = {"o2"}
    run.run(900)
    assert run.planner.subreddits_set_aside == {"o2"}
    assert finds(run, ["o1", "o3"], 30)


def test_a_subreddit_whose_posts_were_all_removed_is_soon_polled_with_its_group_again() -> None:
    run = harness([*fast("a"), Subreddit("b", 180, "medium")])
    run.world.add(5, "a")
    run.world.add(5, "b")
    run.run(60)
    run.world.posts = [post for post in run.world.posts if post.subreddit != "a"]
    run.run(240)
    assert run.planner.subreddits_set_aside == frozenset()
    before = len(run.fetches)
    run.run(3600)
    assert len(polls_of(run, "a", before)) >= 3600 / 60, "not less often than its bound"
    assert finds(run, ["a"], 10)


@pytest.mark.parametrize("posts", [2, 3])
def test_an_empty_listing_is_doubted_when_three_posts_are_known(posts: int) -> None:
    run = harness([*fast("a"), Subreddit("b", 180, "medium")])
    run.world.add(posts, "a")
    run.world.add(5, "b")
    run.run(60)
    run.world.emptied = {"a"}
    run.run(60)
    assert run.blamed == ({"a"} if posts >= 3 else set())


def test_posts_that_are_no_longer_shown_are_not_expected() -> None:
    run = harness([*fast("a"), Subreddit("b", 180, "medium")])
    ids = run.world.add(5, "a")
    run.world.add(5, "b")
    run.run(60)
    for id_ in ids[:3]:
        run.planner.posts[id_].absences, run.planner.posts[id_].absent_since = 3, run.world.now
    run.world.emptied = {"a"}
    run.run(120)
    assert run.blamed == set()


def test_while_reddit_shows_nothing_at_all_no_subreddit_is_set_aside_and_afterwards_all_go_on() -> None:
    run = watching(3, "quiet")
    quiet_alone = Subreddit("silent", 180, "medium")
    run.planner.configure([*fast(*NAMES, "quiet"), Subreddit("slow", 600, "slow"), quiet_alone], run.world.now)
    run.run(60)
    run.world.empty_answers = 10**6
    run.run(1800)
    assert run.planner.watchlist.set_aside == frozenset()
    run.world.empty_answers = 0
    assert finds(run, [*NAMES, "slow", "quiet", "silent"], 120)
    run.run(600)
    assert len(run.planner.watchlist.groups) == 3


def test_the_only_subreddit_is_polled_at_its_bound_while_its_listing_is_empty() -> None:
    run = harness(fast("a", interval=10))
    run.world.add(5, "a")
    run.run(60)
    run.world.emptied = {"a"}
    before = len(run.fetches)
    run.run(3600)
    assert len(polls_of(run, "a", before)) >= 350
    assert run.blamed == {"a"}, "its state tells what is wrong"
    run.world.emptied = set()
    assert finds(run, ["a"], 15)


def test_a_single_empty_answer_halves_nothing() -> None:
    run = watching()
    for _ in range(20):
        run.world.empty_answers = 1
        run.run(61)
    assert len(run.planner.watchlist.groups) == 2
    assert run.blamed == set()


def test_a_subreddit_whose_own_listing_alone_shows_nothing_is_told_and_later_believed() -> None:
    run = watching()
    run.world.posts = [post for post in run.world.posts if post.subreddit != "s3"]
    run.run(90)
    assert run.blamed == {"s3"}
    assert run.planner.subreddits_set_aside == {"s3"}
    run.run(3600)
    assert run.planner.subreddits_set_aside == frozenset()
    asked = [fetch for fetch in run.fetches if isinstance(fetch, SilenceFetch) and fetch.name == "s3"]
    assert len(asked) <= 20
    run.world.add(1, "s3")
    run.run(30)
    run.world.posts = [post for post in run.world.posts if post.subreddit != "s3"]
    run.run(700)
    assert run.planner.subreddits_set_aside == {"s3"}, "its posts are expected again since one was shown"


def test_a_group_of_which_all_subreddits_are_empty_does_not_starve_the_others() -> None:
    run = watching()
    run.world.emptied = set(NAMES)
    run.run(600)
    assert finds(run, ["slow"], 60)
    assert run.planner.watchlist.set_aside <= set(NAMES)
    run.world.emptied = set()
    run.run(3700)
    assert run.planner.subreddits_set_aside == frozenset()
    assert finds(run, NAMES, 30)


# --- posts by id


def refreshing(*names: str) -> tuple[Harness, list[str]]:
    """75 known posts of each subreddit. Listings show the newest five."""
    run = harness([*fast(*names), Subreddit("b", 180, "medium")], page_size=5, refresh_ids_per_minute=600)
    ids = []
    for _ in range(15):
        for name in (*names, "b"):
            ids += run.world.add(5, name)
        run.run(20)
    # Others came meanwhile.
    for name in (*names, "b"):
        run.world.add(5, name)
    run.run(20)
    return run, ids


def batches(run: Harness, since: int) -> list[tuple[str, ...]]:
    return [fetch.ids for fetch in run.fetches[since:] if isinstance(fetch, RefreshFetch)]


def test_a_post_that_empties_each_batch_is_asked_apart_and_the_others_stay_shown_and_are_refreshed() -> None:
    run, ids = refreshing("a")
    bad = ids[3]
    run.world.emptied = {bad}
    before = len(run.fetches)
    run.run(3600)
    known = run.planner.posts
    assert {id_ for id_ in ids if known[id_].absences} == {bad}
    assert run.planner.not_shown.keys() == {bad}
    good = {id_ for ids_ in batches(run, before) if bad not in ids_ for id_ in ids_}
    assert set(ids) - {bad} <= good
    named = [ids_ for ids_ in batches(run, before) if bad in ids_]
    assert len([ids_ for ids_ in named if len(ids_) > 1]) <= 12, "its batch is halved once, not for ever"
    listings = [fetch for fetch in run.fetches[before:] if fetch.kind == "listing"]
    assert len(listings) >= 3600 / 60 * 18, "listings keep their pace"


def test_posts_that_all_vanish_are_no_longer_shown_and_listings_keep_their_pace_meanwhile() -> None:
    run, ids = refreshing("a", "c")
    gone = {id_ for id_ in ids if run.planner.posts[id_].subreddit == "a"}
    run.world.posts = [post for post in run.world.posts if post.subreddit != "a"]
    run.world.refused = {"a"}
    before = len(run.fetches)
    run.run(1800)
    assert gone <= run.planner.not_shown.keys()
    assert {run.planner.posts[id_].subreddit for id_ in run.planner.not_shown} == {"a"}
    listings = [fetch for fetch in run.fetches[before:] if fetch.kind == "listing"]
    assert len(listings) >= 1800 / 60 * 18


def test_while_every_answer_by_id_is_empty_no_post_counts_as_no_longer_shown() -> None:
    run, ids = refreshing("a")
    run.world.emptied = set(run.planner.posts)
    run.run(3 * 3600)
    assert run.planner.not_shown == {}
    run.world.emptied = set()
    before = len(run.fetches)
    run.run(3600)
    assert {id_ for ids_ in batches(run, before) for id_ in ids_} >= set(ids)


def test_two_posts_that_empty_their_batches_are_both_found() -> None:
    run, ids = refreshing("a", "c")
    run.world.emptied = {ids[3], ids[40]}
    run.run(3600)
    assert run.planner.not_shown.keys() == {ids[3], ids[40]}


def test_a_post_that_empties_each_batch_is_shown_again_when_reddit_shows_it_again() -> None:
    run, ids = refreshing("a")
    run.world.emptied = {ids[3]}
    run.run(3600)
    run.world.emptied = set()
    run.run(4 * 3600)
    assert run.planner.not_shown == {}


@pytest.mark.parametrize(("absences", "is_doubted"), [((0, 0), True), ((0, 1), False), ((2, 1), False)])
def test_an_empty_answer_by_id_is_doubted_when_two_posts_are_expected(
    absences: tuple[int, int], is_doubted: bool
) -> None:
    run = harness(refresh_ids_per_minute=600)
    ids = run.world.add(2, "a")
    run.run(10)
    for id_, count in zip(ids, absences, strict=True):
        run.planner.posts[id_].absences = count
    fetch = run.planner.fetch_of(ids)
    assert run.planner.counts_as_none(fetch, shows_posts=False) is is_doubted
    assert not run.planner.counts_as_none(fetch, shows_posts=True)
    assert not run.planner.counts_as_none(run.planner.fetch_of(ids[:1]), shows_posts=False)


@pytest.mark.parametrize(("seconds", "counts"), [(300.0, 1), (301.0, 0)])
def test_the_absence_of_a_single_post_counts_while_reddit_lately_showed_others(seconds: float, counts: int) -> None:
    answers = LastAnswers()
    answers.note("posts", START)
    answers.note("posts", START + seconds, shows_posts=False)
    posts = {name: first_seen(Seen(name, name, START - 900, 1, 0), START - 600) for name in ("a", "b")}
    fetch = RefreshFetch(("a",), posts, RefreshQueue(6000, answers))
    fetch.confirm(Findings(fetch, (), None, START), new=0, is_complete=True, now=START + seconds)
    assert posts["a"].absences == counts


def test_posts_that_an_answer_left_out_are_asked_apart_from_the_others_and_each_kind_gets_its_turn() -> None:
    queue = RefreshQueue(6000)
    posts = {f"p{n}": first_seen(Seen(f"p{n}", "a", START - 900 + n, 1, 0), START - 600 + n) for n in range(4)}
    for name in ("p1", "p3"):
        posts[name].absences = 1
    for known in posts.values():
        queue.put(known, START)
    taken = [sorted(queue.take(posts, START + 3600 + 60 * turn, lambda known: True)) for turn in range(3)]
    assert sorted(taken[:2]) == [["p0", "p2"], ["p1", "p3"]]
    assert taken[2] == []


@pytest.mark.parametrize(("late", "first"), [(30.0, "bad"), (30.5, "due")])
@pytest.mark.parametrize("was_empty", [True, False])
def test_a_late_batch_comes_before_those_whose_answers_showed_no_post(late: float, first: str, was_empty: bool) -> None:
    queue = RefreshQueue(6000)
    posts = {name: first_seen(Seen(name, "a", START - 900, 1, 0), START - 600) for name in ("bad", "due")}
    queue.put(posts["due"], START)
    queue.unanswered(("bad",), START, was_empty=was_empty)
    queue.next_at = START + 60
    taken = queue.take(posts, START + 60 + late, lambda known: True)
    assert taken == [first if was_empty else "bad"]
