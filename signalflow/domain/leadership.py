"""Which worker polls: one, whatever happens. Pure."""

from typing import Literal

# held: this process has the database's lock. taken: another process has it. unknown: the database cannot be asked.
Lock = Literal["held", "taken", "unknown"]


def should_poll(*, is_polling: bool, is_leader: bool, is_deputy: bool, is_rebalancing: bool, lock: Lock) -> bool:
    """Whether this worker polls from now on. `is_deputy`: it could poll, and the leader says that it cannot.

    To begin it must be Faust's leader, or a deputy, and hold the lock: a successor waits for the database. The incumbent goes on while it
    is leader and nobody else holds the lock, so that an outage of the database does not stop it. During a rebalance nobody is leader;
    the lock alone decides then. A deputy polls with the lock only: there may be several, and nothing else is between them.
    """
    if not is_polling:
        return (is_leader or is_deputy) and lock == "held"
    if lock == "held":
        return is_leader or is_deputy or is_rebalancing
    return is_leader and lock == "unknown"
