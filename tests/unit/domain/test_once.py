"""A run that somebody asked for: each of its subreddits is read once, watched or not, and has a result."""

import math
from collections.abc import Callable

import pytest

from signalflow.domain.comment_planner import CommentPlanner
from signalflow.domain.fetch import CommentsRequest, Fetch, ListingRequest
from signalflow.domain.known import Seen
from signalflow.domain.once import OnceResult, OnceRun
from signalflow.domain.planner import Planner
from signalflow.domain.ranked_fetches import OnceFetch
from signalflow.domain.ranked_listings import Place, RankedListings
from signalflow.domain.suspicion import LastAnswers
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


def test_the_history_calls_a_run_failed_only_when_nothing_was_read() -> None:
    run = run_of("rust", "go")
    assert run.outcome is None
    run.results["rust"] = OnceResult(error="refused")
    assert run.outcome is None, "go is not read yet"
    run.results["go"] = OnceResult(known=1)
    assert run.outcome == "partly"
    run.results["go"] = OnceResult(error="not answered")
    assert run.outcome == "failed"
    run.results.update(rust=OnceResult(published=1), go=OnceResult(published=1, failed=1))
    assert run.outcome == "partly"
    run.results["go"] = OnceResult(published=2)
    assert run.outcome == "ok"


def test_every_request_of_a_run_is_a_part_of_one_job() -> None:
    planned, run = harness(), run_of("Rust", "go")
    rounds(planned, run, 60)
    fetches = once(planned)
    assert len(fetches) == 2
    assert {fetch.job for fetch in fetches} == {("once", "7: hot of Rust, go", "ok")}


def comment(id_: str, subreddit: str, created: float = START) -> Seen:
    return Seen(id_, subreddit, created, None, None, None)


class Comments:
    """A planner of comments, and what it asked for and published."""

    def __init__(self) -> None:
        self.planner = CommentPlanner(20.0, LastAnswers())
        self.planner.start((), (), (), START)
        self.now = START
        self.fetches: list[Fetch] = []
        self.published: list[str] = []

    def take(self, *items: Seen, confirmed: bool = True) -> None:
        """The next fetch is answered with these comments."""
        fetch = self.ask()
        findings = self.planner.judge(fetch, items, None, self.now)
        self.published += [items[decision.item].id for decision in findings.decisions]
        self.planner.confirm(findings, [confirmed] * len(findings.decisions), self.now)

    def ask(self) -> Fetch:
        fetch = self.planner.next(self.now)
        assert fetch is not None
        self.fetches.append(fetch)
        return fetch


def test_the_newest_comments_of_each_subreddit_of_a_run_are_read_once_watched_or_not() -> None:
    comments, run = Comments(), OnceRun(7, "hot", ["Rust", "go"], 10, comments=20)
    comments.planner.once.begin(run)
    assert comments.planner.wake(START) == 0.0
    comments.take(comment("x", "rust"), comment("y", "rust", START - 1_000_000))
    comments.take(comment("z", "go"))
    assert comments.planner.next(comments.now) is None
    assert comments.planner.wake(START) == math.inf
    assert comments.published == ["x", "y", "z"], "however old they are"
    requests = [fetch.request for fetch in comments.fetches]
    assert requests == [CommentsRequest(("rust",), limit=20), CommentsRequest(("go",), limit=20)]
    assert run.comment_results == {"rust": OnceResult(published=2), "go": OnceResult(published=1)}
    assert not run.is_done, "its posts are not read yet"
    run.results.update(rust=OnceResult(), go=OnceResult())
    assert run.is_done
    assert {fetch.job for fetch in comments.fetches} == {("once", "7: hot of Rust, go", "ok")}
    again = OnceRun(8, "hot", ["rust"], 10, comments=20)
    comments.planner.once.begin(again)
    comments.take(comment("x", "rust"), comment("new", "rust"), confirmed=False)
    assert again.comment_results == {"rust": OnceResult(known=1, failed=1)}


def test_a_run_without_comments_asks_for_none() -> None:
    comments = Comments()
    comments.planner.once.begin(OnceRun(7, "hot", ["rust"], 10))
    assert comments.planner.next(START) is None


def test_comments_that_are_refused_or_not_answered_take_no_other_subreddit_along() -> None:
    comments, run = Comments(), OnceRun(7, "hot", ["private", "broken", "go"], 10, comments=5)
    comments.planner.once.begin(run)
    comments.ask().refused(comments.now)
    comments.ask().failed(comments.now)
    comments.take(comment("z", "go"))
    assert comments.planner.next(comments.now) is None
    for _ in range(2):
        comments.now += comments.planner.wake(comments.now)
        comments.ask().failed(comments.now)
    assert run.comment_results == {
        "private": OnceResult(error="refused"),
        "go": OnceResult(published=1),
        "broken": OnceResult(error="not answered"),
    }
