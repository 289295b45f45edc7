"""Reddit's rate limit: requests per OAuth client id, counted in fixed windows of time, not sliding ones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitState:
    """The limit after one request: whether the request may pass, and the three numbers of the headers."""

    allowed: bool
    used: int
    remaining: float
    reset: float

    def headers(self) -> dict[str, str]:
        """As Reddit writes them: remaining with one decimal, used and reset as whole numbers."""
        return {
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-remaining": f"{self.remaining:.1f}",
            "x-ratelimit-reset": str(int(self.reset)),
        }


class Limiter:
    """Counts requests per client id; refused ones count too. Times are seconds on one clock of the caller's choice.

    Windows begin at multiples of their length, so the first window of a new client may be nearly over.
    """

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self.window = window
        self._used: dict[str, tuple[int, int]] = {}
        self._unseen = (0, 0)

    def take(self, client: str, now: float) -> LimitState:
        """Count a request of a client; the state says whether it may pass."""
        current = int(now // self.window)
        window, used = self._used.get(client, self._unseen)
        used = used + 1 if window == current else 1
        self._used[client] = (current, used)
        return LimitState(
            allowed=used <= self.limit,
            used=used,
            remaining=float(max(self.limit - used, 0)),
            reset=(current + 1) * self.window - now,
        )

    def set_used(self, used: int, now: float) -> None:
        """Set how many requests every known client has made in this window."""
        self._used = dict.fromkeys(self._used, (int(now // self.window), used))

    def resize(self, limit: int, window: float) -> None:
        """Change limit and window from now on. Counts start again when the window changes."""
        if window != self.window:
            self._used.clear()
            self._unseen = (0, 0)
        self.limit, self.window = limit, window
