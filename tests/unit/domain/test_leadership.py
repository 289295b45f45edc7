"""Who polls: every combination that the design names."""

import pytest

from signalflow.domain.leadership import Lock, should_poll


@pytest.mark.parametrize(
    ("is_polling", "role", "is_rebalancing", "lock", "expected"),
    [
        (False, "leader", False, "held", True),
        (False, "leader", False, "taken", False),
        (False, "leader", False, "unknown", False),
        (False, "follower", False, "held", False),
        (True, "leader", False, "held", True),
        (True, "leader", False, "unknown", True),
        (True, "leader", False, "taken", False),
        (True, "follower", False, "held", False),
        (True, "follower", True, "held", True),
        (True, "follower", True, "unknown", False),
        (True, "follower", True, "taken", False),
        # The leader cannot poll: whoever can and has the lock does, and without the lock nobody knows who else does.
        (False, "deputy", False, "held", True),
        (False, "deputy", False, "taken", False),
        (False, "deputy", False, "unknown", False),
        (True, "deputy", False, "held", True),
        (True, "deputy", False, "unknown", False),
        (True, "deputy", False, "taken", False),
    ],
)
def test_one_worker_polls_and_an_outage_of_the_database_stops_only_successors(
    is_polling: bool, role: str, is_rebalancing: bool, lock: Lock, expected: bool
) -> None:
    decision = should_poll(
        is_polling=is_polling,
        is_leader=role == "leader",
        is_deputy=role == "deputy",
        is_rebalancing=is_rebalancing,
        lock=lock,
    )
    assert decision is expected
