"""Chances of counts and their standard deviations, against values from tables and closed forms."""

import math
from decimal import Decimal, localcontext

import pytest

from signalflow.domain.signals.tails import MOST_SIGMAS, count_sigmas, count_tail, normal_tail, sigmas_of


def poisson_tail(count: int, mean: float) -> float:
    """1 minus the chances of all smaller counts, with 60 digits."""
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(mean)
        return float(1 - sum((-exact).exp() * exact**k / math.factorial(k) for k in range(count)))


@pytest.mark.parametrize(("count", "mean"), [(0, 3.0), (1, 0.5), (2, 0.01), (5, 0.65), (9, 12.0), (100, 60.0)])
def test_without_more_variance_a_count_has_the_tail_of_poisson(count: int, mean: float) -> None:
    assert count_tail(count, mean, mean) == pytest.approx(poisson_tail(count, mean), rel=1e-9)


def test_the_tail_of_a_printed_table() -> None:
    # Tables of the Poisson distribution give 0.9989 for at most 9 events where 3 are expected.
    assert round(1.0 - count_tail(10, 3.0, 3.0), 4) == 0.9989


@pytest.mark.parametrize("count", [1, 2, 5, 20, 90])
def test_a_larger_variance_gives_the_tail_of_the_negative_binomial(count: int) -> None:
    # Size 2 and success probability 0.4: the tail is 0.6^k (1 + 0.4 k).
    assert count_tail(count, 3.0, 7.5) == pytest.approx(0.6**count * (1.0 + 0.4 * count), rel=1e-9)


def test_a_variance_just_above_the_mean_is_nearly_poisson() -> None:
    assert count_tail(30, 12.0, 12.0001) == pytest.approx(count_tail(30, 12.0, 12.0), rel=1e-3)


def test_a_thousand_posts_where_900_are_usual_are_told_in_standard_deviations() -> None:
    assert count_sigmas(1_000, 900.0, 900.0) == pytest.approx((999.5 - 900.0) / 30.0, rel=0.02)


def test_a_count_that_is_not_above_the_mean_has_no_sigmas() -> None:
    assert count_sigmas(3, 3.0, 3.0) == 0.0


@pytest.mark.parametrize(("sigmas", "tail"), [(0.0, 0.5), (1.959964, 0.025), (3.719016, 1e-4), (6.0, 9.8659e-10)])
def test_sigmas_and_tails_of_the_normal_distribution(sigmas: float, tail: float) -> None:
    assert normal_tail(sigmas) == pytest.approx(tail, rel=1e-4)
    assert sigmas_of(tail) == pytest.approx(sigmas, abs=1e-5)


def test_a_chance_too_small_for_a_number_has_the_largest_sigmas() -> None:
    assert sigmas_of(0.0) == MOST_SIGMAS
    assert count_sigmas(60_000, 0.01, 0.01) == MOST_SIGMAS
