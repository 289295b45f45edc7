"""The first look back: what a subreddit had before it was first polled, read in what the budget has to spare. Pure.

Each subreddit that was never polled gets a gap of its own, which reaches back some hours. These gaps have a ledger of
their own, and come after everything else: nobody waits for old posts as for new ones.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from signalflow.domain.fetch import Findings
from signalflow.domain.fetches import GAP_PAGE_TIMEOUT, GapFetch
from signalflow.domain.gaps import GapRecord, OpenGaps
from signalflow.domain.known import Seen
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.run_history import Job
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.words import ObservationMode, RunOutcome

# A listing that is empty so many times in a row has no posts.
MOST_EMPTY_PAGES = 3


@dataclass(slots=True, eq=False)
class FirstLookFetch(GapFetch):
    """The next page of a first look back. Its posts are no news."""

    kind = "first_look"

    @property
    def job(self) -> Job | None:
        # What was given up reaches back as far as Reddit shows.
        outcomes: dict[str, RunOutcome] = {"proven": "ok", "given_up": "partly"}
        outcome = None if self.gap.outcome is None else outcomes.get(self.gap.outcome, "failed")
        return Job("first_look", self.gap.subreddits[0], outcome)

    def mode(self, *, is_new: bool) -> ObservationMode:
        return "backfill" if is_new else self.mode_of_known

    def new_since(self, now: float) -> float:
        return self.gap.since

    def new_until(self) -> float:
        # What came since the first poll is news, and polling finds it. Times are whole seconds.
        return self.gap.opened_at - 1.0

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        if not findings.items and self.gap.empty_pages + 1 >= MOST_EMPTY_PAGES:
            self.gaps.close(self.gap, "given_up")
            return False
        return GapFetch.confirm(self, findings, new=new, is_complete=is_complete, now=now)


class FirstLooks:
    """The first looks that are planned or under way. `seconds` is how far they reach back; with 0 there are none."""

    def __init__(self, seconds: float, subreddit_of: Callable[[str], str | None], answers: LastAnswers) -> None:
        self.gaps = OpenGaps(subreddit_of)
        self._seconds, self._answers = seconds, answers
        self._never_polled: set[str] = set()
        # Posts per second, as the first page showed them.
        self._rates: dict[str, float] = {}

    def resume(self, records: Iterable[GapRecord], is_watched: Callable[[str], bool]) -> None:
        """Go on with the first looks that an earlier poller left open."""
        self.gaps.resume(records, is_watched)
        self._never_polled -= {name for gap in self.gaps for name in gap.subreddits}

    def arrive(self, subreddits: Iterable[Subreddit]) -> None:
        """These are watched from now on."""
        if self._seconds > 0:
            self._never_polled |= {each.name.lower() for each in subreddits if each.polled_at is None}

    def polled(self, names: Sequence[str], items: Sequence[Seen], now: float) -> None:
        """A page of these subreddits was published in full: what lies below it may be read."""
        seconds = now - min((item.created for item in items), default=now)
        shown = Counter(item.subreddit.lower() for item in items)
        for name in [name for name in names if name in self._never_polled]:
            self._never_polled.discard(name)
            self._rates[name] = shown[name] / max(seconds, 1.0)
            self.gaps.open((name,), [Anchor(frozenset(), now - self._seconds)], now, has_upper_end=True)

    def next(self, now: float, is_watched: Callable[[str], bool]) -> FirstLookFetch | None:
        """The next page to fetch. What is no longer watched is not read.

        The first pages of all come before the second of any, and those with the most posts at the moment first: a page
        says how many posts a subreddit usually has, and which scores, so that signals about it may begin.
        """
        while (gap := min(self.gaps.ready(now), key=self._order, default=None)) is not None and not is_watched(
            gap.subreddits[0]
        ):
            self.gaps.close(gap, "given_up")
        if gap is None:
            return None
        gap.not_before = now + GAP_PAGE_TIMEOUT
        return FirstLookFetch(gap, self.gaps, self._answers)

    def _order(self, gap: Gap) -> tuple[int, float]:
        return gap.pages, -self._rates.get(gap.subreddits[0], 0.0)
