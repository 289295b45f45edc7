"""The lease on polling: who may poll Reddit, and until when. Pure.

One row of the database names the holder and the end of its lease. The database's clock decides when the lease ends. The
holder keeps time with a steady clock of its own, from the moment at which it asked: it never takes the lease to last
longer than the database does.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from signalflow.domain.budget import Handover

# Long enough for a slow answer of the database and two more tries, and about as long as Kafka takes to elect another
# leader after a kill.
LEASE_SECONDS = 15.0
# The last request starts this long before the end. One that is not answered at the end is broken off.
REQUEST_MARGIN = 2.0

# kept: it was ours, and nobody else polled since. taken_over: it was free or had ended. refused: another holds it.
# unknown: the database cannot be asked.
Claim = Literal["kept", "taken_over", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """The row as the database has it. `holder` is None when the last one released it. `ends_in`: seconds to its end."""

    holder: str | None
    ends_in: float
    handover: Handover


def claim(row: LeaseRow, me: str) -> Claim:
    """What becomes of an attempt to renew or take the lease.

    An end much further away than a lease lasts does not count: somebody set the database's clock back. (It may be a
    little further away: the time of a transaction stands still while it waits for the row.)
    """
    if row.holder == me:
        return "kept"
    if row.holder is not None and 0 < row.ends_in <= 2 * LEASE_SECONDS:
        return "refused"
    return "taken_over"


def handover_of(row: LeaseRow) -> Handover:
    """What the next poller must know.

    A holder that did not release its lease may have made requests until now: the next one keeps its distance from now.
    """
    return row.handover if row.holder is None else replace(row.handover, last_start_ago=0.0)


@dataclass(slots=True)
class HeldLease:
    """The lease as one worker knows it. Times of a steady clock.

    `until`: when the lease ends at the latest; in the past when it is not held. `is_others`: another worker holds it.
    """

    until: float = -math.inf
    is_others: bool = False

    def answered(self, answer: Claim, asked_at: float) -> None:
        """The database has answered an attempt that began at `asked_at`, or could not be asked."""
        if answer in ("kept", "taken_over"):
            self.until, self.is_others = asked_at + LEASE_SECONDS, False
        elif answer == "refused":
            self.until, self.is_others = -math.inf, True

    def polls_until(self, leads_until: float) -> float:
        """When the last answer must have come, for a worker that polls.

        While the database is away, the worker that Kafka's group has made leader goes on for as long as it is surely a
        member of the group (`leads_until`): no other worker can begin without both.
        """
        return -math.inf if self.is_others else max(self.until, leads_until)


def may_start(until: float, now: float) -> bool:
    """Whether a request may start now, if its answer must have come at `until`."""
    return now < until - REQUEST_MARGIN
