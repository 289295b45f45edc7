"""The newest comments of subreddits that somebody asked for once: which to read next, and what came of it. Pure."""

import math
from dataclasses import dataclass

from signalflow.domain.fetch import CommentsRequest, Fetch, Findings, Request
from signalflow.domain.once import MOST_TRIES, OnceResult, OnceRun
from signalflow.domain.ranked_listings import RETRIES
from signalflow.domain.run_history import Job


@dataclass(slots=True, eq=False)
class Wanted:
    """The newest comments of one subreddit of a run. `failures` counts those in a row."""

    run: OnceRun
    name: str
    due: float = -math.inf
    failures: int = 0


class OnceComments:
    """What runs still lack. Each subreddit is read by itself, so that one which Reddit refuses takes no other along."""

    def __init__(self) -> None:
        self._wanted: list[Wanted] = []

    def begin(self, run: OnceRun) -> None:
        """Read the comments of a run once, if it asks for any."""
        if run.comments:
            self._wanted += [Wanted(run, name.lower()) for name in run.subreddits]

    def next(self, now: float) -> "OnceCommentsFetch | None":
        """The fetch to make now, or None."""
        wanted = next((each for each in self._wanted if each.due <= now), None)
        return None if wanted is None else OnceCommentsFetch(wanted, self)

    def wake(self) -> float:
        """When the next one may be read; inf without any."""
        return min((wanted.due for wanted in self._wanted), default=math.inf)

    def end(self, wanted: Wanted, result: OnceResult) -> None:
        """These comments were read, or cannot be."""
        if wanted in self._wanted:
            self._wanted.remove(wanted)
            wanted.run.comment_results[wanted.name] = result


@dataclass(slots=True, eq=False)
class OnceCommentsFetch(Fetch):
    """The newest comments of one subreddit, which somebody asked for once. They prove nothing."""

    kind = "once_comments"
    request_kind = "comments"
    is_in_order = False
    tells_state = False

    wanted: Wanted
    once: OnceComments

    @property
    def request(self) -> Request:
        return CommentsRequest((self.wanted.name,), limit=self.wanted.run.comments)

    @property
    def job(self) -> Job | None:
        return Job("once", self.wanted.run.title, self.wanted.run.outcome)

    def new_since(self, now: float) -> float:
        return -math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        failed = len(findings.decisions) - findings.published
        known = len({item.id for item in findings.items}) - new - failed
        self.once.end(self.wanted, OnceResult(new, known, failed))
        return False

    def failed(self, now: float) -> None:
        self.wanted.failures += 1
        self.wanted.due = now + RETRIES.after(self.wanted.failures)
        if self.wanted.failures >= MOST_TRIES:
            self.once.end(self.wanted, OnceResult(error="not answered"))

    def refused(self, now: float) -> None:
        self.once.end(self.wanted, OnceResult(error="refused"))
