"""Which combined listings of comments to read next, which of their comments are new, and which to look at again. Pure.

It works as the planner of posts does, with groups, overlap and gaps of its own. The ids of
comments are not in their order, so a page overlaps with the page before when it shows three ids of it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from signalflow.domain.comment_fetches import (
    LATEST_COMMENT,
    CommentsFetch,
    CommentsGapFetch,
    CommentsRefreshFetch,
)
from signalflow.domain.comment_refresh import CommentRefreshes
from signalflow.domain.comment_trees import CommentTrees
from signalflow.domain.fetch import Fetch, Findings
from signalflow.domain.gaps import GapRecord, OpenGaps
from signalflow.domain.known import Decision, Seen
from signalflow.domain.once_comments import OnceComments
from signalflow.domain.overlap import UNSETTLED
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.takeover import Takeover
from signalflow.domain.tree_fetches import fetch_of
from signalflow.domain.watchlist import Watchlist

# While there is anything else to ask for, so many other requests are made for one of comments: they take at most a
# quarter of the budget.
OTHERS_FOR_ONE = 3
# Listings of comments are planned at this share of the pace of listings of posts; busy ones are read more often.
SHARE_OF_LISTINGS = 0.25
# Trees of posts that take off have a pace of their own, so that no outbreak of them costs more.
SHARE_OF_TREES = 0.1
# The same page of a gap is not fetched again within this many seconds, unless its answer comes before.
GAP_PAGE_TIMEOUT = 60.0
# More open gaps show that the budget does not suffice for what is followed. By then Reddit has hardly what the oldest
# ones lack, since a listing ends after 1,000 comments.
MOST_GAPS = 20
# A published comment is remembered for so many seconds. One that comes later is published again, which changes nothing.
REMEMBERED = 2 * (LATEST_COMMENT + UNSETTLED)
SWEEP_EVERY = 60.0
# A poller reports its polls within seconds. Stored comments that are older, of a subreddit without a report, come from
# trees and files: its comments were not followed.
UNREPORTED = 600.0


class StoredComment(NamedTuple):
    """A comment as the database has it when a poller starts. `created` in epoch seconds."""

    id: str
    subreddit: str
    created: float


@dataclass(frozen=True, slots=True)
class _Known:
    subreddit: str
    seen_at: float


class CommentPlanner:
    """What is known of comments, and the order of fetches that follows from it.

    `per_minute` is the pace of listings of posts. `answers` are those that Reddit gave to any request. `answers_ids`:
    Reddit can be asked for comments by id; if not, none is looked at again. `comments_per_post` are read of the tree of
    a post that takes off, which is one whose score grows by more than `takes_off` per second.
    """

    def __init__(
        self,
        per_minute: float,
        answers: LastAnswers,
        *,
        answers_ids: bool = True,
        comments_per_post: int = 0,
        takes_off: float = math.inf,
    ) -> None:
        self._answers = answers
        self.trees = CommentTrees(per_minute * SHARE_OF_TREES, comments_per_post, takes_off)
        self.watchlist = Watchlist(per_minute * SHARE_OF_LISTINGS, answers)
        self.gaps = OpenGaps(self._subreddit_of)
        self._known: dict[str, _Known] = {}
        self._swept_at = 0.0
        self._refreshes = CommentRefreshes(answers_ids=answers_ids)
        self._turns: list[Callable[[float], Fetch | None]] = [self._refresh, self._gap_page, self._asked_tree]
        self.once = OnceComments()
        self._others = OTHERS_FOR_ONE

    def start(
        self, subreddits: Iterable[Subreddit], stored: Iterable[StoredComment], gaps: Iterable[GapRecord], now: float
    ) -> None:
        """Begin, or take over from an earlier poller, with comments that the database knows and the open gaps."""
        self.configure(subreddits, now, stored)
        self.gaps.resume(gaps, self.watchlist.__contains__)
        self._swept_at = now

    def arriving(self, subreddits: Iterable[Subreddit]) -> list[Subreddit]:
        """Those whose comments are followed from now on: again, or for the first time."""
        return [each for each in subreddits if each.comments and each.name.lower() not in self.watchlist]

    def configure(self, subreddits: Iterable[Subreddit], now: float, stored: Iterable[StoredComment] = ()) -> bool:
        """Read the comments of those of these subreddits whose comments are followed; returns whether that changed.

        `stored`: comments of arriving subreddits that the database knows. Each of them is taken over: its first page
        must reach back to its last poll, however long ago that was. Stored comments alone do not tell when that was:
        some come from trees and files, and those between them and the last poll may be missing.
        """
        watched, known = list(subreddits), list(stored)
        arriving = self.arriving(watched)
        for comment in known:
            self._known[comment.id] = _Known(comment.subreddit.lower(), now)
        if not self.watchlist.configure([each for each in watched if each.comments], now):
            return False
        reported = [replace(each, polled_at=each.comments_polled_at) for each in arriving]
        Takeover(reported, known, not_before=now - UNREPORTED, latest=LATEST_COMMENT).begin(self.watchlist, now)
        return True

    def set_listing_pace(self, per_minute: float, now: float) -> None:
        """So many listings of posts a minute are allowed from now on."""
        self.watchlist.set_pace(per_minute * SHARE_OF_LISTINGS, now)
        self.trees.set_pace(per_minute * SHARE_OF_TREES)

    @property
    def is_its_turn(self) -> bool:
        """Whether comments may go before other requests now."""
        return self._others >= OTHERS_FOR_ONE

    def note_other(self) -> None:
        """A request that is not for comments was made."""
        self._others += 1

    def next(self, now: float) -> Fetch | None:
        """The fetch to make now, or None.

        Newest comments that somebody waits for come first, then a listing that is due, then a tree within its own
        pace, then in turn a refresh, the page of a gap, and a tree that somebody waits for.
        """
        self._sweep(now)
        while self.watchlist.detached_gaps:
            # The group was dissolved before its page was published in full: read the gap from the top of the listing.
            self.gaps.set_upper_end(self.watchlist.detached_gaps.pop(), None)
        if (once := self.once.next(now)) is not None:
            self._others = 0
            return once
        if (group := self.watchlist.due(now)) is not None:
            self._others = 0
            self.watchlist.started(group, now)
            return CommentsFetch(group, self.watchlist, self.gaps)
        if (tree := self.trees.take(now)) is not None:
            self._others = 0
            return fetch_of(tree, self.trees)
        for turn in self._turns:
            if (fetch := turn(now)) is not None:
                self._others = 0
                # Whoever has waited longest comes first.
                self._turns = [*(each for each in self._turns if each != turn), turn]
                return fetch
        return None

    def _refresh(self, now: float) -> Fetch | None:
        if not self._refreshes.ready(now):
            return None
        ids = self._refreshes.take(self.watchlist.__contains__, now)
        return CommentsRefreshFetch(ids, self._refreshes) if ids else None

    def _gap_page(self, now: float) -> Fetch | None:
        if (gap := self.gaps.next(now)) is None:
            return None
        gap.not_before = now + GAP_PAGE_TIMEOUT
        return CommentsGapFetch(gap, self.gaps, self._answers)

    def _asked_tree(self, now: float) -> Fetch | None:
        tree = self.trees.take_asked(now)
        return None if tree is None else fetch_of(tree, self.trees)

    def wake(self, now: float) -> float:
        """Seconds until `next` may have a fetch; inf without subreddits, gaps, refreshes and trees."""
        asked = min(self.once.wake(), self.trees.wake_at(), self._refreshes.wake_at())
        return max(min(asked, self.watchlist.next_due(), self.gaps.wake()) - now, 0.0)

    def judge(self, fetch: Fetch, items: Sequence[Seen], after: str | None, now: float) -> Findings:
        """Decide which comments of an answer are new, and open a gap if some may be missing.

        Then `gaps.change` must be recorded before they are published.
        """
        self._answers.note(fetch.request_kind, now)
        findings = Findings(fetch, items, after, now)
        new_since, decided = fetch.new_since(now), set[str]()
        for index, item in enumerate(items):
            if fetch.is_refresh:
                findings.decisions.append(Decision(index, is_new=False, with_body=True))
            elif item.id not in self._known and item.id not in decided and item.created > new_since:
                decided.add(item.id)
                findings.decisions.append(Decision(index, is_new=True, with_body=True))
            elif fetch.observes_known and item.id not in decided:
                decided.add(item.id)
                findings.decisions.append(Decision(index, is_new=False, with_body=True))
        findings.is_proven = fetch.check_overlap(items, is_whole=after is None, now=now)
        if not findings.is_proven:
            self.gaps.give_up_oldest(MOST_GAPS)
        return findings

    def confirm(self, findings: Findings, confirmed: Sequence[bool], now: float) -> bool:
        """Record what was published: `confirmed[i]` tells whether the brokers have `findings.decisions[i]`.

        Returns whether the answer was the newest page of a listing and all its new comments were confirmed.
        """
        findings.confirmed = confirmed
        for decision, is_sent in zip(findings.decisions, confirmed, strict=True):
            item = findings.items[decision.item]
            if is_sent and decision.is_new:
                self._known[item.id] = _Known(item.subreddit.lower(), now)
                if item.subreddit.lower() in self.watchlist:
                    self._refreshes.published(item.id, item.subreddit.lower(), item.created, now)
        for item in findings.items:
            if item.id in self._known and not findings.fetch.is_refresh:
                # Remembered for as long as pages show it.
                self._known[item.id] = _Known(item.subreddit.lower(), now)
        return findings.fetch.confirm(findings, new=sum(confirmed), is_complete=all(confirmed), now=now)

    def _subreddit_of(self, id_: str) -> str | None:
        known = self._known.get(id_)
        return known.subreddit if known else None

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < SWEEP_EVERY:
            return
        self._swept_at = now
        for id_ in [id_ for id_, known in self._known.items() if now - known.seen_at > REMEMBERED]:
            del self._known[id_]
