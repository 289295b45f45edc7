"""A run that somebody asked for: each of its subreddits is read once, watched or not, and has a result."""

from collections.abc import Callable

import pytest

from signalflow.domain.fetch import Fetch, ListingRequest
from signalflow.domain.known import Seen
from signalflow.domain.once import OnceResult, OnceRun
from signalflow.domain.planner import Planner
from signalflow.domain.ranked_fetches import OnceFetch
from signalflow.domain.ranked_listings import Place, RankedListings
from tests.unit.domain.listing_world import START, fast
from tests.unit.domain.test_ranked_listings import RankedHarness, RankedWorld, by_rank, post


def harness() -> RankedHarness:
    planner = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    planner.start(fast("a"), (), (), START)
    return RankedHarness(RankedWorld(), planner)


def run_of(*names: str, post_sort: str = "hot") -> OnceRun:
    return OnceRun(7, post_sort, names, 10)


def rounds(
    planned: RankedHarness, run: OnceRun, seconds: int, works: Callable[[Fetch], bool] = lambda fetch: True
) -> None:
    planned.planner.ranked.begin(run)
    for _ in range(seconds):
        planned.round(works=works)
        planned.world.now += 1.0


def once(planned: RankedHarness) -> list[OnceFetch]:
    return [fetch for fetch in planned.fetches if isinstance(fetch, OnceFetch)]


def test_each_subreddit_is_read_once_and_new_posts_are_told_from_known_ones() -> None:
    planned = harness()
    (ours,) = planned.world.add(1, "a")
    planned.run(30)
    planned.hot[:] = [post("x", "rust"), *planned.world.posts, post("y", "rust")]
    run = run_of("Rust", "a")
    rounds(planned, run, 60)
    assert run.is_done
    assert run.results == {"rust": OnceResult(published=2), "a": OnceResult(known=1)}
    assert [id_ for id_, _, _ in planned.published if id_ != ours] == ["x", "y"]
    requests = [fetch.request for fetch in once(planned)]
    assert {(each.names, each.sort, each.limit) for each in requests if isinstance(each, ListingRequest)} == {
        (("rust",), "hot", 10), (("a",), "hot", 10),
    }  # fmt: skip
    again = run_of("rust")
    rounds(planned, again, 60)
    assert again.results == {"rust": OnceResult(known=2)}
    planned.fetches.clear()
    planned.run(600)
    assert not once(planned)


def test_what_kafka_does_not_confirm_has_failed() -> None:
    planned, run = harness(), run_of("rust")
    planned.planner.ranked.begin(run)
    while not isinstance(fetch := planned.planner.next(planned.world.now, 1.0), OnceFetch):
        planned.world.now += 1.0
    findings = planned.planner.judge(fetch, [post("x", "rust"), post("y", "rust")], None, planned.world.now)
    assert findings.place(1) == Place("rust", 2)
    planned.planner.confirm(findings, [True, False], planned.world.now)
    assert run.results == {"rust": OnceResult(published=1, failed=1)}


def test_new_has_no_ranks() -> None:
    planned, run = harness(), run_of("rust", post_sort="new")
    planned.planner.ranked.begin(run)
    while not isinstance(fetch := planned.planner.next(planned.world.now, 1.0), OnceFetch):
        planned.world.now += 1.0
    items: list[Seen] = [post("x", "rust")]
    findings = planned.planner.judge(fetch, items, None, planned.world.now)
    assert (len(findings.decisions), findings.place(0), fetch.mode(is_new=True)) == (1, None, "new")


@pytest.mark.parametrize("refused", [True, False])
def test_a_subreddit_that_cannot_be_read_has_a_result_too_and_the_others_are_read(refused: bool) -> None:
    planned, run = harness(), run_of("private", "rust")
    planned.hot[:] = [post("x", "rust")]
    if refused:
        planned.world.refused = {"private"}
    else:
        planned.world.broken = {"private"}
    rounds(planned, run, 600)
    error = "refused" if refused else "not answered"
    assert run.results == {"private": OnceResult(error=error), "rust": OnceResult(published=1)}
    assert len([fetch for fetch in once(planned) if fetch.names == ("private",)]) == (1 if refused else 3)


def test_runs_that_overlap_are_all_read_and_so_are_the_ranks_of_what_is_watched() -> None:
    planned, runs = harness(), [run_of("rust"), run_of("golang")]
    planned.planner.configure(by_rank("a"), planned.world.now)
    for run in runs:
        planned.planner.ranked.begin(run)
    planned.run(60)
    assert all(run.is_done for run in runs)
    assert planned.kinds()["ranked"] == 1


def test_the_first_result_of_a_subreddit_stays() -> None:
    listings, run = RankedListings(), run_of("rust")
    listings.begin(run)
    listing = listings.take(START, lambda name: True)
    assert listing is not None
    listings.end(listing, OnceResult(published=2))
    listings.end(listing, OnceResult(known=2))
    assert run.results == {"rust": OnceResult(published=2)}


def test_a_new_configuration_does_not_drop_a_run() -> None:
    planned, run = harness(), run_of("rust")
    planned.planner.ranked.begin(run)
    planned.planner.configure(fast("a", "b"), planned.world.now)
    planned.run(60)
    assert run.is_done
