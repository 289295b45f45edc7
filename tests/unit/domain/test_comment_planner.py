"""Comments of followed subreddits: every one is published once, or lies in a recorded gap."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from signalflow.domain.comment_fetches import LATEST_COMMENT
from signalflow.domain.comment_planner import (
    MOST_GAPS,
    OTHERS_FOR_ONE,
    REMEMBERED,
    SHARE_OF_LISTINGS,
    SWEEP_EVERY,
    UNREPORTED,
    CommentPlanner,
    StoredComment,
)
from signalflow.domain.comment_refresh import AGES, PATIENCE, RETRY_AFTER
from signalflow.domain.fetch import CommentsByIdRequest, CommentsRequest, Fetch, ListingRequest
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import Seen
from signalflow.domain.overlap import UNSETTLED
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers

START = 1_000_000.0
PER_MINUTE = 20.0


def followed(*names: str, comments: bool = True, polled_at: float | None = None) -> list[Subreddit]:
    return [Subreddit(name, 60, "fast", comments=comments, comments_polled_at=polled_at) for name in names]


@dataclass
class Run:
    """A planner, and the comments that its world shows, newest first. Their ids are in no order."""

    planner: CommentPlanner = field(default_factory=lambda: CommentPlanner(PER_MINUTE, LastAnswers()))
    now: float = START
    comments: list[Seen] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    refreshed: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    is_kafka_away: bool = False

    def start(
        self, subreddits: Sequence[Subreddit], stored: Sequence[StoredComment] = (), gaps: Sequence[GapRecord] = ()
    ) -> "Run":
        self.planner.start(subreddits, stored, gaps, self.now)
        return self

    def write(self, count: int, subreddit: str = "a", age: float = 0.0) -> list[str]:
        ids = [f"{(len(self.comments) + n) * 7919 % 100_003:x}{n % 7}" for n in range(count)]
        for id_ in ids:
            self.comments.append(Seen(id_, subreddit, self.now - age, 1, None))
        self.comments.sort(key=lambda item: -item.created)
        return ids

    def page(self, fetch: Fetch) -> tuple[list[Seen], str | None]:
        request = fetch.request
        if isinstance(request, CommentsByIdRequest):
            return [item for item in self.comments if item.id in request.ids], None
        assert isinstance(request, CommentsRequest)
        shown = [item for item in self.comments if item.subreddit in request.names]
        if request.after:
            place = next((n for n, item in enumerate(shown) if f"t1_{item.id}" == request.after), len(shown))
            shown = shown[place + 1 :]
        page = shown[:100]
        return page, f"t1_{page[-1].id}" if len(shown) > 100 else None

    def round(self, works: Callable[[Fetch], bool] = lambda fetch: True) -> Fetch | None:
        fetch = self.planner.next(self.now)
        if fetch is None:
            return None
        self.fetches.append(fetch)
        if not works(fetch):
            fetch.failed(self.now)
            return fetch
        items, after = self.page(fetch)
        findings = self.planner.judge(fetch, items, after, self.now)
        self.write_ledger()
        confirmed = [not self.is_kafka_away] * len(findings.decisions)
        if not self.is_kafka_away:
            self.published += [items[each.item].id for each in findings.decisions if each.is_new]
            self.refreshed += [items[each.item].id for each in findings.decisions if not each.is_new]
        self.planner.confirm(findings, confirmed, self.now)
        self.write_ledger()
        return fetch

    def write_ledger(self) -> None:
        while change := self.planner.gaps.change:
            self.changes.append(f"{change.kind} {change.outcome}" if change.outcome else change.kind)
            self.planner.gaps.recorded(len(self.changes))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.round()
            self.now += 1.0


def test_only_followed_subreddits_are_asked_for_in_one_request() -> None:
    run = Run().start([*followed("a", "B"), *followed("c", comments=False)])
    fetch = run.round()
    assert fetch is not None
    assert fetch.request == CommentsRequest(("a", "b"))
    assert fetch.names == ("a", "b")
    assert (fetch.kind, fetch.request_kind, fetch.tells_state) == ("comments", "comments", False)


def test_without_a_followed_subreddit_nothing_is_asked() -> None:
    run = Run().start(followed("a", comments=False))
    run.run(100)
    assert run.fetches == []
    assert run.planner.wake(run.now) == float("inf")


def test_each_comment_is_published_once_however_often_pages_show_it() -> None:
    run = Run().start(followed("a", "b"))
    ids = run.write(40, "a", age=30) + run.write(20, "b", age=10)
    run.run(120)
    ids += run.write(30, "b")
    run.run(120)
    assert sorted(run.published) == sorted(ids)
    assert len(run.fetches) > 5
    assert run.changes == []


def test_more_than_a_page_between_two_looks_opens_a_gap_that_is_read_to_its_end() -> None:
    run = Run().start(followed("a"))
    first = run.write(100, age=60)
    run.round()
    run.now += 15
    flood = run.write(350)
    run.run(60)
    assert sorted(run.published) == sorted(first + flood)
    assert run.changes[0] == "open"
    assert run.changes[-1] == "close proven"
    assert {fetch.kind for fetch in run.fetches} == {"comments", "comments_gap"}


def test_comments_that_come_late_at_the_top_do_not_prove_that_all_was_read_since_the_last_poller() -> None:
    known = [StoredComment(f"known{n}", "a", START - n) for n in range(5)]
    run = Run().start(followed("a", polled_at=START), known)
    run.now = START + 60
    missed = run.write(350, age=30)
    run.comments += [Seen(f"known{n}", "a", START - n, 1, None) for n in range(5)]
    run.comments += [Seen(f"old{n}", "a", START - LATEST_COMMENT - UNSETTLED - n, 1, None) for n in range(5)]
    run.comments[:0] = [Seen(f"late{n}", "a", START - 200, 1, None) for n in range(3)]
    run.run(120)
    assert set(missed) <= set(run.published)
    assert run.changes[-1] == "close proven"


def test_a_page_that_shows_three_comments_of_the_page_before_is_proof_and_two_are_none() -> None:
    for left, changes in ((3, []), (2, ["open"])):
        run = Run().start(followed("a"))
        run.write(60, age=60)
        run.round()
        run.now += 15
        run.write(100 - left, age=1)
        run.round()
        assert run.changes[:1] == changes, left


def test_what_the_brokers_did_not_confirm_is_published_with_the_next_page() -> None:
    run = Run().start(followed("a"))
    run.write(50, age=60)
    run.run(10)
    run.is_kafka_away = True
    new = run.write(30)
    run.run(30)
    assert not set(new) & set(run.published)
    run.is_kafka_away = False
    run.run(30)
    assert sorted(set(run.published)) == sorted(item.id for item in run.comments)
    assert run.changes == []


def test_a_new_poller_must_reach_back_to_the_last_poll_whatever_was_stored_since() -> None:
    """Trees and files bring comments that no listing showed. What was written beside them is still missing."""
    run = Run()
    stored = [StoredComment(id_, "A", run.now - 600) for id_ in run.write(60, age=600)]
    missed = run.write(250, age=300)
    of_a_tree = [StoredComment(id_, "A", run.now - age) for age in (200, 50) for id_ in run.write(50, age=age)]
    run.start(followed("a", polled_at=run.now - 400), [*stored, *of_a_tree])
    run.run(60)
    assert sorted(run.published) == sorted(missed)
    assert (run.changes[0], run.changes[-1]) == ("open", "close proven")


def test_a_new_poller_must_reach_back_to_the_newest_stored_comment_when_no_poll_was_reported() -> None:
    run = Run()
    stored = run.write(60, age=600)
    missed = run.write(250, age=100)
    run.start(followed("a"), [StoredComment(id_, "A", run.now - 600) for id_ in stored])
    run.run(60)
    assert set(run.published) >= set(missed)
    assert (run.changes[0], run.changes[-1]) == ("open", "close proven")


@pytest.mark.parametrize(("age", "is_gap"), [(UNREPORTED - 1, True), (UNREPORTED + 1, False)])
def test_old_comments_of_trees_and_files_make_no_gap_when_a_subreddit_is_followed_for_the_first_time(
    age: float, is_gap: bool
) -> None:
    run = Run()
    stored = [StoredComment(id_, "a", run.now - age) for id_ in run.write(3, age=age)]
    run.write(150, age=100)
    run.start(followed("a"), stored)
    run.run(60)
    assert bool(run.changes) == is_gap


def test_a_subreddit_whose_comments_are_followed_again_is_read_back_to_its_last_poll() -> None:
    run = Run().start(followed("a"))
    run.write(60, age=60)
    run.write(60, "b", age=60)
    run.run(60)
    stored = [StoredComment(id_, "b", run.now - 900) for id_ in run.write(60, "b", age=900)]
    missed = run.write(150, "b", age=300)
    again = [*followed("a"), *followed("b", polled_at=run.now - 700)]
    assert [each.name for each in run.planner.arriving(again)] == ["b"]
    assert run.planner.configure(again, run.now, stored)
    run.run(60)
    assert set(run.published) >= set(missed)
    assert (run.changes[0], run.changes[-1]) == ("open", "close proven")


def test_a_new_poller_goes_on_with_the_gap_of_the_one_before() -> None:
    run = Run()
    below = run.write(60, age=600)
    above = run.write(150, age=100)
    stored = [StoredComment(id_, "a", run.now - 100) for id_ in above[:50]]
    record = GapRecord(7, ("a",), tuple(below[:50]), run.now - 600, run.now - 50)
    run.start(followed("a"), stored, [record])
    run.run(60)
    assert set(run.published) >= set(above[50:])
    assert "close proven" in run.changes


def test_a_subreddit_that_is_followed_later_has_no_gap_and_one_that_is_left_is_asked_no_more() -> None:
    run = Run().start(followed("a"))
    for age in range(60, 160):
        run.write(1, age=age)
    run.run(60)
    assert run.planner.configure(followed("a", "b"), run.now)
    before_that = run.write(20, "b", age=3_000)
    ids = run.write(20, "b")
    run.run(60)
    assert set(ids) <= set(run.published)
    assert not set(before_that) & set(run.published), "nobody promised what was written before"
    assert run.changes == []
    assert run.planner.configure(followed("b"), run.now)
    before = len(run.fetches)
    run.run(60)
    assert {fetch.names for fetch in run.fetches[before:]} == {("b",)}
    assert not run.planner.configure(followed("b"), run.now)


@pytest.mark.parametrize(("age", "is_new"), [(LATEST_COMMENT - 5, True), (LATEST_COMMENT + 200, False)])
def test_a_comment_that_shows_up_late_is_new_for_ten_minutes(age: float, is_new: bool) -> None:
    run = Run().start(followed("a"))
    run.write(50, age=1)
    run.round()
    run.now += 15
    late = run.write(1, age=age)
    run.round()
    assert (late[0] in run.published) == is_new


def test_a_comment_is_forgotten_only_when_no_page_has_shown_it_for_long() -> None:
    run = Run().start(followed("a"))
    run.write(100, age=60)
    run.run(REMEMBERED + 2 * SWEEP_EVERY)
    assert len(run.published) == len(run.planner._known) == 100
    run.write(100)
    run.run(60)
    run.run(REMEMBERED + 2 * SWEEP_EVERY)
    assert len(run.published) == 200
    assert len(run.planner._known) == 100


def test_comments_of_the_second_of_the_newest_known_one_prove_nothing() -> None:
    """Reddit tells whole seconds, and one second may bring more comments than a page has."""
    run = Run().start(followed("a", "b"))
    run.write(60, age=60)
    run.write(1)
    run.round()
    flood = run.write(350)
    # Now the page before is another group's: only its time is known.
    run.planner.configure(followed("a"), run.now)
    run.now += 15
    run.run(60)
    assert set(flood) <= set(run.published)
    assert run.changes[-1] == "close proven"


def test_where_the_budget_does_not_suffice_the_oldest_gaps_are_given_up_and_say_so() -> None:
    run = Run().start(followed("a"))
    for _ in range(MOST_GAPS + 6):
        run.write(150, age=1)
        while not (fetch := run.round()) or fetch.kind != "comments":
            # The pages of gaps have no turn: another listing is always due.
            run.now += 1
            for gap in run.planner.gaps._gaps:
                gap.not_before = run.now + 1_000
        run.now += 12
    assert len(run.planner.gaps) == MOST_GAPS
    assert run.changes.count("open") == MOST_GAPS + 5
    assert run.changes.count("close given_up") == 5


def test_comments_wait_for_three_other_requests() -> None:
    run = Run().start(followed("a"))
    assert run.planner.is_its_turn
    run.round()
    for _ in range(OTHERS_FOR_ONE):
        assert not run.planner.is_its_turn
        run.planner.note_other()
    assert run.planner.is_its_turn
    assert run.planner.next(run.now) is None
    assert run.planner.is_its_turn, "a turn is not lost while nothing is due"


def test_listings_of_comments_take_their_share_of_the_pace_of_posts() -> None:
    run = Run().start(followed("a"))
    run.run(600)
    most = 10 * PER_MINUTE * SHARE_OF_LISTINGS
    assert most * 0.8 <= len(run.fetches) <= most + 1
    run.planner.set_listing_pace(PER_MINUTE / 5, run.now)
    before = len(run.fetches)
    run.run(600)
    assert len(run.fetches) - before <= most / 5 + 1


def test_a_listing_without_an_answer_is_asked_for_again_and_loses_nothing() -> None:
    run = Run().start(followed("a"))
    run.write(50, age=60)
    run.run(20)
    new = run.write(90)
    fetch = None
    while fetch is None:
        fetch = run.round(works=lambda fetch: False)
        run.now += 1
    run.run(60)
    assert set(new) <= set(run.published)


def test_one_subreddit_that_breaks_the_listing_is_set_aside_while_listings_of_posts_are_answered() -> None:
    answers = LastAnswers()
    run = Run(CommentPlanner(PER_MINUTE, answers)).start(followed("a", "ill"))
    new = run.write(20, "a")
    for _ in range(600):
        answers.note("listing", run.now)
        fetch = run.planner.next(run.now)
        if fetch is not None and "ill" in fetch.names:
            fetch.unanswered(run.now)
        elif fetch is not None:
            items, after = run.page(fetch)
            findings = run.planner.judge(fetch, items, after, run.now)
            run.published += [items[each.item].id for each in findings.decisions]
            run.planner.confirm(findings, [True] * len(findings.decisions), run.now)
        run.now += 1
    assert set(new) <= set(run.published)
    assert run.planner.watchlist.set_aside == {"ill"}


def test_a_request_for_comments_is_not_one_for_posts() -> None:
    assert CommentsRequest(("a",)) != ListingRequest(("a",))


def test_published_comments_are_looked_at_again_by_id_between_listings() -> None:
    run = Run().start(followed("a"))
    run.round()
    ids = run.write(90)
    run.run(60)
    ids += run.write(60)
    run.run(AGES[0] + PATIENCE + 120)
    refreshes = [fetch for fetch in run.fetches if fetch.kind == "comments_refresh"]
    assert [len(fetch.request.ids) for fetch in refreshes if isinstance(fetch.request, CommentsByIdRequest)] == [
        100,
        50,
    ]
    assert sorted(run.published) == sorted(run.refreshed) == sorted(ids)
    assert {fetch.mode(is_new=False) for fetch in refreshes} == {"refresh"}
    assert [fetch.kind for fetch in run.fetches].count("comments") > 50
    assert run.changes == []


def test_a_refresh_that_nobody_answers_comes_again_and_holds_up_no_listing() -> None:
    run = Run().start(followed("a"))
    run.round()
    run.write(10)
    end = run.now + AGES[0] + PATIENCE + RETRY_AFTER + PATIENCE + 120
    while run.now < end:
        run.round(lambda fetch: fetch.kind != "comments_refresh")
        run.now += 1
    kinds = Counter(fetch.kind for fetch in run.fetches)
    assert kinds["comments_refresh"] == 2
    assert kinds["comments"] > 50


def test_a_source_that_answers_no_ids_is_asked_for_none() -> None:
    run = Run(CommentPlanner(PER_MINUTE, LastAnswers(), answers_ids=False)).start(followed("a"))
    run.write(10)
    run.run(AGES[0] + PATIENCE + 120)
    assert {fetch.kind for fetch in run.fetches} == {"comments"}


def test_refreshes_and_pages_of_a_gap_take_turns() -> None:
    run = Run().start(followed("a"))
    for _ in range(4):
        run.write(90)
        run.run(60)
    run.now += AGES[0] + PATIENCE
    run.write(500)
    before = len(run.fetches)
    run.run(30)
    turns = [fetch.kind for fetch in run.fetches[before:] if fetch.kind != "comments"]
    assert turns[:6] == ["comments_refresh", "comments_gap"] * 3


def test_a_refresh_that_is_due_wakes_the_poller_and_one_that_nobody_wants_any_more_does_not() -> None:
    run = Run().start(followed("a"))
    run.write(10)
    run.run(60)
    assert run.planner.configure([], run.now)
    wait = run.planner.wake(run.now)
    assert AGES[0] < wait < AGES[0] + PATIENCE
    run.now += wait
    assert run.planner.next(run.now) is None
    assert run.planner.wake(run.now) == float("inf")
