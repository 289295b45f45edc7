"""The trending score, by the rule of the pipeline that signalflow replaces.

It counts in integer tenths: sums of 0.1 and 0.2 in binary floats miss the threshold that they should reach.
"""

from dataclasses import dataclass

FAST_TENTHS = 4
RISING_TENTHS = 2
STRONG_SENTIMENT_TENTHS = 2
DISCUSSED_TENTHS = 2


@dataclass(frozen=True, slots=True)
class TrendingRule:
    """The limits. A value counts when it exceeds its limit; a post trends when its score reaches `threshold` (0..1).

    Velocities are trend velocities, in score per second.
    """

    velocity_high: float = 50.0
    velocity_low: float = 10.0
    sentiment: float = 0.5
    comments: int = 100
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Trending:
    """A trending score in 0..1, in steps of a tenth, and whether it reaches the threshold."""

    score: float
    is_trending: bool


def trending(rule: TrendingRule, *, velocity: float | None, sentiment: float | None, comments: int | None) -> Trending:
    """The score of one observation. `velocity` is its trend velocity. What is unknown adds nothing."""
    tenths = 0
    if velocity is not None:
        if velocity > rule.velocity_high:
            tenths += FAST_TENTHS
        elif velocity > rule.velocity_low:
            tenths += RISING_TENTHS
    if sentiment is not None and abs(sentiment) > rule.sentiment:
        tenths += STRONG_SENTIMENT_TENTHS
    if comments is not None and comments > rule.comments:
        tenths += DISCUSSED_TENTHS
    score = tenths / 10
    # A quotient of two integers is the float nearest to the decimal, as is the literal of a threshold. So they compare
    # as they are written.
    return Trending(score, score >= rule.threshold)
