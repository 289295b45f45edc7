"""The kinds of requests for comments, and what each kind does with its answer. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from signalflow.domain.comment_refresh import CommentRefreshes
from signalflow.domain.fetch import CommentsByIdRequest, CommentsRequest, Fetch, Findings, Request
from signalflow.domain.fetches import GapFetch, ListingFetch
from signalflow.domain.overlap import Anchor

# A comment that shows up so many seconds after it was written, as when a moderator approves it, still counts as new.
LATEST_COMMENT = 600.0


@dataclass(slots=True, eq=False)
class CommentsFetch(ListingFetch):
    """The newest page of a group's comments, which must overlap with the page before it as pages of posts do."""

    kind = "comments"
    request_kind = "comments"
    shows_discovery_delay = False
    tells_state = False

    @property
    def request(self) -> Request:
        return CommentsRequest(self.group.names)

    def new_since(self, now: float) -> float:
        return _new_since(self.group.anchors)

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        anchors = self.group.anchors
        may_begin = ListingFetch.confirm(self, findings, new=new, is_complete=is_complete, now=now)
        if self.group.anchors is not anchors:
            self.group.anchors = tuple(anchor_of_comments(anchor) for anchor in self.group.anchors)
        return may_begin


@dataclass(slots=True, eq=False)
class CommentsGapFetch(GapFetch):
    """The next page of a gap between comments."""

    kind = "comments_gap"
    request_kind = "comments"
    tells_state = False

    @property
    def request(self) -> Request:
        return CommentsRequest(self.gap.subreddits, self.gap.after)

    def new_since(self, now: float) -> float:
        return _new_since(self.gap.anchors)


@dataclass(slots=True, eq=False)
class CommentsRefreshFetch(Fetch):
    """An observation of published comments, requested by id."""

    kind = "comments_refresh"
    is_refresh = True
    request_kind = "comments_by_id"
    tells_state = False

    ids: tuple[str, ...]
    refreshes: CommentRefreshes

    @property
    def request(self) -> Request:
        return CommentsByIdRequest(self.ids)

    def asked_for(self, id_: str, subreddit: str) -> bool:
        return id_ in self.ids

    def new_since(self, now: float) -> float:
        return math.inf

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        self.refreshes.done(self.ids, now)
        return False

    def failed(self, now: float) -> None:
        self.refreshes.failed(self.ids, now)

    def unanswered(self, now: float) -> bool:
        self.refreshes.done(self.ids, now)
        return False


def anchor_of_comments(anchor: Anchor) -> Anchor:
    """The anchor with the second before as its time.

    Times are whole seconds. One second may bring more comments than a page has, and the page before showed a part of
    its last one only.
    """
    return replace(anchor, since=anchor.since - 1.0)


def _new_since(anchors: Iterable[Anchor]) -> float:
    """The creation time after which an unknown comment is new. A first page is new as a whole."""
    return min((anchor.since - LATEST_COMMENT for anchor in anchors), default=-math.inf)
