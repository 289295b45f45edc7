"""How long to wait after failures. Pure."""

from dataclasses import dataclass

# 2.0 ** 1024 is no float any more; a wait that doubled so often has reached its limit.
_MOST_DOUBLINGS = 1000


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits in seconds that double with each failure in a row, from `first` up to `most`."""

    first: float
    most: float

    def after(self, failures: int) -> float:
        """The wait after this many failures in a row, at least 1."""
        return min(self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.most)


# Between two tries of what needs Kafka or the database, when nothing asks for a wait of its own.
WHILE_AWAY = Backoff(first=0.5, most=5.0)
