"""Which subreddits are watched, and how closely. Pure."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from signalflow.domain.sorts import DEFAULT_POST_SORTS

Priority = Literal["fast", "medium", "slow"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
DEFAULT_PRIORITY: Priority = "medium"
# Every name that a subreddit ever had on Reddit: ordinary names, names of accounts (u_name), the name of the subreddit
# that held all posts of 2005 (reddit.com), and names of Reddit's April joke of 2012 (t:name).
NAME_PATTERN = r"\A(?:[A-Za-z0-9_]{1,32}|u_[A-Za-z0-9_-]{1,30}|[Rr]eddit\.com|t:[A-Za-z0-9_]{1,30})\Z"
# Seconds that may pass between two looks, unless an operator chooses otherwise.
USUAL_INTERVALS: dict[Priority, int] = {"fast": 60, "medium": 180, "slow": 600}
# Seconds between two polls of a group of this priority, with three groups at 20 listing requests a minute (12 + 6 + 2).
POLL_SECONDS: dict[Priority, float] = {"fast": 5.0, "medium": 10.0, "slow": 30.0}


_ACCOUNT = re.compile(r"(?:(?:https?://)?(?:[a-z]+\.)?reddit\.com)?/?(?:u|user)/", re.IGNORECASE)


def account_name(written: str) -> str:
    """The name of an account without u/, @ and address, as people type or copy it."""
    return _ACCOUNT.sub("", written.strip(), count=1).removesuffix("/").removeprefix("@") or written


@dataclass(frozen=True, slots=True)
class WatchedSubreddit:
    """A subreddit, the longest time, in seconds, that may pass between two looks at it, and what of it is read."""

    name: str
    interval_seconds: int
    priority: Priority
    paused: bool = False
    comments: bool = False
    post_sorts: tuple[str, ...] = DEFAULT_POST_SORTS


@dataclass(frozen=True, slots=True)
class Subreddit:
    """A subreddit to watch. It is polled at least every `interval_seconds`, and more often where the budget allows.

    `polled_at` is when an earlier poller last polled it with every new post confirmed, `polled_since` when the first
    one did; None when none has reported it. `comments`: its comments are read too, and `comments_polled_at` is what
    `polled_at` is for posts. `post_sorts`: the listings that are read of it.
    """

    name: str
    interval_seconds: float
    priority: Priority
    polled_at: float | None = None
    comments: bool = False
    post_sorts: tuple[str, ...] = DEFAULT_POST_SORTS
    comments_polled_at: float | None = None
    polled_since: float | None = None

    @property
    def polling_priority(self) -> Priority:
        """Its priority, or a faster one if its interval requires that."""
        slower_or_equal = PRIORITIES[: PRIORITIES.index(self.priority) + 1]
        return next((p for p in reversed(slower_or_equal) if POLL_SECONDS[p] <= self.interval_seconds), "fast")
