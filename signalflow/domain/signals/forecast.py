"""What becomes of a post in a day: its score, and whether it is among the best hundredth of its subreddit. Pure.

A linear forecast of the post's normal score, and log odds that are linear in it, so each input adds its part.
"""

from dataclasses import dataclass
from math import hypot, log

from signalflow.domain.signals.curve import FINAL, OwnCurve, log_score, score_of
from signalflow.domain.signals.priors import interpolated, shipped
from signalflow.domain.signals.viral import sigmoid

# An 80 % interval of a normal distribution reaches so many standard deviations to each side.
_EIGHTY = 1.2815515655446004
# The growth of a score is told as log(1 + what it would gain in this time at this velocity / (score + 1)).
GROWTH_SECONDS = 9_000.0
# Scores grow ever more slowly. A velocity above so many times score / age is that of a vote or two between two
# observations that were seconds apart.
MOST_MEAN_VELOCITIES = 2.0
# The velocity of a younger post is that over a few seconds or votes, which tells nothing.
YOUNGEST_VELOCITY = 600.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Scores after a day: median and 80 % interval; `target` is what the best hundredth of the subreddit reaches then.

    The log odds are base + score + velocity. They know that the forecast may be wrong, and the target too.
    """

    probability: float
    target: float
    median: float
    low: float
    high: float
    log_odds_base: float
    log_odds_score: float
    log_odds_velocity: float | None


def growth_of(score: int, velocity: float, age: float) -> float:
    """How much a post of an age in seconds grows, as against its score: a logarithm, 0 when it does not."""
    points = max(score, 0)
    believed = min(max(velocity, 0.0), MOST_MEAN_VELOCITIES * points / age)
    return log(1.0 + believed * GROWTH_SECONDS / (points + 1.0))


def forecast(own: OwnCurve, score: int, velocity: float | None, age: float) -> Forecast:
    """The forecast of a post of an age in seconds; `velocity` in points per second."""
    priors = shipped()
    model = priors.forecasts
    level, spread = own.level_and_spread(age)
    normal = (priors.curve.normal_of(log_score(score), age) - level) / spread
    if velocity is None or age < YOUNGEST_VELOCITY:
        constant, by_normal, deviation = interpolated(model.ages, model.unaided, age)
        of_velocity, by_growth = 0.0, None
    else:
        constant, by_normal, by_growth, deviation = interpolated(model.ages, model.weights, age)
        of_velocity = by_growth * growth_of(score, velocity, age)
    final_level, final_spread = own.level_and_spread(FINAL)
    of_score = by_normal * normal
    # Scores hardly fall: in the end a post has at least the normal score that its points have then.
    least = (priors.curve.normal_of(log_score(score), FINAL) - final_level) / final_spread
    if least > constant + of_score + of_velocity:
        constant, of_score, of_velocity = 0.0, least, 0.0
    final = constant + of_score + of_velocity
    step = model.slope / hypot(deviation, own.top_error())
    base = model.base + step * (constant - own.top)

    def score_at_end(value: float) -> float:
        return score_of(priors.curve.log_score_of(final_level + final_spread * value, FINAL))

    return Forecast(
        probability=sigmoid(base + step * (of_score + of_velocity)),
        target=score_at_end(own.top),
        median=max(score_at_end(final), float(score)),
        low=max(score_at_end(final - _EIGHTY * deviation), float(score)),
        high=max(score_at_end(final + _EIGHTY * deviation), float(score)),
        log_odds_base=base,
        log_odds_score=step * of_score,
        log_odds_velocity=None if by_growth is None else step * of_velocity,
    )
