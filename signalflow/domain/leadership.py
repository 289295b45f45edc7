"""Which worker polls: one, whatever happens. Pure."""

from typing import Literal

# held: this process has the database's lock. taken: another process has it. unknown: the database cannot be asked.
Lock = Literal["held", "taken", "unknown"]


def should_poll(*, is_polling: bool, is_leader: bool, is_rebalancing: bool, lock: Lock) -> bool:
    """Whether this worker polls from now on.

    To begin it must be Faust's leader and hold the lock: a successor waits for the database. The incumbent goes on while it is leader and nobody
    else holds the lock, so that an outage of the database does not stop it. During a rebalance nobody is leader; the lock alone decides then.
    """
    if not is_polling:
        return is_leader and lock == "held"
    if lock == "held":
        return is_leader or is_rebalancing
    return is_leader and lock == "unknown"
