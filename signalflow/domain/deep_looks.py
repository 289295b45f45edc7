"""Second looks below the newest page, which find posts that Reddit showed late. Pure.

A filter may hold a post back until a moderator approves it. Then listings show it at the place of its creation, which
may lie below the newest page, where no poll looks. So all pages below are read now and then: every half hour, or after
so many new posts of a group that a post is in the upper half of the listing during one of these looks.
"""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from signalflow.domain.fetch import Fetch, Findings, ListingRequest, Request
from signalflow.domain.fetches import GAP_PAGE_TIMEOUT
from signalflow.domain.known import HORIZON
from signalflow.domain.run_history import Job
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.words import RunOutcome

# A listing has a thousand posts at most, so these are all pages below the newest one.
PAGES = 9
# New posts of a group between two of its looks, and the seconds after which fewer are enough.
POSTS_BETWEEN = 400
LONGEST_WAIT = 1800.0
# A page that cannot be had so many times ends a look: the next one shows the same posts, somewhat further down.
MOST_FAILURES = 3


@dataclass(slots=True, eq=False)
class _Depth:
    """What lies below the newest page of the subreddits `names`, all of which are polled since `since`.

    `new` posts came since the last look, at `looked_at`. `after` leads to the page below the newest one.
    """

    names: tuple[str, ...]
    since: float
    looked_at: float
    after: str | None = None
    new: int = 0

    def is_due(self, now: float) -> bool:
        """Whether the pages below should be read."""
        has_moved = self.new >= POSTS_BETWEEN or (self.new > 0 and now - self.looked_at >= LONGEST_WAIT)
        return self.after is not None and has_moved


@dataclass(slots=True, eq=False)
class Look:
    """A look that is under way: `left` pages, the first one below the fullname `after`; `outcome` once it has ended."""

    names: tuple[str, ...]
    since: float
    after: str
    left: int = PAGES
    failures: int = 0
    not_before: float = -math.inf
    outcome: RunOutcome | None = None


class DeepLooks:
    """The looks of all groups; one is under way at a time."""

    def __init__(self) -> None:
        self._depths: dict[tuple[str, ...], _Depth] = {}
        self._look: Look | None = None
        # Since when each subreddit is polled, by its name in lower case.
        self._since: dict[str, float] = {}

    def arrive(self, subreddits: Iterable[Subreddit]) -> None:
        """These are polled from now on; some were by earlier pollers."""
        for subreddit in subreddits:
            if subreddit.polled_since is not None:
                self._since[subreddit.name.lower()] = subreddit.polled_since

    def polled(self, names: tuple[str, ...], after: str | None, new: int, now: float) -> None:
        """The newest page of a group was published in full: so many of its posts were new, and `after` leads on."""
        depth = self._depths.get(names)
        if depth is None:
            since = max(self._since.setdefault(name.lower(), now) for name in names)
            depth = self._depths[names] = _Depth(names, since, looked_at=now)
        depth.new += new
        depth.after = after

    def next(self, now: float, groups: Callable[[], Collection[tuple[str, ...]]]) -> "DeepFetch | None":
        """The page to read now. `groups`: the names of each group that is polled; others are forgotten."""
        if self._look is not None and self._look.names not in groups():
            self._end(self._look, "stopped")
        if self._look is None:
            self._begin(now, groups)
        look = self._look
        if look is None or look.not_before > now:
            return None
        look.not_before = now + GAP_PAGE_TIMEOUT
        return DeepFetch(look, self)

    def next_due(self) -> float:
        """When the next page may be read; inf when none waits."""
        return math.inf if self._look is None else self._look.not_before

    def read(self, look: Look, after: str | None, now: float) -> None:
        """A page was published in full; `after` leads to the one below."""
        look.left -= 1
        look.failures = 0
        if after is None or not look.left:
            self._end(look, "ok")
        else:
            look.after, look.not_before = after, now

    def failed(self, look: Look) -> None:
        """A page could not be had. It is asked for again in a minute, but not for ever."""
        look.failures += 1
        if look.failures >= MOST_FAILURES:
            self.give_up(look)

    def give_up(self, look: Look) -> None:
        """Read no more pages of this look."""
        self._end(look, "failed" if look.left == PAGES else "partly")

    def _end(self, look: Look, outcome: RunOutcome) -> None:
        look.outcome = outcome
        if self._look is look:
            self._look = None

    def _begin(self, now: float, groups: Callable[[], Collection[tuple[str, ...]]]) -> None:
        if not any(depth.is_due(now) for depth in self._depths.values()):
            return
        current = set(groups())
        self._depths = {names: depth for names, depth in self._depths.items() if names in current}
        watched = {name.lower() for names in current for name in names}
        self._since = {name: at for name, at in self._since.items() if name in watched}
        due = [depth for depth in self._depths.values() if depth.is_due(now)]
        if not due:
            return
        depth = max(due, key=lambda depth: depth.new)
        assert depth.after is not None
        self._look = Look(depth.names, depth.since, depth.after)
        depth.new, depth.looked_at = 0, now


@dataclass(slots=True, eq=False)
class DeepFetch(Fetch):
    """A page below the newest one. What is new on it was shown late; it proves nothing."""

    kind = "deep"
    is_in_order = False
    finds_late = True

    look: Look
    looks: DeepLooks

    @property
    def request(self) -> Request:
        return ListingRequest(self.look.names, self.look.after)

    @property
    def job(self) -> Job | None:
        names = self.look.names
        subject = names[0] if len(names) == 1 else f"{len(names)} subreddits"
        return Job("second_look", subject, self.look.outcome)

    def new_since(self, now: float) -> float:
        # What is older may have been there before polling began.
        return max(now - HORIZON, self.look.since)

    def confirm(self, findings: Findings, *, new: int, is_complete: bool, now: float) -> bool:
        if is_complete:
            self.looks.read(self.look, findings.after, now)
        else:
            self.failed(now)
        return False

    def failed(self, now: float) -> None:
        self.looks.failed(self.look)

    def refused(self, now: float) -> None:
        # The newest page is refused as well, and its group is halved.
        self.looks.give_up(self.look)
