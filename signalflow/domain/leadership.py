"""Which worker polls: never more than one. Pure."""

from signalflow.domain.lease import Claim


def should_poll(
    *, is_polling: bool, is_leader: bool, is_deputy: bool, is_rebalancing: bool, claim: Claim, may_go_on: bool
) -> bool:
    """Whether this worker polls from now on. `is_deputy`: it can poll, and the leader has reported that it cannot.

    To begin, a worker must get the lease and be Faust's leader or a deputy, so a successor waits for the database. A
    worker that polls already goes on while it keeps the lease; during a rebalance, when no worker is leader, the lease
    alone decides. While the database cannot be asked it goes on for as long as nobody else can begin (`may_go_on`). If
    its lease had ended and it took it over again, another worker may have polled in between: it must begin anew.
    """
    if not is_polling:
        return (is_leader or is_deputy) and claim in ("kept", "taken_over")
    if claim == "kept":
        return is_leader or is_deputy or is_rebalancing
    return claim == "unknown" and may_go_on
