"""Notices subreddits that a combined listing left out for a while. Pure.

Reddit silently leaves a private or banned subreddit out of a combined listing. When it shows the subreddit again, posts
from meanwhile may lie below the page, where nobody looks: the overlap with the page before is proven by the other
subreddits. A quiet subreddit looks the same. So a subreddit whose newest known post is older than everything on the
page, and which now has a new post, is read once by itself.
"""

import heapq
import math
from collections.abc import Iterable, Sequence

from signalflow.domain.known import KnownPost, Seen
from signalflow.domain.overlap import ANCHOR_SIZE, UNSETTLED, Anchor


class Reappearances:
    """The newest known post of each subreddit, and the subreddits that must be read by themselves. Names lower case."""

    def __init__(self) -> None:
        self._newest: dict[str, float] = {}
        self._waiting: dict[str, Anchor] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, name: str, created: float) -> None:
        """A post of this subreddit is known."""
        self._newest[name] = max(self._newest.get(name, -math.inf), created)

    def read_page(
        self, items: Sequence[Seen], new: Iterable[Seen], known: Iterable[KnownPost], *, is_whole: bool
    ) -> None:
        """A page of a combined listing was published in full. `new` are its new posts, `known` all known posts.

        `is_whole`: the listing ends with this page, so nothing lies below it.
        """
        bottom = -math.inf if is_whole else min((item.created for item in items), default=-math.inf)
        arrived = list(new)
        absent = [
            name
            for name in dict.fromkeys(item.subreddit.lower() for item in arrived)
            if self._newest.get(name, math.inf) < bottom and name not in self._waiting
        ]
        if absent:
            self._waiting |= self._anchors(absent, {item.id for item in arrived}, known)

    def missing(self, names: Iterable[str], shown: set[str], bottom: float) -> set[str]:
        """Those of `names` that have a post younger than the bottom of the page, which shows none of theirs."""
        return {name for name in names if name not in shown and self._newest.get(name, -math.inf) > bottom}

    def take(self) -> tuple[str, Anchor] | None:
        """A subreddit to read by itself, and what its page must reach; None when there is none."""
        return self._waiting.popitem() if self._waiting else None

    def put_back(self, name: str, anchor: Anchor) -> None:
        """There was no answer: read it later."""
        self._waiting.setdefault(name, anchor)

    def _anchors(self, names: Iterable[str], arrived: set[str], known: Iterable[KnownPost]) -> dict[str, Anchor]:
        before: dict[str, list[KnownPost]] = {name: [] for name in names}
        for post in known:
            # A listing by rank may have shown a younger one, which is no end of what was read.
            if post.subreddit in before and post.id not in arrived and post.created <= self._newest[post.subreddit]:
                before[post.subreddit].append(post)
        return {
            name: Anchor(
                frozenset(post.id for post in heapq.nlargest(ANCHOR_SIZE, posts, key=lambda post: post.created)),
                self._newest[name] - UNSETTLED,
            )
            for name, posts in before.items()
        }
