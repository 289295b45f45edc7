"""The kinds of requests for posts that discover and refresh them, and what each kind does with its answer. Pure.

`ranked_fetches.py` has those of listings by rank, and `comment_fetches.py` those of comments. A new kind is a new
class. Planner and poller use only the methods of `Fetch`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from signalflow.domain.emptiness import BELIEVED_AFTER, EmptyListings
from signalflow.domain.fetch import Fetch, Findings, ListingRequest, PostsRequest, Request
from signalflow.domain.gaps import OpenGaps
from signalflow.domain.groups import Group
from signalflow.domain.known import HORIZON, KnownPost, Seen, note_absence
from signalflow.domain.overlap import Anchor, Gap, proves
from signalflow.domain.reappearance import Reappearances
from signalflow.domain.refresh import RefreshQueue
from signalflow.domain.silence import Silences
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.watchlist import Watchlist

# The same page of a gap is not fetched again within this many seconds, unless its answer comes before.
GAP_PAGE_TIMEOUT = 60.0


@dataclass(slots=True, eq=False)
class ListingFetch(Fetch):
    """The newest page of a group's listing. It discovers posts, and must overlap with the page before it."""

    kind = "listing"
    shows_discovery_delay = True
    shows_newest = True

    group: Group
    watchlist: Watchlist
    gaps: OpenGaps

    @property
    def request(self) -> Request:
        return ListingRequest(self.group.names)

    def new_since(self, now: float) -> float:
        return _new_since(self.group.anchors, now)

    def doubts_nothing(self, posts: Mapping[str, KnownPost]) -> bool:
        return self.watchlist.empty_listings.is_doubtful(self.group.names, posts.values())

    def check_overlap(self, items: Sequence[Seen], *, is_whole: bool, now: float) -> bool:
        group = self.group
        is_proven = not items or proves(group.anchors, items, is_whole=is_whole)
        if not is_proven and group.gap is None:
            group.gap = self.gaps.open(group.names, group.anchors, now, has_upper_end=False)
        return is_proven

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        group = self.group
        group.count(new, now, overflowed=not findings.is_proven)
        if group.gap is not None and group not in self.watchlist.groups:
            # The group was dissolved while the request was in flight.
            self.watchlist.detached_gaps.append(group.gap)
            group.gap = None
        if not is_complete:
            # Unconfirmed posts may be missing from the next page: it must overlap with the same anchor.
            return False
        if not findings.items:
            self.watchlist.showed_nothing(group, now)
            # Reddit may answer with an empty page by mistake: it replaces no anchor. A new listing gets its first one.
            group.anchors = group.anchors or (Anchor.of_page((), findings.seen_at),)
            return False
        self.watchlist.empty_listings.shown(group.names, {item.subreddit.lower() for item in findings.items})
        self.watchlist.succeeded(group, now)
        if group.gap is not None:
            if findings.is_proven:
                self.gaps.close(group.gap, "proven")
            else:
                self.gaps.set_upper_end(group.gap, findings.after, findings.items)
            group.gap = None
        group.anchors = (Anchor.of_page(findings.items, findings.seen_at),)
        return True

    def failed(self, now: float) -> None:
        self.watchlist.failed(self.group, now)

    def unanswered(self, now: float) -> bool:
        return self.watchlist.unanswered(self.group, now)

    def showed_nothing(self, now: float) -> bool:
        return self.watchlist.unanswered(self.group, now, was_empty=True)

    def refused(self, now: float) -> None:
        self.watchlist.refused(self.group, now)


@dataclass(slots=True, eq=False)
class GapFetch(Fetch):
    """The next page of a gap: it finds posts that left the newest page before they were seen."""

    kind = "gap"

    gap: Gap
    gaps: OpenGaps
    answers: LastAnswers

    @property
    def request(self) -> Request:
        return ListingRequest(self.gap.subreddits, self.gap.after)

    def new_since(self, now: float) -> float:
        return _new_since(self.gap.anchors, now)

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        if is_complete:
            self.gaps.read(self.gap, findings.items, findings.after, now)
        else:
            self.gaps.postpone(self.gap, now)
        return False

    def failed(self, now: float) -> None:
        self.gaps.postpone(self.gap, now)

    def unanswered(self, now: float) -> bool:
        self.gaps.failed(self.gap, self.answers, now)
        return False

    def refused(self, now: float) -> None:
        self.gaps.refused(self.gap, now)


@dataclass(slots=True, eq=False)
class ReappearanceFetch(Fetch):
    """The newest page of one subreddit that the listing of its group had left out, or that was quiet."""

    kind = "reappearance"

    name: str
    anchor: Anchor
    reappearances: Reappearances
    gaps: OpenGaps
    gap: Gap | None = None

    @property
    def request(self) -> Request:
        return ListingRequest((self.name,))

    def new_since(self, now: float) -> float:
        return _new_since((self.anchor,), now)

    def check_overlap(self, items: Sequence[Seen], *, is_whole: bool, now: float) -> bool:
        is_proven = bool(items) and proves((self.anchor,), items, is_whole=is_whole)
        if not is_proven:
            self.gap = self.gaps.open((self.name,), (self.anchor,), now, has_upper_end=False)
        return is_proven

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        if not is_complete:
            self.failed(now)
        elif self.gap is not None:
            self.gaps.set_upper_end(self.gap, findings.after, findings.items)
        return False

    def failed(self, now: float) -> None:
        if self.gap is not None:
            self.gaps.set_upper_end(self.gap, None)
        else:
            self.reappearances.put_back(self.name, self.anchor)

    def refused(self, now: float) -> None:
        self.gaps.refused(self.gaps.open((self.name,), (self.anchor,), now, has_upper_end=True), now)


@dataclass(slots=True, eq=False)
class SilenceFetch(Fetch):
    """The newest page of one subreddit of which combined listings show nothing: can it be read at all?"""

    kind = "silence"

    name: str
    silences: Silences
    answers: LastAnswers
    empty_listings: EmptyListings

    @property
    def request(self) -> Request:
        return ListingRequest((self.name,))

    def new_since(self, now: float) -> float:
        return _new_since((), now)

    def doubts_nothing(self, posts: Mapping[str, KnownPost]) -> bool:
        return self.empty_listings.is_doubtful((self.name,), posts.values())

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        if is_complete:
            self.empty_listings.shown((self.name,), {item.subreddit.lower() for item in findings.items})
            self.silences.answered(self.name)
        else:
            self.failed(now)
        return False

    def failed(self, now: float) -> None:
        self.silences.failed(self.name, now)

    def unanswered(self, now: float) -> bool:
        is_reason = self.answers.convict("listing", self.silences.failed(self.name, now))
        if is_reason:
            self.silences.refused(self.name, now)
        return is_reason

    def showed_nothing(self, now: float) -> bool:
        if not self.answers.convict("listing", self.silences.failed(self.name, now), was_empty=True):
            return False
        if self.silences.refused(self.name, now) < BELIEVED_AFTER:
            return True
        # The next answer counts, and tells that it can be read.
        self.empty_listings.believe(self.name)
        self.silences.answered(self.name)
        return False

    def refused(self, now: float) -> None:
        self.silences.refused(self.name, now)


@dataclass(slots=True, eq=False)
class RefreshFetch(Fetch):
    """An observation of known posts, requested by id. It discovers nothing: a post that is not known was forgotten."""

    kind = "refresh"
    is_refresh = True
    request_kind = "posts"

    ids: tuple[str, ...]
    posts: Mapping[str, KnownPost]
    queue: RefreshQueue

    @property
    def request(self) -> Request:
        return PostsRequest(self.ids)

    def asked_for(self, id_: str, subreddit: str) -> bool:
        return id_ in self.ids

    def new_since(self, now: float) -> float:
        return math.inf

    def doubts_nothing(self, posts: Mapping[str, KnownPost]) -> bool:
        # A single post may have vanished.
        return sum(not post.absences for post in self._known()) > 1

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        shown = {item.id for item in findings.items} | findings.rejected
        self.queue.answered(self.ids, now)
        asked = self._known()
        counts = bool(shown) or self._may_be_banned(asked, now)
        for post in asked:
            post.refreshes += 1
            if post.id not in shown:
                note_absence(post, now, counts=counts)
            self.queue.put(post, now)
        return False

    def failed(self, now: float) -> None:
        if not self.queue.failed(self.ids, now):
            for post in self._known():
                self.queue.put(post, now)

    def unanswered(self, now: float) -> bool:
        # A request that is made only to learn Reddit's time names no known post.
        if self._known():
            self.queue.unanswered(self.ids, now)
        return False

    def showed_nothing(self, now: float) -> bool:
        self.queue.unanswered(self.ids, now, was_empty=True)
        return False

    def _may_be_banned(self, asked: Sequence[KnownPost], now: float) -> bool:
        """Whether an answer without a post tells something about the posts.

        To show no posts of several subreddits is a mistake of Reddit's rather than a ban of all of them. So it is when
        Reddit shows no other post by its id either, if there are others.
        """
        if len({post.subreddit for post in asked}) != 1:
            return False
        return self.queue.shown_lately(now) or len({post.subreddit for post in self.posts.values()}) == 1

    def _known(self) -> list[KnownPost]:
        return [self.posts[id_] for id_ in self.ids if id_ in self.posts]


@dataclass(slots=True, eq=False)
class ProbeFetch(Fetch):
    """A listing that exists on every Reddit, requested only to learn whether Reddit answers, or its time."""

    kind = "probe"

    @property
    def request(self) -> Request:
        return ListingRequest(("popular",))

    @property
    def names(self) -> tuple[str, ...]:
        """None: nobody watches this listing."""
        return ()

    def new_since(self, now: float) -> float:
        return math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        return False

    def failed(self, now: float) -> None:
        """Nothing waits for it."""


def _new_since(anchors: Iterable[Anchor], now: float) -> float:
    """The creation time after which an unknown post is new: 48 h ago, or the oldest anchor's `since` if it is older.

    An older post was known and is forgotten, or it was created before polling began.
    """
    return min((now - HORIZON, *(anchor.since for anchor in anchors)))
