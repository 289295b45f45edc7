"""When a signal begins, is told again, and ends."""

from dataclasses import replace

import pytest

from signalflow.domain.signals.alarms import MOST_TELLINGS, Limits, Measure, OpenSignal, begins, goes_on

LIMITS = Limits(begin=4, end=2)
BEGAN, NOW = 1_000_000, 7_000_000


def measure(strength: float) -> Measure:
    return Measure(strength, observed=10 * strength, expected=3, inputs=(strength, None), post_ids=("a",))


def signal(told: float = 5, tellings: int = 1) -> OpenSignal:
    """A signal that began at BEGAN and was told with this strength."""
    return OpenSignal(BEGAN, BEGAN, BEGAN, tellings, measure(told))


def test_a_signal_begins_at_the_limit() -> None:
    assert begins(measure(4), LIMITS, NOW) == OpenSignal(NOW, NOW, NOW, 1, measure(4))
    assert begins(measure(3.99), LIMITS, NOW) is None


def test_a_signal_goes_on_down_to_the_lower_limit_and_ends_below_it() -> None:
    assert goes_on(signal(), measure(2), LIMITS, NOW) == (replace(signal(), active_us=NOW), False)
    assert goes_on(signal(), measure(1.99), LIMITS, NOW) == (None, True)


@pytest.mark.parametrize(("strength", "is_told"), [(11, True), (10.99, False), (10, False)])
def test_a_signal_is_told_again_once_it_is_a_tenth_stronger(strength: float, is_told: bool) -> None:
    before = signal(told=10, tellings=3)
    stronger = OpenSignal(BEGAN, NOW, NOW, 4, measure(strength))
    assert goes_on(before, measure(strength), LIMITS, NOW) == (
        (stronger, True) if is_told else (replace(before, active_us=NOW), False)
    )


def test_a_signal_is_told_only_so_often_while_it_goes_on() -> None:
    last = signal(tellings=MOST_TELLINGS - 1)
    after, is_told = goes_on(last, measure(50), LIMITS, NOW)
    assert is_told
    assert after is not None
    assert after.tellings == MOST_TELLINGS
    assert goes_on(after, measure(500), LIMITS, NOW) == (after, False)
    assert goes_on(after, measure(1), LIMITS, NOW) == (None, True), "the end is told"
