"""Logistic regression against cases with known solutions."""

from math import log
from random import Random

import pytest

from signalflow.domain.signals.viral import sigmoid
from signalflow.evaluation.fitting import fit_logistic, solve


def test_one_yes_or_no_column_has_the_log_odds_that_were_counted() -> None:
    """Without a penalty the likelihood is highest at the counted odds: 1 to 3 where x is 0, 4 to 1 where it is 1."""
    rows = [[0.0]] * 4 + [[1.0]] * 5
    outcomes = [1.0, 0, 0, 0, 1, 1, 1, 1, 0]
    fit = fit_logistic(rows, outcomes, penalty=0.0)
    assert fit.log_odds([0.0]) == pytest.approx(log(1 / 3), abs=1e-6)
    assert fit.log_odds([1.0]) == pytest.approx(log(4), abs=1e-6)


def test_grades_between_no_and_yes_are_learnt_exactly() -> None:
    rows = [[x / 4, x * x / 16] for x in range(-8, 9)]
    fit = fit_logistic(rows, [sigmoid(0.3 + 1.5 * a - 0.4 * b) for a, b in rows], penalty=0.0)
    assert fit.weights == pytest.approx((1.5, -0.4), abs=1e-6)
    assert fit.log_odds([0.0, 0.0]) == pytest.approx(0.3, abs=1e-6)


def test_coefficients_that_made_the_data_are_found_again() -> None:
    random = Random(1)
    rows = [[random.gauss(3, 2), random.gauss(-1, 0.5), random.gauss(0, 1)] for _ in range(4000)]
    outcomes = [float(random.random() < sigmoid(-1 + 0.5 * a - 1.0 * b)) for a, b, _ in rows]
    fit = fit_logistic(rows, outcomes, penalty=1.0)
    # The standard errors are about 0.02, 0.08 and 0.04.
    assert fit.weights == pytest.approx((0.5, -1.0, 0.0), abs=0.25)
    assert fit.weights[0] == pytest.approx(0.5, abs=0.08)


def test_a_penalty_makes_weights_smaller_and_leaves_the_mean() -> None:
    rows = [[float(x)] for x in range(10)]
    outcomes = [0.0, 0, 1, 0, 0, 1, 0, 1, 1, 1]
    weak, strong = fit_logistic(rows, outcomes, penalty=0.1), fit_logistic(rows, outcomes, penalty=10.0)
    assert 0 < strong.weights[0] < weak.weights[0]
    assert sum(sigmoid(strong.log_odds(row)) for row in rows) == pytest.approx(sum(outcomes), abs=1e-6)


def test_data_that_a_line_divides_have_a_finite_fit_with_a_penalty() -> None:
    fit = fit_logistic([[0.0], [1.0], [2.0], [3.0]], [0.0, 0, 1, 1], penalty=1.0)
    assert 0 < fit.weights[0] < 10


def test_a_column_without_variation_gets_no_weight() -> None:
    fit = fit_logistic([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]], [0.0, 1, 0], penalty=0.0)
    assert fit.weights[1] == pytest.approx(0.0, abs=1e-6)


def test_equations_are_solved_also_with_a_zero_on_the_diagonal() -> None:
    assert solve([[0.0, 2.0], [3.0, 1.0]], [4.0, 5.0]) == pytest.approx([1.0, 2.0])
