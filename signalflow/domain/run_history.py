"""The history of runs: what this process did, to be told to the database in batches. Pure.

A run is a minute of polling, or one job. Times are seconds of one steady clock; a report says how long ago they were.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid4

from signalflow.domain.words import RunKind, RunOutcome

# Runs that ended and could not be told, as while the database is away. It is half a day of them.
MOST_WAITING = 3_000


class Job(NamedTuple):
    """What a request is a part of, besides a minute of polling. `outcome` is None until the job is over."""

    kind: RunKind
    subject: str
    outcome: RunOutcome | None


@dataclass(slots=True, eq=False)
class Run:
    """One run. `posts` and `comments` are observations that the brokers confirmed, `new` those of what was unknown.

    `gaps` are answers below which something may be missing. `errors` are requests without a usable answer, and answers
    that were lost. `uses` counts requests by their kind.
    """

    kind: RunKind
    subject: str
    started: float
    id: UUID = field(default_factory=uuid4)
    ended: float | None = None
    outcome: RunOutcome = "running"
    requests: int = 0
    posts: int = 0
    comments: int = 0
    new: int = 0
    gaps: int = 0
    errors: int = 0
    uses: Counter[str] = field(default_factory=Counter)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run stands. `started_ago` and `ended_ago` are seconds; the end is None while the run goes on."""

    id: UUID
    kind: RunKind
    subject: str
    started_ago: float
    ended_ago: float | None
    outcome: RunOutcome
    requests: int
    posts: int
    comments: int
    new: int
    gaps: int
    errors: int
    uses: Mapping[str, int]
    error: str | None


class RunBook:
    """The runs of one process that go on, or whose end was not told yet. `dropped` counts ends that nobody was told."""

    def __init__(self) -> None:
        self._runs: dict[UUID, Run] = {}
        self.dropped = 0

    def begin(self, kind: RunKind, now: float, subject: str = "") -> Run:
        """A run begins."""
        run = Run(kind, subject, now)
        self._runs[run.id] = run
        return run

    def end(self, run: Run, outcome: RunOutcome, now: float, error: str | None = None) -> None:
        """A run ended. What is known of it does not change any more."""
        run.ended, run.outcome, run.error = now, outcome, error
        ended = [each.id for each in self._runs.values() if each.ended is not None]
        for id_ in ended[: max(len(ended) - MOST_WAITING, 0)]:
            del self._runs[id_]
            self.dropped += 1

    def reports(self, now: float) -> list[RunReport]:
        """How every run stands that goes on or whose end was not told, in the order of their beginnings."""
        return [
            RunReport(
                id=run.id,
                kind=run.kind,
                subject=run.subject,
                started_ago=now - run.started,
                ended_ago=None if run.ended is None else now - run.ended,
                outcome=run.outcome,
                requests=run.requests,
                posts=run.posts,
                comments=run.comments,
                new=run.new,
                gaps=run.gaps,
                errors=run.errors,
                uses=dict(run.uses),
                error=run.error,
            )
            for run in self._runs.values()
        ]

    def told(self, reports: Sequence[RunReport]) -> None:
        """These reports are stored."""
        for report in reports:
            if report.ended_ago is not None:
                self._runs.pop(report.id, None)
