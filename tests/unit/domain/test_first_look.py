"""The first look back of a subreddit that was never polled: how far it goes, when it ends, and that it comes last."""

import math
from typing import Any

import pytest

from signalflow.domain.fetch import Fetch
from signalflow.domain.fetches import GAP_PAGE_TIMEOUT, ListingFetch
from signalflow.domain.first_look import FirstLookFetch, FirstLooks
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import Seen
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from tests.unit.domain.listing_world import START, Harness, World, fast, harness, known

HOUR = 3600.0


def posted(run: Harness, name: str, hours: int, each_hour: int) -> dict[int, list[str]]:
    """Posts of the last `hours` hours before now, by their age in whole hours."""
    return {hour: run.world.add(each_hour, name, age=(hour + 0.5) * HOUR) for hour in reversed(range(hours))}


def looks(run: Harness) -> list[FirstLookFetch]:
    return [fetch for fetch in run.fetches if isinstance(fetch, FirstLookFetch)]


def last(run: Harness) -> list[tuple[Any, ...]]:
    return [change for change in run.first_looks if change[0] != "advance"]


def test_a_new_subreddit_is_read_back_so_many_hours_and_no_further() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posts = posted(run, "a", 9, 6)
    run.run(60)
    within = {id_ for hour in range(5) for id_ in posts[hour]}
    assert set(run.new_ids()) == within
    assert last(run) == [("open", "a", None), ("close", "a", "proven")]
    assert run.gaps == [], "it is no gap of polling"
    assert {fetch.mode(is_new=True) for fetch in looks(run)} == {"backfill"}
    assert {fetch.mode(is_new=False) for fetch in looks(run)} == {"refresh"}


def test_with_no_hours_nothing_is_read_back() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=0.0)
    posted(run, "a", 9, 6)
    run.run(60)
    assert looks(run) == []


def test_subreddits_that_arrive_before_others_were_polled_are_all_read_back_even_a_second() -> None:
    run = harness(fast("a"), first_look_seconds=1.0)
    run.planner.configure(fast("a", "b"), run.world.now)
    posted(run, "a", 2, 1)
    run.run(10)
    assert sorted(change[1] for change in run.first_looks if change[0] == "open") == ["a", "b"]


def test_a_page_of_every_subreddit_is_read_before_the_second_of_any() -> None:
    run = harness(fast("a", "b", "c"), page_size=10, first_look_seconds=5 * HOUR)
    for name in ("a", "b", "c"):
        posted(run, name, 9, 6)
    run.run(60)
    order = [fetch.gap.subreddits[0] for fetch in looks(run)]
    assert len(order) >= 9
    assert {tuple(sorted(order[place : place + 3])) for place in (0, 3, 6)} == {("a", "b", "c")}


def test_the_subreddit_that_has_the_most_posts_at_the_moment_is_read_first() -> None:
    run = harness(fast("a", "b", "c"), page_size=10, first_look_seconds=5 * HOUR)
    for name in ("a", "b", "c"):
        posted(run, name, 9, 1)
    for name, count in (("a", 1), ("b", 6), ("c", 3)):
        run.world.add(count, name, age=600.0)
    run.run(60)
    assert [fetch.gap.subreddits[0] for fetch in looks(run)][:3] == ["b", "c", "a"]


def test_only_posts_of_a_second_that_was_over_at_the_first_poll_are_no_news() -> None:
    """Times are whole seconds. Another post of the second of the poll may come after it."""
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 9, 6)
    look: Fetch | None = None
    while not isinstance(look, FirstLookFetch):
        look = run.round()
        run.world.now += 1
    polled_at = look.gap.opened_at
    page = [Seen(f"x{age}", "a", polled_at - age, 1, 0, None, 1) for age in (0, 1)]
    findings = run.planner.judge(look, page, "t3_x1", run.world.now)
    assert [page[decision.item].id for decision in findings.decisions] == ["x1"]


def test_no_page_of_a_first_look_is_one_from_which_a_successor_may_begin() -> None:
    run = harness(fast("a", "b"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 2, 3)
    begins_from_looks = []
    for _ in range(7200):
        fetch = run.planner.next(run.world.now, 1.0)
        if fetch is not None:
            items, after = run.world.answer(fetch)
            findings = run.planner.judge(fetch, items, after, run.world.now)
            begins = run.planner.confirm(findings, [True] * len(findings.decisions), run.world.now)
            run.write_ledger()
            if isinstance(fetch, FirstLookFetch):
                begins_from_looks.append(begins)
        run.world.now += 1
    assert ("close", "b", "given_up") in run.first_looks, "the last page of b is among them"
    assert set(begins_from_looks) == {False}


def test_a_page_that_was_asked_for_is_awaited_for_a_minute_and_comes_again_when_it_had_no_answer() -> None:
    looks = FirstLooks(HOUR, {}.get, LastAnswers())
    looks.arrive(fast("a"))
    looks.polled(("a",), [], START)
    looks.gaps.recorded(1)
    fetch = looks.next(START, lambda name: True)
    assert fetch is not None
    assert looks.next(START + GAP_PAGE_TIMEOUT - 1, lambda name: True) is None
    assert looks.gaps.wake() == START + GAP_PAGE_TIMEOUT
    assert not fetch.unanswered(START + 10)
    assert START + 10 < looks.gaps.wake() < START + GAP_PAGE_TIMEOUT


def test_a_subreddit_that_was_polled_before_is_not_read_back() -> None:
    run = harness([Subreddit("a", 60, "fast", polled_at=START - 60)], page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 9, 6)
    run.run(60)
    assert looks(run) == []


def test_an_added_subreddit_is_read_back_and_the_others_are_not_again() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 9, 6)
    run.run(60)
    posted(run, "b", 9, 6)
    run.planner.configure(fast("a", "b"), run.world.now)
    run.run(60)
    assert [change[1] for change in last(run) if change[0] == "open"] == ["a", "b"]


def test_posts_that_came_after_the_first_poll_are_left_to_polling_which_publishes_them_as_news() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 9, 6)
    run.is_ledger_away = True
    run.run(5)
    run.is_ledger_away = False
    run.write_ledger()
    (look,) = run.planner.first_looks.gaps
    later = run.world.add(8)
    run.planner.watchlist.groups[0].due = math.inf
    while look.pages < 1:
        run.run(1)
    assert not set(later) & set(run.new_ids())
    run.planner.watchlist.groups[0].due = run.world.now
    run.run(30)
    assert set(later) <= set(run.new_ids())


def test_ten_pages_are_the_most_that_reddit_has() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=40 * HOUR)
    posted(run, "a", 30, 6)
    run.run(90)
    assert last(run) == [("open", "a", None), ("close", "a", "given_up")]
    assert len(looks(run)) == 10
    assert len(run.new_ids()) == 100


def test_a_subreddit_without_posts_is_not_asked_for_ever() -> None:
    run = harness(fast("a", "b"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 2, 3)
    run.run(2 * HOUR)
    assert ("close", "b", "given_up") in run.first_looks
    assert len([fetch for fetch in looks(run) if fetch.names == ("b",)]) == 3


def test_a_mistaken_empty_answer_ends_no_first_look() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posts = posted(run, "a", 9, 6)
    while not looks(run):
        run.run(1)
    run.world.emptied = {"a"}
    run.run(2)
    run.world.emptied = set()
    run.run(120)
    assert set(run.new_ids()) >= {id_ for hour in range(5) for id_ in posts[hour]}


def test_no_page_is_fetched_before_the_ledger_has_it_and_a_successor_goes_on() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posts = posted(run, "a", 9, 6)
    run.is_ledger_away = True
    run.run(60)
    assert looks(run) == []
    assert not run.planner.first_looks.gaps.is_recorded, "the poll is not reported, or the successor would not know"
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0, first_look_seconds=5 * HOUR)
    row = GapRecord(3, ("a",), (), START - 5 * HOUR, START, None, 0)
    planner.start(fast("a"), [known(posts[0][0], START - HOUR / 2)], (), run.world.now, [row])
    successor = Harness(run.world, planner)
    successor.run(60)
    assert set(successor.new_ids()) >= {id_ for hour in range(1, 5) for id_ in posts[hour]}
    assert last(successor) == [("close", "a", "proven")], "it is not begun a second time"


def test_a_subreddit_that_is_paused_meanwhile_is_not_read_on() -> None:
    run = harness(fast("a", "b"), page_size=10, first_look_seconds=40 * HOUR)
    posted(run, "a", 30, 6)
    while not looks(run):
        run.run(1)
    run.planner.configure(fast("b"), run.world.now)
    before = len(looks(run))
    run.run(60)
    assert [fetch for fetch in looks(run)[before:] if fetch.names == ("a",)] == []
    assert ("close", "a", "given_up") in run.first_looks


@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_a_page_comes_only_when_no_listing_is_due_before_the_next_request(spacing: float) -> None:
    world = World(page_size=10)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=600, first_look_seconds=20 * HOUR)
    planner.start(fast("a"), (), (), world.now)
    run = Harness(world, planner)
    posted(run, "a", 30, 6)
    run.run(10)
    for _ in range(30):
        due = planner.watchlist.next_due() - world.now
        fetch = planner.next(world.now, spacing)
        if isinstance(fetch, FirstLookFetch):
            assert due >= spacing
        elif isinstance(fetch, ListingFetch):
            assert due <= 0
        if fetch is not None:
            fetch.failed(world.now)
        world.now += spacing


def test_gaps_of_polling_come_before_first_looks() -> None:
    world = World(page_size=10)
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0, first_look_seconds=20 * HOUR)
    gap = GapRecord(1, ("a",), ("x1", "x2", "x3"), START - 30 * HOUR, START, None, 0)
    look = GapRecord(2, ("b",), (), START - 20 * HOUR, START, None, 0)
    run = Harness(world, planner)
    for name in "ab":
        posted(run, name, 40, 6)
    planner.start(fast("a", "b"), (), [gap], world.now, [look])
    run.run(120)
    kinds = [fetch.kind for fetch in run.fetches if fetch.kind in ("gap", "first_look")]
    assert kinds[:10] == ["gap"] * 10
    assert "first_look" in kinds[10:]


def test_the_requests_of_a_first_look_are_one_job_that_is_over_with_its_gap() -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 9, 6)
    while not looks(run):
        run.run(1)
    first = looks(run)[0]
    assert first.job == ("first_look", "a", None)
    run.run(60)
    assert len(looks(run)) > 1
    assert {fetch.job for fetch in looks(run)} == {("first_look", "a", "ok")}


@pytest.mark.parametrize(("closed", "outcome"), [("given_up", "partly"), ("unreachable", "failed")])
def test_a_first_look_that_ends_early_is_told_so(closed: Any, outcome: str) -> None:
    run = harness(fast("a"), page_size=10, first_look_seconds=5 * HOUR)
    posted(run, "a", 9, 6)
    while not looks(run):
        run.run(1)
    look = looks(run)[0]
    look.gaps.close(look.gap, closed)
    assert look.job == ("first_look", "a", outcome)
