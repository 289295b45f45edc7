"""Notices subreddits that a combined listing left out for a while. Pure.

Reddit silently leaves a private or banned subreddit out of a combined listing. When it shows the subreddit again, posts
from meanwhile may lie below the page, where nobody looks: the overlap with the page before is proven by the other
subreddits. A quiet subreddit looks the same. So a subreddit whose newest known post is older than everything on the
page, and which now has a new post, is read once by itself.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from signalflow.domain.known import Seen
from signalflow.domain.overlap import ANCHOR_SIZE, UNSETTLED, Anchor


class Reappearances:
    """The newest known posts of subreddits, and the subreddits that must be read by themselves. Names in lower case."""

    def __init__(self) -> None:
        self._newest: dict[str, float] = {}
        # When they were created, and their ids: a heap of at most ANCHOR_SIZE for each subreddit.
        self._known: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self._waiting: dict[str, Anchor] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, name: str, created: float, id_: str) -> None:
        """A post of this subreddit is known."""
        self._newest[name] = max(self._newest.get(name, -math.inf), created)
        known = self._known[name]
        heapq.heappush(known, (created, id_))
        if len(known) > ANCHOR_SIZE:
            heapq.heappop(known)

    def read_page(self, items: Sequence[Seen], new: Iterable[Seen], *, is_whole: bool) -> None:
        """A page of a combined listing was published in full. `new` are its new posts, which are not noted yet.

        `is_whole`: the listing ends with this page, so nothing lies below it.
        """
        bottom = -math.inf if is_whole else min((item.created for item in items), default=-math.inf)
        for name in dict.fromkeys(item.subreddit.lower() for item in new):
            if self._newest.get(name, math.inf) < bottom and name not in self._waiting:
                ids = frozenset(id_ for _, id_ in self._known[name])
                self._waiting[name] = Anchor(ids, self._newest[name] - UNSETTLED)

    def missing(self, names: Iterable[str], shown: set[str], bottom: float) -> set[str]:
        """Those of `names` that have a post younger than the bottom of the page, which shows none of theirs."""
        return {name for name in names if name not in shown and self._newest.get(name, -math.inf) > bottom}

    def take(self) -> tuple[str, Anchor] | None:
        """A subreddit to read by itself, and what its page must reach; None when there is none."""
        return self._waiting.popitem() if self._waiting else None

    def put_back(self, name: str, anchor: Anchor) -> None:
        """There was no answer: read it later."""
        self._waiting.setdefault(name, anchor)
