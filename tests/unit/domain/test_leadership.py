"""Who polls: every combination that the design names."""

import pytest

from signalflow.domain.leadership import Lock, should_poll


@pytest.mark.parametrize(
    ("is_polling", "is_leader", "is_rebalancing", "lock", "expected"),
    [
        (False, True, False, "held", True),
        (False, True, False, "taken", False),
        (False, True, False, "unknown", False),
        (False, False, False, "held", False),
        (True, True, False, "held", True),
        (True, True, False, "unknown", True),
        (True, True, False, "taken", False),
        (True, False, False, "held", False),
        (True, False, True, "held", True),
        (True, False, True, "unknown", False),
        (True, False, True, "taken", False),
    ],
)
def test_one_worker_polls_and_an_outage_of_the_database_stops_only_successors(
    is_polling: bool, is_leader: bool, is_rebalancing: bool, lock: Lock, expected: bool
) -> None:
    assert should_poll(is_polling=is_polling, is_leader=is_leader, is_rebalancing=is_rebalancing, lock=lock) is expected
