"""What the planner asks for and what it has published: completeness, gaps, configuration, takeover, refreshes."""

import math
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.fetches import Fetch, GapFetch, ListingFetch, RefreshFetch
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import CHECKPOINTS, HORIZON, StoredPost
from signalflow.domain.planner import Planner
from signalflow.domain.watchlist import MAX_EXPECTED_NEW, RETRY_UNAVAILABLE, Group, Subreddit, split_names
from tests.unit.domain.listing_world import START, Harness, World, fast, harness


def known(id_: str, created: float, subreddit: str = "a", *, score: int = 1) -> StoredPost:
    return StoredPost(id_, subreddit, created, created, score, 0, True)


# --- completeness


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


# --- takeover


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


# --- what is published again


def test_a_changed_post_is_published_again_and_once_more_when_it_stops_changing() -> None:
    run = harness()
    (post,) = run.world.add(1)
    run.run(31)
    assert run.published == [(post, True, True), (post, False, False)]
    run.published.clear()
    run.world.change(post, score=7)
    run.run(31)
    assert run.published == [(post, False, False), (post, False, False)]
    run.published.clear()
    run.world.change(post, comments=3)
    run.run(31)
    assert len(run.published) == 2


@pytest.mark.parametrize("change", [{"state": ("deleted", None)}, {"text": 2}])
def test_a_changed_state_or_text_travels_with_its_body(change: dict[str, object]) -> None:
    run = harness()
    (post,) = run.world.add(1)
    run.run(31)
    run.published.clear()
    run.world.change(post, **change)
    run.run(31)
    assert run.published == [(post, False, True)]


def test_a_post_is_published_at_most_once_in_five_seconds() -> None:
    planner = Planner(listing_per_minute=95, refresh_ids_per_minute=0)
    run = Harness(World(), planner)
    planner.start(fast("a"), (), (), START)
    (post,) = run.world.add(1)
    times = []
    for tick in range(60):
        run.world.change(post, score=tick)
        before = len(run.published)
        run.round()
        if len(run.published) > before:
            times.append(run.world.now)
        run.world.now += 1
    assert len(times) >= 10
    assert min(after - before for before, after in pairwise(times)) >= 5


def test_every_checkpoint_is_published_although_nothing_changed() -> None:
    run = harness(refresh_ids_per_minute=210)
    run.world.add(1)
    run.run(300)
    run.world.posts = [
        run.world.posts[0]._replace(subreddit="elsewhere")
    ]  # in no listing any more, only /api/info shows it
    started, run.published = run.world.now, []
    ages = []
    while run.world.now < START + 37 * 3600:
        before = len(run.published)
        run.round()
        if len(run.published) > before:
            ages.append(run.world.now - START)
        run.world.now += 10
    assert started < START + CHECKPOINTS[0]
    for mark in CHECKPOINTS:
        assert any(mark <= age <= mark + 60 for age in ages), mark


def test_batches_are_full_and_the_cap_of_ids_holds() -> None:
    run = harness(refresh_ids_per_minute=210)
    for number in range(1000):
        run.world.add(1, age=6000 - number)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=210)
    planner.start(fast("a"), [known(post.id, post.created) for post in run.world.posts], (), START)
    run.planner = planner
    run.run(600)
    sizes = [len(fetch.ids) for fetch in run.fetches if isinstance(fetch, RefreshFetch)]
    assert set(sizes) == {100}
    assert sum(sizes) <= 210 * 10 + 100
    assert len(sizes) >= 20


def is_listing(fetch: Fetch) -> bool:
    return isinstance(fetch, ListingFetch)


def test_an_info_batch_that_failed_is_asked_again() -> None:
    run = harness(refresh_ids_per_minute=210)
    run.world.add(5)
    run.run(5)
    run.world.now += CHECKPOINTS[0]
    run.world.posts.clear()
    failed = [fetch for _ in range(5) if (fetch := run.round(works=is_listing)) and not is_listing(fetch)]
    for _ in range(60):
        run.world.now += 1
        run.round()
    asked = [fetch for fetch in run.fetches if isinstance(fetch, RefreshFetch)]
    assert len(failed) == 1
    assert len(asked) > 1
    assert set(asked[1].ids) == set(failed[0].ids)


# --- groups and configuration


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


def test_a_refused_subreddit_is_tried_again_hourly_and_comes_back() -> None:
    run = harness(fast("a", "b", "c"))
    run.world.refused = {"b"}
    run.run(30)
    probes = [fetch for fetch in run.fetches if fetch.names == ("b",)]
    run.run(RETRY_UNAVAILABLE + 10)
    assert len([fetch for fetch in run.fetches if fetch.names == ("b",)]) == len(probes) + 1
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
    for second in range(int(RETRY_UNAVAILABLE) + 120):
        if second == 60:
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
def test_no_listing_names_more_than_80_subreddits_or_two_kilobytes(count: int, length: int) -> None:
    names = [f"{number:0{length}d}" for number in range(count)]
    runs = split_names(names)
    assert [name for run in runs for name in run] == names
    assert all(0 < len(run) <= 80 and len("+".join(run)) < 2000 for run in runs)


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
