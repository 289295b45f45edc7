"""Who holds the lease on polling, until when it may be used, and what its next holder must know."""

import math

import pytest

from signalflow.domain.budget import Handover
from signalflow.domain.lease import (
    LEASE_SECONDS,
    REQUEST_MARGIN,
    Claim,
    HeldLease,
    LeaseRow,
    claim,
    handover_of,
    may_start,
)


@pytest.mark.parametrize(
    ("holder", "ends_in", "expected"),
    [
        (None, -5.0, "taken_over"),
        (None, 5.0, "taken_over"),
        ("me", 5.0, "kept"),
        ("me", -5.0, "kept"),
        ("other", LEASE_SECONDS, "refused"),
        ("other", 0.001, "refused"),
        ("other", 0.0, "taken_over"),
        ("other", -5.0, "taken_over"),
        # While a transaction waits for the row, its time stands still.
        ("other", LEASE_SECONDS + 1.0, "refused"),
        # The database's clock was set back by an hour.
        ("other", 3600.0, "taken_over"),
    ],
)
def test_a_lease_has_one_holder_until_it_ends(holder: str | None, ends_in: float, expected: Claim) -> None:
    assert claim(LeaseRow(holder, ends_in, Handover()), "me") == expected


def test_a_holder_that_did_not_release_the_lease_may_have_asked_until_now() -> None:
    before = Handover(blocked_for=30.0, last_start_ago=12.0)
    assert handover_of(LeaseRow("other", -1.0, before)) == Handover(blocked_for=30.0, last_start_ago=0.0)
    assert handover_of(LeaseRow(None, -1.0, before)) == before


def test_a_lease_is_counted_from_the_question_and_outlives_an_outage_but_no_refusal() -> None:
    held = HeldLease()
    assert held.until == -math.inf
    held.answered("taken_over", 100.0)
    assert held.until == 100.0 + LEASE_SECONDS
    held.answered("unknown", 110.0)
    assert held.until == 100.0 + LEASE_SECONDS
    held.answered("kept", 112.0)
    assert held.until == 112.0 + LEASE_SECONDS
    held.answered("refused", 113.0)
    assert held.until == -math.inf
    assert held.polls_until(leads_until=200.0) == -math.inf, "another worker polls, whatever Kafka's group says"
    held.answered("unknown", 115.0)
    assert held.polls_until(leads_until=200.0) == -math.inf
    held.answered("taken_over", 117.0)
    assert held.polls_until(leads_until=200.0) == 200.0


@pytest.mark.parametrize(
    ("lease_ends", "leads_until", "now", "expected"),
    [
        (100.0, -math.inf, 99.0 - REQUEST_MARGIN, True),
        (100.0, -math.inf, 100.0 - REQUEST_MARGIN, False),
        # Neither is renewed any more: the later end counts, and nothing after it.
        (100.0, 110.0, 107.0, True),
        (100.0, 110.0, 108.0, False),
        (100.0, 90.0, 97.0, True),
        (-math.inf, -math.inf, 0.0, False),
    ],
)
def test_no_request_starts_shortly_before_the_end_of_lease_and_membership(
    lease_ends: float, leads_until: float, now: float, expected: bool
) -> None:
    assert may_start(HeldLease(lease_ends).polls_until(leads_until), now) is expected
