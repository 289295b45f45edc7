"""What a poller takes over from the one before it: how far each subreddit is known to be complete. Pure.

Times are in epoch seconds.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from signalflow.domain.overlap import ANCHOR_SIZE, PROOF, UNSETTLED, Anchor
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.watchlist import Watchlist


class Stored(Protocol):
    """A post or comment as the database has it. `created` in epoch seconds."""

    @property
    def id(self) -> str:
        """Its id, without a kind."""
        ...

    @property
    def subreddit(self) -> str:
        """The name of its subreddit, in any spelling."""
        ...

    @property
    def created(self) -> float:
        """When it was written."""
        ...


class Takeover:
    """What the database knows of arriving subreddits, and when each was last polled with every new item confirmed.

    Items are posts, or comments. The newest ones alone do not show how far a listing is complete: they may all be of
    one subreddit that was polled later than the others of its group, or may come from elsewhere than the listing.
    `not_before`: a subreddit without a reported poll was never read if what is known of it is older. `latest`: where
    listings are not in the order of creation, how long after its creation an item may come at the top, in seconds.
    """

    def __init__(
        self,
        subreddits: Iterable[Subreddit],
        known: Iterable[Stored],
        *,
        not_before: float = -math.inf,
        latest: float = 0.0,
    ) -> None:
        self._latest = latest
        arriving = list(subreddits)
        self._names = {subreddit.name.lower() for subreddit in arriving}
        self._known: dict[str, list[Stored]] = defaultdict(list)
        for item in known:
            self._known[item.subreddit.lower()].append(item)
        # A subreddit has items, but was never reported: the earlier poller stopped before its first report. It had
        # published at least these.
        newest = {name: max(item.created for item in items) for name, items in self._known.items()}
        self._complete_until = {name: at for name, at in newest.items() if at >= not_before}
        self._complete_until |= {
            subreddit.name.lower(): subreddit.polled_at for subreddit in arriving if subreddit.polled_at is not None
        }

    def begin(self, watchlist: Watchlist, now: float) -> None:
        """Give the groups of the arriving subreddits their anchors.

        Where a group has others already, or one that was polled much later, a subreddit is first polled alone: the
        page of the others would not reach so far.
        """
        new_groups = [group for group in watchlist.groups if self._names.issuperset(group.names)]
        alone = [name for group in new_groups for name in self.lagging(group.names)]
        for group in watchlist.groups:
            if group not in new_groups:
                alone += [name for name in group.names if name in self._names and self.anchors([name])]
        if alone:
            watchlist.poll_alone({name: self.anchors([name]) for name in alone}, now)
        for group in watchlist.groups:
            if self._names.issuperset(group.names):
                group.anchors = self.anchors(group.names)

    def lagging(self, names: Iterable[str]) -> list[str]:
        """The names of a group that were last polled much earlier than its newest one.

        With them in the group, its first page would have to reach further back, past known posts of the others.
        """
        until = {name: self._complete_until[name] for name in names if name in self._complete_until}
        latest = max(until.values(), default=0.0)
        return [name for name, at in until.items() if at < latest - UNSETTLED]

    def anchors(self, names: Iterable[str]) -> tuple[Anchor, ...]:
        """What the first page of these subreddits together must reach: the earliest of their last polls.

        Its ids are settled, so that pages are read down to what may have become visible after that poll. Where that
        fails, and items are in order, those that are missing are newer than the newest one that the poll showed, as
        they are after any poll. Empty when none of the subreddits was polled before.
        """
        known = [name for name in names if name in self._complete_until]
        if not known:
            return ()
        until = min(self._complete_until[name] for name in known)
        items = (item for name in known for item in self._known.get(name, ()))
        settled = (item for item in items if item.created <= until - UNSETTLED)
        newest = heapq.nlargest(ANCHOR_SIZE, settled, key=lambda item: item.created)
        since = max(until - UNSETTLED, self._newest_shown(known, until))
        if len(newest) < PROOF:
            # Then three items as old as this are the proof, and items that came late are none.
            since -= self._latest
        return (Anchor(frozenset(item.id for item in newest), since),)

    def _newest_shown(self, names: Iterable[str], until: float) -> float:
        """The creation of the newest item that the poll at `until` showed; -inf where that is not known."""
        # A subreddit that was read later has items that this poll could not show.
        polled = [name for name in names if not self._latest and self._complete_until[name] == until]
        created = (item.created for name in polled for item in self._known.get(name, ()))
        return max((at for at in created if at <= until), default=-math.inf)
