"""How many live clients there may be, in all and of one user."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from signalflow.metrics import LIVE_CLIENTS


class Refused(Exception):
    """No connection can be made: `status` 503 for all, 429 for one user alone."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Places:
    """The places of one process."""

    def __init__(self, most: int, most_per_user: int) -> None:
        self._most, self._most_per_user = most, most_per_user
        self._users: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Places that are taken."""
        return self._users.total()

    @contextmanager
    def taken(self, user: str) -> Iterator[None]:
        """A place while inside. Raises Refused when there is none."""
        if self._users.total() >= self._most:
            raise Refused(503, "The live stream has as many clients as this server takes. Try again later.")
        if self._users[user] >= self._most_per_user:
            raise Refused(429, f"{user} has {self._users[user]} live connections already; close one.")
        self._users[user] += 1
        LIVE_CLIENTS.inc()
        try:
            yield
        finally:
            LIVE_CLIENTS.dec()
            self._users[user] -= 1
            if not self._users[user]:
                del self._users[user]
