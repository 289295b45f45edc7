"""How long a sender waits so that it sends no more than so many records a second. Pure; times are in seconds."""


class Pace:
    """A rate in records a second; 0 sets no limit. After a pause nothing is made up for."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0

    def at_once(self, most: int) -> int:
        """How many records to send at a time: those of a second, and no more than `most`."""
        return min(most, max(1, int(self._rate))) if self._rate else most

    def wait(self, records: int, now: float) -> float:
        """How long to wait at the time `now` before sending these records."""
        if not self._rate:
            return 0.0
        start = max(self._free_at, now)
        self._free_at = start + records / self._rate
        return start - now
