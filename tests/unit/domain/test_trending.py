"""The trending rule as a truth table; the expected scores are added up by hand."""

import pytest

from signalflow.domain.trending import Trending, TrendingRule, trending


@pytest.mark.parametrize(
    ("velocity", "sentiment", "comments", "score", "is_trending"),
    [
        # Each boundary is exceeded, not reached.
        (None, 0.0, 0, 0.0, False),
        (10.0, 0.0, 0, 0.0, False),
        (10.001, 0.0, 0, 0.2, False),
        (50.0, 0.0, 0, 0.2, False),
        (50.001, 0.0, 0, 0.4, False),
        (-60.0, 0.0, 0, 0.0, False),
        (0.0, 0.5, 0, 0.0, False),
        (0.0, 0.5001, 0, 0.2, False),
        (0.0, -0.5, 0, 0.0, False),
        (0.0, -0.5001, 0, 0.2, False),
        (0.0, 0.0, 100, 0.0, False),
        (0.0, 0.0, 101, 0.2, False),
        # Sums; the threshold is reached, not exceeded, and nothing but a high velocity gets there.
        (None, 0.9, 500, 0.4, False),
        (20.0, 0.9, 0, 0.4, False),
        (20.0, 0.0, 500, 0.4, False),
        (20.0, 0.9, 500, 0.6, True),
        (60.0, 0.9, 0, 0.6, True),
        (60.0, 0.0, 500, 0.6, True),
        (60.0, -0.9, 500, 0.8, True),
    ],
)
def test_the_score_is_the_sum_of_what_is_exceeded(
    velocity: float | None, sentiment: float, comments: int, score: float, is_trending: bool
) -> None:
    result = trending(TrendingRule(), velocity=velocity, sentiment=sentiment, comments=comments)
    assert result == Trending(score, is_trending)


@pytest.mark.parametrize(("threshold", "is_trending"), [(0.6, True), (0.61, False), (0.0, True)])
def test_a_threshold_is_compared_as_it_is_written(threshold: float, is_trending: bool) -> None:
    """0.2 + 0.2 + 0.2 in floats is 0.6000000000000001, which would pass a threshold that it should not."""
    rule = TrendingRule(threshold=threshold)
    assert trending(rule, velocity=20.0, sentiment=0.9, comments=500).is_trending is is_trending


def test_every_threshold_is_taken_from_the_rule() -> None:
    rule = TrendingRule(velocity_high=5, velocity_low=1, sentiment=0.1, comments=3, threshold=0.8)
    assert trending(rule, velocity=5.1, sentiment=-0.11, comments=4) == Trending(0.8, True)
    assert trending(rule, velocity=5.0, sentiment=-0.11, comments=4) == Trending(0.6, False)
