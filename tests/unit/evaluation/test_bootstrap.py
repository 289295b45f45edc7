"""The limits of figures by the bootstrap."""

from collections.abc import Sequence
from random import Random
from statistics import mean

import pytest

from signalflow.evaluation.bootstrap import resampled


def mean_of_means(parts: Sequence[Sequence[float]]) -> float:
    return mean(mean(part) for part in parts)


def test_the_limits_of_a_mean_are_those_of_its_standard_error() -> None:
    random = Random(2)
    values = [random.gauss(5, 2) for _ in range(400)]
    estimate = resampled(mean_of_means, [values])
    assert estimate.value == mean(values)
    # 1.96 standard errors of 2 / sqrt(400).
    assert estimate.value - estimate.low == pytest.approx(0.196, rel=0.15)
    assert estimate.high - estimate.value == pytest.approx(0.196, rel=0.15)


def test_each_part_is_drawn_from_itself() -> None:
    estimate = resampled(mean_of_means, [[1.0] * 10, [3.0] * 10])
    assert (estimate.low, estimate.value, estimate.high) == (2.0, 2.0, 2.0)


def test_the_same_posts_have_the_same_limits_in_each_run() -> None:
    values = [float(number) for number in range(50)]
    assert resampled(mean_of_means, [values]) == resampled(mean_of_means, [values])


def test_a_draw_that_cannot_be_judged_is_not_used() -> None:
    def refusing(parts: Sequence[Sequence[float]]) -> float:
        if len(set(parts[0])) == 1:
            raise ValueError
        return mean_of_means(parts)

    estimate = resampled(refusing, [[0.0, 1.0]])
    assert (estimate.low, estimate.high) == (0.5, 0.5)
