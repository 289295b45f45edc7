"""Which subreddits are watched, and how closely."""

from dataclasses import dataclass
from typing import Literal, get_args

Priority = Literal["fast", "medium", "slow"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
DEFAULT_PRIORITY: Priority = "medium"
# Seconds that may pass between two looks, unless an operator chooses otherwise.
USUAL_INTERVALS: dict[Priority, int] = {"fast": 60, "medium": 180, "slow": 600}


@dataclass(frozen=True, slots=True)
class WatchedSubreddit:
    """A subreddit and the longest time, in seconds, that may pass between two looks at it."""

    name: str
    interval_seconds: int
    priority: Priority
    paused: bool = False
