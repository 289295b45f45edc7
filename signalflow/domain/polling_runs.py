"""The runs of one poller: a minute after the other, and the jobs that its requests are parts of. Pure."""

from signalflow.domain.fetch import Fetch, Findings
from signalflow.domain.run_history import Run, RunBook
from signalflow.domain.words import RunKind, RunOutcome

# A poller never ends by itself, so its work is cut into runs of so many seconds.
CYCLE_SECONDS = 60.0
# Outcomes of requests that are no errors. A request is cancelled because this process stops polling.
NO_ERRORS = frozenset({"ok", "cancelled"})


class PollingRuns:
    """The runs of one poller: a minute after the other, and beside them the jobs that its requests are parts of.

    A request of a job counts in its minute too.
    """

    def __init__(self, book: RunBook, now: float) -> None:
        self._book = book
        self._minute = book.begin("polling", now)
        # The run of each job that goes on, with a request of it, which knows how the job stands.
        self._jobs: dict[tuple[RunKind, str], tuple[Run, Fetch]] = {}

    def turn(self, now: float) -> None:
        """Call this often: it ends what is over, and begins the next minute."""
        self._end_jobs(now)
        if now - self._minute.started >= CYCLE_SECONDS:
            self._end_minute(now)
            self._minute = self._book.begin("polling", now)

    def began(self, fetch: Fetch, now: float) -> None:
        """A request is made."""
        if (job := fetch.job) is not None:
            key = job.kind, job.subject
            known = self._jobs.get(key)
            run = known[0] if known else self._book.begin(job.kind, now, job.subject)
            self._jobs[key] = run, fetch
        for run in self._runs_of(fetch):
            run.requests += 1
            run.uses[fetch.kind] += 1

    def answered(self, fetch: Fetch, outcome: str, now: float) -> None:
        """How the request ended, by the label of the metric."""
        if outcome not in NO_ERRORS:
            self.lost(fetch)
        if outcome != "cancelled":
            self._end_jobs(now)

    def lost(self, fetch: Fetch) -> None:
        """There was no usable answer, or what it showed was not published in full."""
        for run in self._runs_of(fetch):
            run.errors += 1

    def took(self, findings: Findings, now: float, *, of_comments: bool) -> None:
        """What was published of an answer, with what the brokers confirmed."""
        published = findings.published
        for run in self._runs_of(findings.fetch):
            if of_comments:
                run.comments += published
            else:
                run.posts += published
            run.new += findings.published_new
            run.gaps += not findings.is_proven
        if published < len(findings.decisions):
            self.lost(findings.fetch)
        self._end_jobs(now)

    def stop(self, now: float) -> None:
        """The poller stops. The jobs that go on are not over."""
        self._end_minute(now)
        for run, _ in self._jobs.values():
            self._book.end(run, "stopped", now)
        self._jobs.clear()

    def _runs_of(self, fetch: Fetch) -> list[Run]:
        job = fetch.job
        known = self._jobs.get((job.kind, job.subject)) if job else None
        return [self._minute, known[0]] if known else [self._minute]

    def _end_jobs(self, now: float) -> None:
        for key, (run, fetch) in list(self._jobs.items()):
            if (job := fetch.job) is not None and job.outcome is not None:
                self._book.end(run, job.outcome, now)
                del self._jobs[key]

    def _end_minute(self, now: float) -> None:
        self._book.end(self._minute, _outcome_of(self._minute), now)


def _outcome_of(minute: Run) -> RunOutcome:
    if not minute.requests:
        return "idle"
    if not minute.errors:
        return "ok"
    return "failed" if minute.errors >= minute.requests else "partly"
