"""A subreddit's own curve of scores by age, and the forecast from it."""

from dataclasses import replace
from random import Random
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.signals.curve import (
    FINAL,
    MARK_SECONDS,
    MARKS,
    MOST_COUNTED,
    OwnCurve,
    begin_curve,
    decode_curve,
    encode_curve,
    learn,
    log_score,
    score_of,
)
from signalflow.domain.signals.forecast import forecast, growth_of
from signalflow.domain.signals.priors import Curve, shipped

CURVE = Curve((60.0, 3_600.0), (0.0, 1.0, 2.0), ((0.0, 1.0, 3.0), (2.0, 4.0, 8.0)))


@pytest.mark.parametrize(
    ("log_score_", "age", "normal"),
    [
        (0.0, 60.0, 0.0),
        (2.0, 60.0, 1.5),
        (5.0, 60.0, 3.0),  # beyond the last quantile with its slope
        (-1.0, 60.0, -1.0),
        (6.0, 3_600.0, 1.5),
        (6.0, 1e6, 1.5),  # beyond the last age as at it
        (1.0, 60.0 * 60.0**0.5, 0.0),  # half way between the ages, by their logarithms
    ],
)
def test_a_normal_score_is_interpolated_between_quantiles_and_ages(
    log_score_: float, age: float, normal: float
) -> None:
    assert CURVE.normal_of(log_score_, age) == pytest.approx(normal)
    assert CURVE.log_score_of(normal, age) == pytest.approx(log_score_)


@given(st.floats(-3, 6), st.floats(1, 1e6))
def test_a_score_of_a_normal_score_has_that_normal_score(normal: float, age: float) -> None:
    curve = shipped().curve
    assert curve.normal_of(curve.log_score_of(normal, age), age) == pytest.approx(normal, abs=1e-6)


def learnt(scores: list[int], age: float = FINAL) -> OwnCurve:
    own = begin_curve()
    for number, score in enumerate(scores):
        own = learn(own, f"p{number}", score, age + 1.0, number * 60)
    return own


def test_level_spread_and_best_hundredth_come_to_be_those_of_the_subreddit() -> None:
    """Scores around 300 with a spread of 1 in logarithms: half of what is usual, far above."""
    rng = Random(3)
    scores = [round(score_of(rng.gauss(log_score(300), 1.0))) for _ in range(6_000)]
    own = learnt(scores)

    normals = [shipped().curve.normal_of(log_score(score), FINAL) for score in scores]
    percents = quantiles(normals, n=100)
    level, spread = own.level_and_spread(FINAL)
    # Two standard errors of a quantile that forgets after 4000 posts.
    assert level == pytest.approx(percents[49], abs=0.05)
    assert level + 1.2816 * spread == pytest.approx(percents[89], abs=0.08)
    assert level + own.top * spread == pytest.approx(percents[98], abs=0.25)


def test_a_subreddit_of_which_little_is_known_is_as_all_are() -> None:
    level, spread = learnt([1, 3, 500, 8]).level_and_spread(FINAL)
    assert abs(level) < 0.1
    assert spread == pytest.approx(1.0, abs=0.1)


def test_between_two_marks_level_and_spread_are_between_theirs() -> None:
    own = OwnCurve((500, 500), (0.0, 1.0), (1.2815515655446004, 1.0 + 2 * 1.2815515655446004), 2.5)
    assert own.level_and_spread(60.0) == pytest.approx((0.0, 1.0))
    assert own.level_and_spread((MARKS[0] * MARKS[1]) ** 0.5) == pytest.approx((0.5, 1.5))
    assert own.level_and_spread(1e6) == pytest.approx((1.0, 2.0))


def test_a_post_counts_once_at_a_mark_and_only_there() -> None:
    own = begin_curve()
    for age in (60.0, 7_199.0, 7_200.0, 7_230.0, 7_799.0, 7_800.0, 9_000.0, 86_400.0, 86_500.0, 87_000.0):
        own = learn(own, "same", 50, age, int(age))
    assert own.posts == (1, 1)


def test_more_posts_at_a_mark_than_are_remembered_are_left_out_and_not_counted_twice() -> None:
    own = begin_curve()
    for _ in range(2):
        for number in range(3 * MOST_COUNTED):
            own = learn(own, f"p{number}", 50, 7_201.0, 100)
    assert own.posts == (MOST_COUNTED, 0)
    own = learn(own, "later", 50, 7_201.0, 100 + int(MARK_SECONDS))
    assert own.posts == (MOST_COUNTED + 1, 0)


@given(st.lists(st.integers(-5, 200_000), max_size=80))
def test_a_stored_curve_goes_on_with_the_same_numbers(scores: list[int]) -> None:
    own = learnt(scores, 7_200.0)
    value = encode_curve(own)
    assert decode_curve(value) == own
    assert len(value) <= 48 + 8 * MOST_COUNTED


def test_a_forecast_is_what_its_inputs_add_up_to() -> None:
    own = begin_curve()
    for score, velocity, age in ((40, 0.01, 3_600.0), (900, None, 1_800.0), (15, 0.2, 900.0)):
        found = forecast(own, score, velocity, age)
        odds = found.log_odds_base + found.log_odds_score + (found.log_odds_velocity or 0.0)
        assert found.probability == pytest.approx(1 / (1 + 2.718281828459045**-odds))
        assert score <= found.low <= found.median <= found.high
        assert (found.log_odds_velocity is None) == (velocity is None)


def test_a_post_that_has_enough_points_is_probable_however_slow_it_is() -> None:
    own = replace(begin_curve(), posts=(700, 600))
    target = forecast(own, 1, None, 3_600.0).target
    assert forecast(own, int(target) + 1, 0.0, 30_000.0).probability > 0.3
    assert forecast(own, int(3 * target), 0.0, 30_000.0).probability > 0.95


def test_a_target_that_is_less_well_known_gives_less_certain_answers() -> None:
    known = replace(begin_curve(), posts=(4_000, 4_000))
    score = int(3 * forecast(known, 1, None, 3_600.0).target)
    assert forecast(known, score, 0.0, 30_000.0).probability > forecast(begin_curve(), score, 0.0, 30_000.0).probability


def test_the_same_score_at_a_younger_age_or_with_more_velocity_is_more_probable() -> None:
    own = begin_curve()
    old, young = forecast(own, 100, 0.01, 14_400.0), forecast(own, 100, 0.01, 3_600.0)
    assert young.probability > old.probability
    assert forecast(own, 100, 0.04, 3_600.0).probability > young.probability
    assert growth_of(100, -3.0, 3_600.0) == growth_of(100, 0.0, 3_600.0) == 0.0


def test_two_votes_within_a_second_are_no_growth() -> None:
    """Two observations a second apart: a post of 60 points in six hours does not gain 2 points a second."""
    own = begin_curve()
    assert growth_of(60, 2.0, 21_600.0) == growth_of(60, 2 * 60 / 21_600.0, 21_600.0)
    assert forecast(own, 60, 2.0, 21_600.0).probability < 0.01
