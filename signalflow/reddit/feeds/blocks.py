"""How Reddit answers an address that it blocks, and how that is told from an address that asks too often."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from signalflow.reddit.answers import Answer
from signalflow.reddit.protocol import Block

# Feeds are counted in windows of a minute. So long a 429 holds that does not name a time.
WINDOW = timedelta(seconds=60)
# Another program behind the same address may have taken the one request of a minute, but hardly of so many in a row.
BLOCKED_AFTER = 5
_HTML = (b"<!doctype html", b"<html")


def block_of(answer: Answer, body: bytes) -> Block | None:
    """The block that one answer proves: a page instead of a feed, or a 403 that is not for a subreddit."""
    if answer.status == 403:
        return "forbidden"
    if answer.status != 200:
        return None
    is_page = "html" in answer.headers.get("Content-Type", "").lower() or body.lstrip()[:14].lower().startswith(_HTML)
    return "page" if is_page else None


@dataclass
class Refusals:
    """Counts the 429s in a row that came although the wait that the one before named was kept."""

    in_a_row: int = 0
    _until: datetime | None = None

    def refused(self, answer: Answer) -> bool:
        """Count a 429; returns whether the address is blocked."""
        if self._until is None or answer.arrived >= self._until:
            self.in_a_row += 1
        wait = max(answer.retry_after or 0.0, answer.rate_limit.reset or 0.0)
        self._until = answer.arrived + (timedelta(seconds=wait) if wait else WINDOW)
        return self.in_a_row >= BLOCKED_AFTER

    def answered(self) -> None:
        """Anything but a 429 came: begin anew."""
        self.in_a_row, self._until = 0, None
