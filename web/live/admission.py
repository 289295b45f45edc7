"""Limits the number of live clients, of all users and of each user."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from signalflow.metrics import LIVE_CLIENTS


class NotAdmitted(Exception):
    """A client is refused. `status`: 503 when the process takes no more clients, 429 when the user has too many."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Admission:
    """Counts the clients of one process."""

    def __init__(self, most: int, most_per_user: int) -> None:
        self._most, self._most_per_user = most, most_per_user
        self._clients_of: Counter[str] = Counter()

    @property
    def clients(self) -> int:
        """Clients of all users."""
        return self._clients_of.total()

    @contextmanager
    def admitted(self, user: str) -> Iterator[None]:
        """Count a client of this user while inside. Raises NotAdmitted above a limit."""
        if self.clients >= self._most:
            raise NotAdmitted(503, "The live stream has as many clients as this server takes. Try again later.")
        if self._clients_of[user] >= self._most_per_user:
            raise NotAdmitted(429, f"{user} has {self._clients_of[user]} live connections already; close one.")
        self._clients_of[user] += 1
        LIVE_CLIENTS.inc()
        try:
            yield
        finally:
            LIVE_CLIENTS.dec()
            self._clients_of[user] -= 1
            if not self._clients_of[user]:
                del self._clients_of[user]
