"""When to try again, when a target is disabled, and how fast one target is sent to. Pure: times are passed in."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from signalflow.alerts.outcome import Verdict
from signalflow.alerts.shapes import Shape
from signalflow.domain.backoff import Backoff
from signalflow.domain.pace import Pace

# After a day an alert is history, not news.
LONGEST = timedelta(days=1)
# Waits double from half a minute to four hours: a receiver that restarts gets its message soon, and one that is away
# for a night is asked a dozen times.
WAITS = Backoff(first=30.0, most=4 * 3600.0)
# Jitter may make a wait as short as 0; a target that fails is left alone so long at least, in seconds.
SHORTEST_WAIT = 5.0
# A longer wait that a target asks for is cut: it would use up the day.
LONGEST_ASKED = 6 * 3600.0

# A target is disabled when it answered so often in a row, and for so long, that nobody is there. Many messages may wait
# for one target, so the count alone would disable it during a deployment of a few minutes.
GONE_IN_A_ROW = 5
GONE_FOR = timedelta(hours=1)

# Messages a second to one target. Slack documents one a second, and Discord 30 a minute to one webhook.
_PER_SECOND = {Shape.JSON: 5.0, Shape.SLACK: 1.0, Shape.DISCORD: 0.5}


def next_try(
    first: datetime, now: datetime, failures: int, random: float, retry_after: float | None = None
) -> datetime | None:
    """When to try again after a failure at `now`; None when the message is given up, a day after its `first` try.

    Exponential with full jitter: many messages that failed together do not come back together. `failures`: of this
    message so far, at least 1. `random`: from 0 up to 1. `retry_after`: seconds that the target asked for. The last try
    is at the end of the day.
    """
    end = first + LONGEST
    if now >= end:
        return None
    asked = min(retry_after or 0.0, LONGEST_ASKED)
    wait = max(random * WAITS.after(failures), asked, SHORTEST_WAIT)
    return min(now + timedelta(seconds=wait), end)


def pace_of(shape: Shape) -> Pace:
    """How fast one target of this kind is sent to, by the process that keeps the pace."""
    return Pace(_PER_SECOND[shape])


@dataclass(frozen=True, slots=True)
class Standing:
    """How long a target has answered that nobody is there: answers in a row, the first and the last of them."""

    gone_in_a_row: int = 0
    gone_since: datetime | None = None
    gone_until: datetime | None = None

    def after(self, verdict: Verdict, now: datetime) -> "Standing":
        """The standing after a try. `later` tells nothing of it; any other answer shows that somebody is there."""
        if verdict is Verdict.LATER:
            return self
        if verdict is not Verdict.GONE:
            return Standing()
        return replace(self, gone_in_a_row=self.gone_in_a_row + 1, gone_since=self.gone_since or now, gone_until=now)

    @property
    def is_disabled(self) -> bool:
        """Whether nothing is sent to the target any more until its owner enables it."""
        if self.gone_since is None or self.gone_until is None:
            return False
        return self.gone_in_a_row >= GONE_IN_A_ROW and self.gone_until - self.gone_since >= GONE_FOR
