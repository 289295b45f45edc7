"""Reddit's clock, as its answers show it. Posts have Reddit's times, and this machine's wall clock may be wrong."""

import math
from datetime import UTC, datetime

from signalflow.clock import steady

# In seconds. A smaller difference between the clocks is ignored: an answer needs some time to arrive. A larger one is
# corrected by this much per answer.
CLOCK_STEP = 2.0


class RedditClock:
    """Reddit's time in epoch seconds, kept by this process's steady clock. Not valid before `set`."""

    def __init__(self) -> None:
        self._minus_steady = 0.0

    def now(self) -> float:
        """Reddit's time now."""
        return steady() + self._minus_steady

    def set(self, answered_at: datetime) -> None:
        """Take the time of an answer that has just arrived."""
        self._minus_steady = answered_at.timestamp() - steady()

    def follow(self, answered_at: datetime) -> None:
        """Correct the clock by one step at most: one answer with a wrong time must not change when fetches are due."""
        ahead = answered_at.timestamp() - self.now()
        if abs(ahead) > CLOCK_STEP:
            self._minus_steady += math.copysign(CLOCK_STEP, ahead)


def known_moment(epoch_seconds: float) -> datetime | None:
    """Epoch seconds as a date in UTC; None for inf, which stands for a time that is not known yet."""
    return None if epoch_seconds == math.inf else moment(epoch_seconds)


def moment(epoch_seconds: float) -> datetime:
    """Epoch seconds as a date in UTC."""
    return datetime.fromtimestamp(epoch_seconds, UTC)
