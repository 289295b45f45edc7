"""What can be fetched from Reddit, and what each kind of fetch does with its answer. Pure.

A new kind of fetch is a new class here; planner and poller ask every fetch the same questions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from signalflow.domain.gaps import OpenGaps
from signalflow.domain.known import HORIZON, Decision, KnownPost, Seen, next_checkpoint
from signalflow.domain.overlap import Anchor, Gap, proves
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.watchlist import Group, Watchlist


@dataclass(frozen=True, slots=True)
class ListingRequest:
    """One page of the combined listing `new` of these subreddits; it begins below the fullname `after`, or at the top."""

    names: tuple[str, ...]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class PostsRequest:
    """The posts with these ids."""

    ids: tuple[str, ...]


Request = ListingRequest | PostsRequest


class Fetch(ABC):
    """One request to Reddit and the meaning of its answer. Times are seconds of the planner's clock."""

    # The label of this kind in metrics and logs.
    kind: ClassVar[str]
    # Whether the age of a new post tells how quickly polling finds posts.
    shows_discovery_delay: ClassVar[bool] = False
    # Whether the request was made to look at posts that are known already: such a look costs budget.
    is_paid_look: ClassVar[bool] = False

    @property
    @abstractmethod
    def request(self) -> Request:
        """What to ask Reddit."""

    @property
    def names(self) -> tuple[str, ...]:
        """The subreddits that the answer is about; none for a fetch by id."""
        return ()

    @abstractmethod
    def new_since(self, now: float) -> float:
        """An unknown post counts as new when it was created after this time."""

    def judge(self, items: Sequence[Seen], *, is_whole: bool, now: float) -> bool:
        """Whether nothing is missing between this answer and what was known; False opens a gap.

        `is_whole`: the listing ends with this answer.
        """
        return True

    @abstractmethod
    def confirm(self, findings: "Findings", *, new: int, is_complete: bool, now: float) -> bool:
        """Take note of the answer after publishing. `new` posts were confirmed; `is_complete`: no new post failed.

        Returns whether a successor may begin from this answer: it showed the top of a listing, and is complete.
        """

    @abstractmethod
    def failed(self, now: float) -> None:
        """There was no answer, for no fault of the names: the same again, later."""

    def refused(self, now: float) -> None:
        """Reddit refused the request because of one of its names."""
        self.failed(now)


@dataclass(slots=True)
class Findings:
    """What an answer means: the items, which of them to publish, and whether the stretch above the known posts is proven."""

    fetch: Fetch
    items: Sequence[Seen]
    after: str | None
    seen_at: float
    decisions: list[Decision] = field(default_factory=list)
    is_proven: bool = True


@dataclass(slots=True, eq=False)
class ListingFetch(Fetch):
    """The newest page of a group's listing: it discovers posts, and must overlap with the page before."""

    kind = "listing"
    shows_discovery_delay = True

    group: Group
    watchlist: Watchlist
    gaps: OpenGaps

    @property
    def request(self) -> Request:
        return ListingRequest(self.group.names)

    @property
    def names(self) -> tuple[str, ...]:
        return self.group.names

    def new_since(self, now: float) -> float:
        return _below(self.group.anchors, now)

    def judge(self, items: Sequence[Seen], *, is_whole: bool, now: float) -> bool:
        group = self.group
        is_proven = not items or proves(group.anchors, items, is_whole=is_whole)
        if not is_proven and group.gap is None:
            group.gap = self.gaps.open(group.names, group.anchors, now, is_placed=False)
        return is_proven

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        group = self.group
        group.count(new, now, overflowed=not findings.is_proven)
        if group.gap is not None and group not in self.watchlist.groups:
            # The group was taken apart while its page was on the way.
            self.watchlist.orphans.append(group.gap)
            group.gap = None
        if not is_complete:
            # What was not confirmed may be gone from the next page: that page must prove itself against the same anchor.
            return False
        self.watchlist.succeeded(group, now)
        if not findings.items:
            # Perhaps a fault of Reddit: an empty page replaces no anchor. For a new listing it is the first look.
            group.anchors = group.anchors or (Anchor.of_page((), findings.seen_at),)
            return False
        if group.gap is not None:
            if findings.is_proven:
                self.gaps.close(group.gap, "proven")
            else:
                self.gaps.place(group.gap, findings.after)
            group.gap = None
        group.anchors = (Anchor.of_page(findings.items, findings.seen_at),)
        return True

    def failed(self, now: float) -> None:
        self.watchlist.failed(self.group, now)

    def refused(self, now: float) -> None:
        self.watchlist.refused(self.group, now)


@dataclass(slots=True, eq=False)
class GapFetch(Fetch):
    """The next page of a gap: it reads back what a listing has shown in the meantime."""

    kind = "gap"

    gap: Gap
    gaps: OpenGaps

    @property
    def request(self) -> Request:
        return ListingRequest(self.gap.subreddits, self.gap.after)

    @property
    def names(self) -> tuple[str, ...]:
        return self.gap.subreddits

    def new_since(self, now: float) -> float:
        return _below(self.gap.anchors, now)

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        if is_complete:
            self.gaps.read(self.gap, findings.items, findings.after, now)
        else:
            self.gaps.postpone(self.gap, now)
        return False

    def failed(self, now: float) -> None:
        self.gaps.postpone(self.gap, now)

    def refused(self, now: float) -> None:
        self.gaps.refused(self.gap, now)


@dataclass(slots=True, eq=False)
class RefreshFetch(Fetch):
    """A look at known posts, by id. It discovers nothing: a post that is not known was forgotten."""

    kind = "info"
    is_paid_look = True

    ids: tuple[str, ...]
    posts: Mapping[str, KnownPost]
    queue: RefreshQueue

    @property
    def request(self) -> Request:
        return PostsRequest(self.ids)

    def new_since(self, now: float) -> float:
        return math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        shown = {item.id for item in findings.items}
        for post in self._known():
            post.paid_looks += 1
            if post.id not in shown:
                # Reddit leaves out ids that it no longer knows. There is nothing to publish, and no use in asking at once again.
                post.looked_at = now
                post.checkpoint = next_checkpoint(post.created, now)
            self.queue.put(post, now)
        return False

    def failed(self, now: float) -> None:
        for post in self._known():
            self.queue.put(post, now)

    def _known(self) -> list[KnownPost]:
        return [self.posts[id_] for id_ in self.ids if id_ in self.posts]


def _below(anchors: Iterable[Anchor], now: float) -> float:
    """Older posts were known once and are forgotten, or are from before our time, unless they are above what was known last."""
    return min((now - HORIZON, *(anchor.since for anchor in anchors)))
