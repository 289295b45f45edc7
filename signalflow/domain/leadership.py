"""Which worker polls: never more than one. Pure."""

from typing import Literal

# held: this process has the database's lock. taken: another process has it. unknown: the database cannot be asked.
Lock = Literal["held", "taken", "unknown"]


def should_poll(*, is_polling: bool, is_leader: bool, is_deputy: bool, is_rebalancing: bool, lock: Lock) -> bool:
    """Whether this worker polls from now on. `is_deputy`: it can poll, and the leader has reported that it cannot.

    To begin, a worker must hold the lock and be Faust's leader or a deputy, so a successor waits for the database.
    A leader that polls already goes on while no other process holds the lock, so an outage of the database does not
    stop it. During a rebalance no worker is leader; then the lock alone decides. A deputy polls only while it holds the
    lock: there may be several deputies, and only the lock keeps them apart.
    """
    if not is_polling:
        return (is_leader or is_deputy) and lock == "held"
    if lock == "held":
        return is_leader or is_deputy or is_rebalancing
    return is_leader and lock == "unknown"
