"""The proof that nothing lies between two polls of a listing, and the gaps where there is no such proof. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from signalflow.domain.known import Seen

# A page that shows this many ids of the anchor reaches back to it. One or two may be old posts that reappeared.
PROOF = 3
# Ids kept of the newest end of a proven stretch: many more than the proof needs, since posts are deleted in between.
ANCHOR_SIZE = 50
# A look is relied on up to this many seconds before it: what was created later may have become visible after it.
UNSETTLED = 120.0
# Ten pages of 100 are all that Reddit keeps of one subreddit's listing.
MAX_GAP_PAGES = 10


@dataclass(frozen=True, slots=True)
class Anchor:
    """The newest end of a stretch of listing known to be complete: the ids there, and the creation time up to which it is."""

    ids: frozenset[str]
    since: float

    @classmethod
    def of_page(cls, items: Sequence[Seen], seen_at: float) -> "Anchor":
        """The anchor that a page, which was answered at `seen_at`, gives to the next one."""
        top = items[:ANCHOR_SIZE]
        return cls(frozenset(item.id for item in top), max((seen_at - UNSETTLED, *(item.created for item in top))))

    def by_time(self) -> "Anchor":
        """The same end for fewer or more subreddits: which ids would be there is not known, so that posts as old must do."""
        return Anchor(frozenset(), self.since)


@dataclass(slots=True)
class Proof:
    """How far the pages read so far show that an anchor was reached."""

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
        """Whether the anchor was reached. An anchor of fewer than three ids (a quiet or new subreddit) is reached by three posts that are as old."""
        if len(self.anchor.ids) >= PROOF:
            return self.found >= PROOF
        return self.older >= PROOF


def proves(anchors: Iterable[Anchor], items: Sequence[Seen], *, is_whole: bool) -> bool:
    """Whether one page alone reaches back to every one of the anchors. True without anchors: a first look has nothing to prove.

    `is_whole`: the listing ends on this page. Then fewer than three ids do if there were no more, but a short answer without any is no proof.
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
    """A stretch of a listing that could not be proven complete, being read page by page from the top end downwards.

    `record` is its row in the ledger, None until that is written: no page of it is fetched before. `after` is the fullname that its next page
    follows, None for the first page of the listing. `is_placed` is False while the page above it has not been published in full.
    """

    subreddits: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    opened_at: float
    after: str | None = None
    pages: int = 0
    record: int | None = None
    is_placed: bool = True
    not_before: float = -math.inf
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

    def read(self, items: Sequence[Seen]) -> bool:
        """Count a page that was published in full; returns whether the gap is proven closed by it."""
        self.pages += 1
        for proof in self.proofs:
            proof.read(items)
        return all(proof.holds for proof in self.proofs)
