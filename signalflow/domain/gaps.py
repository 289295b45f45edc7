"""The open gaps: the order in which their pages are read, and the changes that the gap ledger must record. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from signalflow.domain.backoff import Backoff
from signalflow.domain.known import HORIZON, Seen
from signalflow.domain.overlap import MAX_GAP_PAGES, PAGE_SIZE, PROOF, WHOLE_LISTING, Anchor, Gap
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.watchlist import RETRY_UNAVAILABLE

Outcome = Literal["proven", "split", "unreachable", "given_up"]
PAGES_OF_A_WHOLE_LISTING = WHOLE_LISTING // PAGE_SIZE
# A page of a gap that failed or could not be published is fetched again after this many seconds.
PAGE_RETRY = 5.0
# The longest wait, in seconds, between two readings of a gap that end with an empty page.
LONGEST_PAGE_RETRY = 600.0


@dataclass(frozen=True, slots=True)
class GapRecord:
    """A gap as the ledger has it; `record` is the id of its row. Times in seconds of the planner's clock.

    `until` is None while it is not known, and in rows of earlier versions.
    """

    record: int
    subreddits: tuple[str, ...]
    anchor_ids: tuple[str, ...]
    since: float
    opened_at: float
    after: str | None = None
    pages: int = 0
    until: float | None = None


@dataclass(frozen=True, slots=True)
class GapChange:
    """A change that the ledger must record. `outcome` says how a gap was closed.

    - proven: its pages reached the anchor, or within five pages the end of the listing.
    - split: each of its subreddits has a gap of its own now.
    - unreachable: Reddit refuses the listing.
    - given_up: the listing of one subreddit ended later, or ten pages of it did not reach the anchor, or its pages led
      nowhere for 48 h, or it is no longer watched. Posts may be missing.
    """

    kind: Literal["open", "advance", "close"]
    gap: Gap
    outcome: Outcome | None = None


class OpenGaps:
    """All open gaps, and in order the changes that the ledger has not confirmed yet.

    `subreddit_of` returns the subreddit of a known post.
    """

    def __init__(self, subreddit_of: Callable[[str], str | None]) -> None:
        self._subreddit_of = subreddit_of
        self._gaps: list[Gap] = []
        self._changes: deque[GapChange] = deque()

    def __len__(self) -> int:
        return len(self._gaps)

    def __iter__(self) -> Iterator[Gap]:
        return iter(self._gaps)

    @property
    def is_recorded(self) -> bool:
        """Whether the ledger has recorded every gap that was opened."""
        return not any(change.kind == "open" for change in self._changes)

    @property
    def change(self) -> GapChange | None:
        """The next change for the ledger; None when it has recorded all."""
        return self._changes[0] if self._changes else None

    def recorded(self, record: int | None) -> None:
        """The ledger has recorded `change`. `record` is the id of the row if the change opened a gap."""
        change = self._changes.popleft()
        if change.kind == "open":
            change.gap.record = record

    def open(self, subreddits: tuple[str, ...], anchors: Iterable[Anchor], now: float, *, has_upper_end: bool) -> Gap:
        """Open a gap. None of its pages is fetched before the ledger has recorded it."""
        gap = Gap(subreddits, tuple(anchors), now, has_upper_end=has_upper_end)
        self._gaps.append(gap)
        self._changes.append(GapChange("open", gap))
        return gap

    def resume(self, records: Iterable[GapRecord], is_watched: Callable[[str], bool]) -> None:
        """Go on with the gaps that an earlier poller left open. Close those whose subreddits are no longer watched."""
        for record in records:
            anchor = Anchor(frozenset(record.anchor_ids), record.since)
            subreddits = tuple(name for name in record.subreddits if is_watched(name))
            gap = Gap(subreddits, (anchor,), record.opened_at, record.after, record=record.record)
            gap.resume_below(record.pages)
            gap.until = math.inf if record.until is None else record.until
            self._gaps.append(gap)
            if not subreddits:
                self.close(gap, "given_up")

    def next(self, now: float) -> Gap | None:
        """The oldest gap whose next page may be fetched now: it is recorded, and the page above it was published."""
        return next(self.ready(now), None)

    def ready(self, now: float) -> Iterator[Gap]:
        """All of these gaps, the oldest first."""
        return (g for g in self._gaps if g.record is not None and g.has_upper_end and g.not_before <= now)

    def wake(self) -> float:
        """When the next page of a gap may be fetched; inf when there is none."""
        return min((g.not_before for g in self._gaps if g.record is not None and g.has_upper_end), default=math.inf)

    def set_upper_end(self, gap: Gap, after: str | None, above: Sequence[Seen] = ()) -> None:
        """The page `above` the gap was published in full: the gap's first page follows the fullname `after`.

        Without such a page the gap is read from the top of the listing.
        """
        gap.after, gap.has_upper_end = after, True
        gap.narrow(above)
        self._advance(gap)

    def postpone(self, gap: Gap, now: float) -> None:
        """A page of the gap could not be fetched or published: it is fetched again later."""
        gap.not_before = now + PAGE_RETRY

    def failed(self, gap: Gap, answers: LastAnswers, now: float) -> None:
        """A page of the gap had no answer: fetch it again later, and later after each failure.

        If one of several subreddits seems to be the reason, read each by itself.
        """
        failed_before, gap.failed_at = gap.failed_at, now
        gap.failures += 1
        is_suspected = answers.cast_suspicion("listing", gap.failures, failed_before)
        if is_suspected and (len(gap.subreddits) > 1 or now - gap.opened_at > HORIZON):
            self.refused(gap, now)
        else:
            gap.not_before = now + Backoff(PAGE_RETRY, LONGEST_PAGE_RETRY).after(gap.failures)

    def read(self, gap: Gap, items: Sequence[Seen], after: str | None, now: float) -> None:
        """A page of the gap was published in full: close the gap, go on, or where a listing may end split it up."""
        gap.not_before, gap.failures, gap.failed_at = now, 0, math.inf
        if not items:
            self._read_anew(gap, now)
        elif gap.read(items):
            self.close(gap, "proven")
        elif gap.is_cut:
            self.split(gap, now)
        elif after is not None and after == gap.after:
            # The page is followed by itself.
            self._read_anew(gap, now)
        elif after is None and gap.pages <= PAGES_OF_A_WHOLE_LISTING:
            self.close(gap, "proven")
        elif after is not None and gap.pages < MAX_GAP_PAGES:
            gap.after = after
            self._advance(gap)
        elif len(gap.subreddits) > 1:
            self.split(gap, now)
        else:
            self.close(gap, "given_up")

    def _read_anew(self, gap: Gap, now: float) -> None:
        """A page of the gap leads nowhere: read it anew from the top, later after each such page, until it is too old.

        An empty page is not the end of a listing: the post `after` may have been deleted, or Reddit is at fault. It
        is surely when a page is followed by itself.
        """
        if now - gap.opened_at > HORIZON:
            self.close(gap, "given_up")
            return
        gap.begin_anew()
        gap.not_before = now + Backoff(PAGE_RETRY, LONGEST_PAGE_RETRY).after(gap.empty_pages)
        self._advance(gap)

    def refused(self, gap: Gap, now: float) -> None:
        """Reddit refuses the gap's listing: read each subreddit by itself.

        A single subreddit is tried again hourly for 48 h; by then its listing hardly reaches back to the missing posts.
        """
        if len(gap.subreddits) > 1:
            self.split(gap, now)
        elif now - gap.opened_at > HORIZON:
            self.close(gap, "unreachable")
        else:
            gap.not_before = now + RETRY_UNAVAILABLE

    def split(self, gap: Gap, now: float) -> None:
        """Go on with each subreddit by itself. A listing goes back 1,000 posts; combined subreddits share them."""
        for name in gap.subreddits:
            anchors = [self._narrowed(anchor, name) for anchor in gap.anchors]
            self.open((name,), anchors, now, has_upper_end=True).until = gap.until
        self.close(gap, "split")

    def close(self, gap: Gap, outcome: Outcome) -> None:
        """The gap is closed for good."""
        self._gaps.remove(gap)
        gap.outcome = outcome
        self._changes.append(GapChange("close", gap, outcome))

    def give_up_oldest(self, most: int) -> None:
        """Give up the oldest gaps while more than `most` are open. No page of one of them may be in flight."""
        while len(self._gaps) > most and (oldest := next((gap for gap in self._gaps if gap.has_upper_end), None)):
            self.close(oldest, "given_up")

    def _narrowed(self, anchor: Anchor, name: str) -> Anchor:
        own = frozenset(id_ for id_ in anchor.ids if self._subreddit_of(id_) == name)
        return Anchor(own, anchor.since) if len(own) >= PROOF else anchor.by_time()

    def _advance(self, gap: Gap) -> None:
        latest = self._changes[-1] if self._changes else None
        if latest is None or latest.gap is not gap or latest.kind == "close":
            self._changes.append(GapChange("advance", gap))
