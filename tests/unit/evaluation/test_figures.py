"""Figures of quality against small cases that can be counted by hand."""

from itertools import pairwise
from math import sqrt

import pytest

from signalflow.evaluation.figures import Alarm, alarm_at, auc, brier, calibration, gain_of_auc, precision_at, roc

# Of the nine pairs, 0.9 beats all three, 0.6 beats two, 0.4 ties with one and beats one: 6.5 of 9.
SIX_AND_A_HALF = [(0.9, True), (0.7, False), (0.6, True), (0.4, True), (0.4, False), (0.1, False)]


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        (SIX_AND_A_HALF, 6.5 / 9),
        ([(1.0, True), (0.0, False)], 1.0),
        ([(0.0, True), (1.0, False)], 0.0),
        ([(0.5, True), (0.5, False), (0.5, False)], 0.5),
    ],
)
def test_auc_counts_pairs_in_the_right_order_and_ties_half(scored: list[tuple[float, bool]], expected: float) -> None:
    assert auc(scored) == pytest.approx(expected)
    assert auc(scored[::-1]) == pytest.approx(expected)


def test_the_area_below_the_curve_is_the_auc() -> None:
    points = roc(SIX_AND_A_HALF)
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    assert points[0] == (0.0, 0.0)
    assert points[-1] == (1.0, 1.0)
    assert area == pytest.approx(auc(SIX_AND_A_HALF))


@pytest.mark.parametrize("hit", [True, False])
def test_posts_of_one_kind_cannot_be_told_apart(hit: bool) -> None:
    for figure in (auc, roc, lambda scored: alarm_at(scored, 0.04)):
        with pytest.raises(ValueError, match="nothing can be told apart"):
            figure([(0.5, hit), (0.7, hit)])


def test_an_alarm_finds_most_without_more_false_ones_than_allowed() -> None:
    assert alarm_at(SIX_AND_A_HALF, 0.04) == Alarm(0.9, 1 / 3, 0.0)
    assert alarm_at(SIX_AND_A_HALF, 1 / 3) == Alarm(0.6, 2 / 3, 1 / 3)
    assert alarm_at(SIX_AND_A_HALF, 1.0) == Alarm(0.1, 1.0, 1.0)
    assert alarm_at([(0.9, False), (0.1, True)], 0.04) == Alarm(None, 0.0, 0.0)


def test_precision_takes_the_mean_share_of_posts_that_tie() -> None:
    assert precision_at(SIX_AND_A_HALF, 1) == 1.0
    assert precision_at(SIX_AND_A_HALF, 3) == pytest.approx(2 / 3)
    assert precision_at(SIX_AND_A_HALF, 4) == pytest.approx(2.5 / 4)
    assert precision_at(SIX_AND_A_HALF, 6) == pytest.approx(0.5)
    for count in (0, 7):
        with pytest.raises(ValueError):
            precision_at(SIX_AND_A_HALF, count)


def test_bins_have_equally_many_posts_and_tell_what_was_said_and_reached() -> None:
    low, high = calibration(SIX_AND_A_HALF, 2)
    assert (low.posts, low.lowest, low.highest) == (3, 0.1, 0.4)
    assert low.said == pytest.approx(0.3)
    assert low.reached == pytest.approx(1 / 3)
    assert high.said == pytest.approx(2.2 / 3)
    assert high.reached == pytest.approx(2 / 3)
    assert sum(one.posts for one in calibration(SIX_AND_A_HALF, 4)) == 6
    assert [one.posts for one in calibration(SIX_AND_A_HALF, 20)] == [1] * 6


def test_brier_is_the_mean_square_of_the_error() -> None:
    assert brier([(0.9, True), (0.2, False)]) == pytest.approx((0.01 + 0.04) / 2)


def test_the_gain_is_the_difference_of_auc_with_the_error_of_delong() -> None:
    """Placements of the one model: 1, 1 and 1, 1; of the other: 1, 0.5 and 1, 0.5. Half their differences vary."""
    one = [(0.9, True), (0.8, True), (0.2, False), (0.1, False)]
    other = [(0.9, True), (0.2, True), (0.3, False), (0.1, False)]
    gain = gain_of_auc([one], [other])
    assert gain.mean == pytest.approx(auc(one) - auc(other))
    # The differences 0 and 0.5 have the variance 0.125, of two posts, for both kinds.
    assert gain.error == pytest.approx(sqrt(0.125 / 2 + 0.125 / 2))
    two = gain_of_auc([one, one], [other, other])
    assert two.mean == pytest.approx(gain.mean)
    assert two.error == pytest.approx(gain.error / sqrt(2))


def test_a_model_gains_nothing_over_itself() -> None:
    gain = gain_of_auc([SIX_AND_A_HALF], [SIX_AND_A_HALF])
    assert (gain.mean, gain.error) == (0.0, 0.0)
