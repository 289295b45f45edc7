"""The history of runs: a minute of polling and each job is a run, told until its end was told."""

import math
from dataclasses import dataclass, field

import pytest

from signalflow.domain import run_history
from signalflow.domain.fetch import Fetch, Findings, ListingRequest, Request
from signalflow.domain.known import Decision
from signalflow.domain.polling_runs import PollingRuns
from signalflow.domain.run_history import Job, RunBook, RunReport
from signalflow.domain.words import RunOutcome
from tests.unit.domain.test_ranked_listings import post

NOW = 1000.0
LOOK, ONCE = Job("first_look", "python", None), Job("once", "3: hot of go, rust", None)


@dataclass(slots=True, eq=False)
class Asked(Fetch):
    """A request of any kind, perhaps a part of a job."""

    kind = "listing"

    of_job: Job | None = None

    @property
    def job(self) -> Job | None:
        return self.of_job

    @property
    def request(self) -> Request:
        return ListingRequest(("python",))

    def new_since(self, now: float) -> float:
        return -math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        return False

    def failed(self, now: float) -> None:
        """Nothing remembers it."""


class Refresh(Asked):
    kind = "refresh"


@dataclass
class Polled:
    """A poller and what its book tells."""

    book: RunBook = field(default_factory=RunBook)

    def __post_init__(self) -> None:
        self.runs = PollingRuns(self.book, NOW)

    def ask(self, at: float, fetch: Asked, outcome: str = "ok") -> None:
        self.runs.began(fetch, at)
        self.runs.answered(fetch, outcome, at)

    def take(
        self, at: float, fetch: Asked, *, new: int, known: int = 0, unsent: int = 0, is_proven: bool = True,
        of_comments: bool = False,
    ) -> None:  # fmt: skip
        """An answer whose decisions are so many observations of new items, of known ones, and unconfirmed ones."""
        total = new + known + unsent
        decisions = [
            Decision(index, is_new=index < new or index >= new + known, with_body=True) for index in range(total)
        ]
        confirmed = [index < new + known for index in range(total)]
        items = [post(f"p{index}", "python") for index in range(total)]
        findings = Findings(fetch, items, None, at, decisions=decisions, confirmed=confirmed, is_proven=is_proven)
        self.runs.took(findings, at, of_comments=of_comments)

    def told(self, at: float) -> list[RunReport]:
        """What is told now, and then counts as told."""
        reports = self.book.reports(at)
        self.book.told(reports)
        return reports


def test_a_minute_of_polling_is_one_run_with_what_was_asked_by_kind() -> None:
    polled = Polled()
    for at in (0.0, 10.0, 20.0):
        polled.ask(NOW + at, Asked())
    polled.ask(NOW + 30, Refresh())
    polled.take(NOW + 30, Asked(), new=2, known=3, is_proven=False)
    polled.take(NOW + 30, Asked(), new=3, known=1, of_comments=True)
    (minute,) = polled.told(NOW + 40)
    assert (minute.kind, minute.outcome, minute.started_ago, minute.ended_ago) == ("polling", "running", 40.0, None)
    assert (minute.requests, minute.posts, minute.comments, minute.new, minute.gaps) == (4, 5, 4, 5, 1)
    assert minute.uses == {"listing": 3, "refresh": 1}
    polled.runs.turn(NOW + 59.9)
    assert [report.id for report in polled.told(NOW + 59.9)] == [minute.id]
    polled.runs.turn(NOW + 60)
    ended, next_minute = polled.told(NOW + 65)
    assert (ended.id, ended.outcome, ended.started_ago, ended.ended_ago) == (minute.id, "ok", 65.0, 5.0)
    assert (next_minute.outcome, next_minute.started_ago, next_minute.requests) == ("running", 5.0, 0)
    assert [report.id for report in polled.told(NOW + 66)] == [next_minute.id], "an end is told once"


@pytest.mark.parametrize(
    ("outcomes", "errors", "outcome"),
    [
        ([], 0, "idle"),
        (["ok", "ok"], 0, "ok"),
        (["ok", "rate_limited", "empty"], 2, "partly"),
        (["blocked", "unavailable"], 2, "failed"),
        (["ok", "cancelled"], 0, "ok"),
    ],
)
def test_the_outcome_of_a_minute_says_whether_reddit_answered(
    outcomes: list[str], errors: int, outcome: RunOutcome
) -> None:
    polled = Polled()
    for outcome_of_request in outcomes:
        polled.ask(NOW + 1, Asked(), outcome_of_request)
    polled.runs.turn(NOW + 60)
    ended = polled.told(NOW + 60)[0]
    assert (ended.errors, ended.outcome) == (errors, outcome)


def test_an_answer_that_was_lost_is_an_error_of_its_minute_and_of_its_job() -> None:
    polled, look = Polled(), Asked(LOOK)
    polled.ask(NOW, look)
    polled.runs.lost(look)
    assert [report.errors for report in polled.told(NOW)] == [1, 1]


def test_the_requests_of_a_job_are_a_run_of_their_own_until_the_job_is_over() -> None:
    polled = Polled()
    first, second = Asked(ONCE), Asked(ONCE)
    polled.ask(NOW + 1, first)
    polled.take(NOW + 1, first, new=10)
    polled.ask(NOW + 5, second, "refused")
    polled.take(NOW + 5, Asked(), new=1)
    polled.runs.turn(NOW + 5)
    minute, job = polled.told(NOW + 6)
    assert (job.kind, job.subject, job.outcome, job.started_ago) == ("once", "3: hot of go, rust", "running", 5.0)
    assert (job.requests, job.posts, job.new, job.errors) == (2, 10, 10, 1)
    assert (minute.requests, minute.posts) == (2, 11), "the minute has all requests"
    first.of_job = second.of_job = ONCE._replace(outcome="partly")
    polled.runs.turn(NOW + 8)
    assert [(report.kind, report.outcome) for report in polled.told(NOW + 8)] == [
        ("polling", "running"),
        ("once", "partly"),
    ]


def test_a_poller_that_stops_ends_its_minute_and_leaves_jobs_stopped() -> None:
    polled = Polled()
    polled.ask(NOW + 1, Asked(LOOK))
    polled.runs.stop(NOW + 7)
    assert [(report.kind, report.outcome, report.ended_ago) for report in polled.told(NOW + 10)] == [
        ("polling", "ok", 3.0),
        ("first_look", "stopped", 3.0),
    ]
    assert polled.told(NOW + 11) == []


def test_what_was_not_confirmed_is_an_error_and_not_counted() -> None:
    polled = Polled()
    polled.ask(NOW, Asked())
    polled.take(NOW, Asked(), new=2, known=1, unsent=4)
    (minute,) = polled.told(NOW)
    assert (minute.posts, minute.new, minute.errors) == (3, 2, 1)


def test_a_job_whose_request_is_cancelled_with_the_poller_has_not_failed() -> None:
    polled, asked = Polled(), Asked(LOOK)
    polled.runs.began(asked, NOW)
    asked.of_job = LOOK._replace(outcome="failed")
    polled.runs.answered(asked, "cancelled", NOW + 1)
    polled.runs.stop(NOW + 1)
    assert [(report.kind, report.outcome) for report in polled.told(NOW + 1)] == [
        ("polling", "ok"),
        ("first_look", "stopped"),
    ]


def test_a_job_that_is_over_with_its_last_answer_is_not_stopped_with_the_poller() -> None:
    polled, asked = Polled(), Asked(LOOK)
    polled.ask(NOW, asked)
    asked.of_job = LOOK._replace(outcome="ok")
    polled.take(NOW + 1, asked, new=1)
    polled.runs.stop(NOW + 2)
    (job,) = [report for report in polled.told(NOW + 2) if report.kind == "first_look"]
    assert (job.outcome, job.ended_ago, job.new) == ("ok", 1.0, 1)


def test_an_end_that_came_while_a_report_was_under_way_is_told_next() -> None:
    book = RunBook()
    run = book.begin("rollup", NOW)
    reports = book.reports(NOW + 1)
    book.end(run, "failed", NOW + 1, "Retryable: the database is away")
    book.told(reports)
    (report,) = book.reports(NOW + 2)
    assert (report.outcome, report.error) == ("failed", "Retryable: the database is away")


def test_while_nobody_takes_reports_the_newest_runs_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_history, "MOST_WAITING", 3)
    book = RunBook()
    still_open = book.begin("retention", NOW)
    for number in range(5):
        book.end(book.begin("rollup", NOW + number), "ok", NOW + number)
    kept = book.reports(NOW + 10)
    assert [(report.kind, report.started_ago) for report in kept] == [
        ("retention", 10.0), ("rollup", 8.0), ("rollup", 7.0), ("rollup", 6.0),
    ]  # fmt: skip
    assert book.dropped == 2
    assert kept[0].id == still_open.id
