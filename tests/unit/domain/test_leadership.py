"""Who polls: every combination that the design names."""

import pytest

from signalflow.domain.leadership import should_poll
from signalflow.domain.lease import Claim


@pytest.mark.parametrize(
    ("is_polling", "role", "is_rebalancing", "claim", "may_go_on", "expected"),
    [
        (False, "leader", False, "taken_over", False, True),
        (False, "leader", False, "kept", False, True),
        (False, "leader", False, "refused", False, False),
        (False, "leader", False, "unknown", True, False),
        (False, "follower", False, "taken_over", False, False),
        (True, "leader", False, "kept", True, True),
        (True, "leader", False, "unknown", True, True),
        (True, "leader", False, "unknown", False, False),
        (True, "leader", False, "refused", True, False),
        # Another worker may have polled in between: this one begins anew.
        (True, "leader", False, "taken_over", True, False),
        (True, "follower", False, "kept", True, False),
        (True, "follower", True, "kept", True, True),
        (True, "follower", True, "unknown", True, True),
        (True, "follower", True, "unknown", False, False),
        (True, "follower", True, "refused", True, False),
        # The leader cannot poll: whoever can and has the lease does.
        (False, "deputy", False, "taken_over", False, True),
        (False, "deputy", False, "refused", False, False),
        (False, "deputy", False, "unknown", False, False),
        (True, "deputy", False, "kept", True, True),
        (True, "deputy", False, "unknown", True, True),
        (True, "deputy", False, "unknown", False, False),
        (True, "deputy", False, "refused", True, False),
    ],
)
def test_one_worker_polls_and_an_outage_of_the_database_stops_only_successors(
    is_polling: bool, role: str, is_rebalancing: bool, claim: Claim, may_go_on: bool, expected: bool
) -> None:
    decision = should_poll(
        is_polling=is_polling,
        is_leader=role == "leader",
        is_deputy=role == "deputy",
        is_rebalancing=is_rebalancing,
        claim=claim,
        may_go_on=may_go_on,
    )
    assert decision is expected
