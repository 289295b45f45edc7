"""A service that failed is not asked for a while, so that requests do not wait for its timeout one after the other."""

import time
from collections.abc import Callable


class Breaker:
    """Opens for `seconds` when told that the service failed."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._monotonic = monotonic
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the service failed less than `seconds` ago, and must not be asked."""
        return self._monotonic() < self._until

    def failed(self) -> None:
        """The service failed now."""
        self._until = self._monotonic() + self.seconds


# Redis answers in less than a millisecond. A request waits for it this many seconds, then does without.
REDIS_TIMEOUT_SECONDS = 0.25


def redis_breaker() -> Breaker:
    """For one user of Redis: it does without for 5 s after a failure."""
    return Breaker(5.0)
