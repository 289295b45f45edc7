"""Reddit's rate limit: a fixed window of time per OAuth client id, counted, not sliding."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one request: whether it may pass, and the three numbers of the headers."""

    allowed: bool
    used: int
    remaining: float
    reset: float

    def headers(self) -> dict[str, str]:
        """As Reddit writes them: remaining as float text, used and reset as int text."""
        return {
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-remaining": f"{self.remaining:.1f}",
            "x-ratelimit-reset": str(int(self.reset)),
        }


class Limiter:
    """Counts requests per client id; refused ones count too. Times in seconds, on one clock of the caller's choice.

    Windows begin at multiples of their length, so a client that was never seen before may find one that is nearly over.
    """

    def __init__(self, limit: int, window: float) -> None:
        self.limit = limit
        self.window = window
        self._used: dict[str, tuple[int, int]] = {}
        self._unseen = (0, 0)

    def take(self, client: str, now: float) -> Verdict:
        """Count a request of a client and judge it."""
        place = int(now // self.window)
        window, used = self._used.get(client, self._unseen)
        used = used + 1 if window == place else 1
        self._used[client] = (place, used)
        return Verdict(
            allowed=used <= self.limit,
            used=used,
            remaining=float(max(self.limit - used, 0)),
            reset=(place + 1) * self.window - now,
        )

    def set_used(self, used: int, now: float) -> None:
        """Let every client that was seen have used so many in this window."""
        place = int(now // self.window)
        self._used = dict.fromkeys(self._used, (place, used))

    def resize(self, limit: int, window: float) -> None:
        """Another limit or window from now on; counts begin anew when the window changes."""
        if window != self.window:
            self._used.clear()
            self._unseen = (0, 0)
        self.limit, self.window = limit, window
