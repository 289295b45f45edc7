"""No more than so many records a second, and no rush after a pause."""

import pytest

from signalflow.domain.pace import Pace


def test_records_are_as_far_apart_as_the_rate_says() -> None:
    pace = Pace(10)
    assert [pace.wait(5, now) for now in (100.0, 100.0, 100.5, 102.0)] == pytest.approx([0, 0.5, 0.5, 0])


def test_after_a_pause_nothing_is_made_up_for() -> None:
    pace = Pace(10)
    assert pace.wait(10, 0.0) == 0
    assert [pace.wait(10, 60.0), pace.wait(10, 60.0)] == pytest.approx([0, 1])


def test_a_rate_of_0_sets_no_limit() -> None:
    pace = Pace(0)
    assert (pace.wait(10**9, 0.0), pace.wait(10**9, 0.0), pace.at_once(1000)) == (0, 0, 1000)


@pytest.mark.parametrize(("rate", "at_once"), [(0.5, 1), (10, 10), (999.9, 999), (50_000, 1000)])
def test_at_most_a_second_is_sent_at_a_time(rate: float, at_once: int) -> None:
    assert Pace(rate).at_once(1000) == at_once
