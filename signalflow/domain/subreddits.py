"""Which subreddits are watched, and how closely."""

from dataclasses import dataclass
from typing import Literal, get_args

Priority = Literal["fast", "medium", "slow"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
DEFAULT_PRIORITY: Priority = "medium"
# Every name that a subreddit ever had on Reddit: ordinary ones, those of accounts (u_name), the one that held all posts
# of 2005 (reddit.com), and those of Reddit's April joke of 2012 (t:name).
NAME_PATTERN = r"\A(?:[A-Za-z0-9_]{1,32}|u_[A-Za-z0-9_-]{1,30}|[Rr]eddit\.com|t:[A-Za-z0-9_]{1,30})\Z"
# Seconds that may pass between two looks, unless an operator chooses otherwise.
USUAL_INTERVALS: dict[Priority, int] = {"fast": 60, "medium": 180, "slow": 600}


@dataclass(frozen=True, slots=True)
class WatchedSubreddit:
    """A subreddit and the longest time, in seconds, that may pass between two looks at it."""

    name: str
    interval_seconds: int
    priority: Priority
    paused: bool = False
