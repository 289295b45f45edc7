"""Proves that no post was missed between two polls of a listing, and describes a gap where there is no proof. Pure."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from signalflow.domain.known import Seen

# A page that shows this many ids of the anchor reaches back to it. One or two ids may be old posts that reappeared.
PROOF = 3
# Number of ids in an anchor: many more than the proof needs, since posts are deleted between two polls.
ANCHOR_SIZE = 50
# A page is trusted to be complete up to this many seconds before it was answered. A post that was created later may
# have become visible only afterwards.
UNSETTLED = 120.0
# Reddit's listing of one subreddit ends after ten pages of 100.
MAX_GAP_PAGES = 10
PAGE_SIZE = 100
# A listing that ends after more posts of a subreddit may have been cut: Reddit shows its newest 1,000, and those on the
# page above a gap, those that came meanwhile and those that were taken away count too. Fewer are all there are.
WHOLE_LISTING = MAX_GAP_PAGES * PAGE_SIZE // 2


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest end of a stretch of a listing that is known to be complete.

    `ids` are the newest posts of the stretch. It is complete up to the creation time `since`.
    """

    ids: frozenset[str]
    since: float

    @classmethod
    def of_page(cls, items: Sequence[Seen], seen_at: float) -> "Anchor":
        """The anchor that a page, answered at `seen_at`, sets for the next page."""
        top = items[:ANCHOR_SIZE]
        return cls(frozenset(item.id for item in top), max((seen_at - UNSETTLED, *(item.created for item in top))))

    def by_time(self) -> "Anchor":
        """The same anchor for another set of subreddits. Its ids are not known then, so posts as old must prove it."""
        return Anchor(frozenset(), self.since)


@dataclass(slots=True)
class Proof:
    """Counts what pages show of an anchor: `found` of its ids, and `older` posts, as old as the anchor or older."""

    anchor: Anchor
    found: int = 0
    older: int = 0

    def read(self, items: Iterable[Seen]) -> None:
        """Count what one more page shows."""
        since, ids = self.anchor.since, self.anchor.ids
        self.found += sum(1 for item in items if item.id in ids)
        self.older += sum(1 for item in items if item.created <= since)

    @property
    def holds(self) -> bool:
        """Whether the pages reached the anchor: they showed three of its ids.

        If it has fewer than three ids (a quiet or new subreddit), three posts as old as the anchor prove it.
        """
        if len(self.anchor.ids) >= PROOF:
            return self.found >= PROOF
        return self.older >= PROOF


def proves(anchors: Iterable[Anchor], items: Sequence[Seen], *, is_whole: bool) -> bool:
    """Whether one page alone reaches back to every anchor. True without anchors: a first page has nothing to prove.

    `is_whole`: the listing ends on this page. Then an anchor of fewer than three ids is reached if the page shows all
    of them. If one is missing, the end of the listing proves nothing: Reddit may have answered with too few posts.
    """
    page_ids = {item.id for item in items}
    for anchor in anchors:
        if len(anchor.ids & page_ids) >= PROOF:
            continue
        proof = Proof(anchor)
        proof.read(items)
        if not proof.holds and not (is_whole and len(anchor.ids) < PROOF and proof.found == len(anchor.ids)):
            return False
    return True


@dataclass(slots=True, eq=False)
class Gap:
    """A stretch of a listing that could not be proven complete. It is read page by page, from its newest end downwards.

    `record` is the id of its row in the ledger, None until the row is written; no page of the gap is fetched before.
    `after` is the fullname that its next page follows, None for the first page of the listing. `has_upper_end` is
    False until the page above the gap was published in full. Posts created up to `until` may be missing, newer ones
    were published; inf until a page was. `empty_pages` counts pages that led nowhere: they had no post, or were
    followed by themselves.
    `failures` counts requests in a row that had no answer; the last one failed at `failed_at`. `outcome` says how the
    gap was closed, None while it is open.

    A combined listing ends for each subreddit by itself. Below the end of one it goes on with posts of the others, so
    what it shows there says nothing of that one. `shown` counts the posts of each subreddit; `is_cut` once one of them
    has shown more than WHOLE_LISTING.
    """

    subreddits: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    opened_at: float
    after: str | None = None
    pages: int = 0
    record: int | None = None
    has_upper_end: bool = True
    until: float = math.inf
    not_before: float = -math.inf
    empty_pages: int = 0
    failures: int = 0
    failed_at: float = math.inf
    outcome: str | None = None
    shown: Counter[str] = field(default_factory=Counter)
    is_cut: bool = False
    proofs: list[Proof] = field(init=False)

    def __post_init__(self) -> None:
        self.proofs = [Proof(anchor) for anchor in self.anchors]

    @property
    def since(self) -> float:
        """Posts created after this may be missing."""
        return min((anchor.since for anchor in self.anchors), default=-math.inf)

    @property
    def anchor_ids(self) -> list[str]:
        """The ids of all anchors, sorted."""
        return sorted({id_ for anchor in self.anchors for id_ in anchor.ids})

    def resume_below(self, pages: int) -> None:
        """An earlier poller read so many pages. Nobody knows what they showed: perhaps one subreddit alone."""
        self.pages = pages
        self.shown = Counter(dict.fromkeys(map(str.lower, self.subreddits), (pages + 1) * PAGE_SIZE if pages else 0))

    def narrow(self, items: Sequence[Seen]) -> Sequence[Seen]:
        """A page was published in full, and so was what lies above it: no newer post than its last one is missing.

        Returns the posts of the page that prove something: those above the place where a listing may have been cut.
        """
        sure = self._above_a_cut(items)
        if sure:
            self.until = min(self.until, sure[-1].created)
        return sure

    def _above_a_cut(self, items: Sequence[Seen]) -> Sequence[Seen]:
        if len(self.subreddits) == 1:
            return items
        for place, item in enumerate(items):
            self.shown[item.subreddit.lower()] += 1
            if self.shown[item.subreddit.lower()] > WHOLE_LISTING:
                self.is_cut = True
                return items[:place]
        return items

    def begin_anew(self) -> None:
        """Read the gap from the top of the listing again, after a page that led nowhere.

        What was read so far counts no more: the same posts, seen twice, would count as proof twice.
        """
        self.empty_pages += 1
        self.after, self.pages, self.is_cut = None, 0, False
        self.shown.clear()
        self.proofs = [Proof(anchor) for anchor in self.anchors]

    def read(self, items: Sequence[Seen]) -> bool:
        """Count a page that was published in full; returns whether all anchors are reached now."""
        self.pages += 1
        sure = self.narrow(items)
        for proof in self.proofs:
            proof.read(sure)
        return all(proof.holds for proof in self.proofs)
