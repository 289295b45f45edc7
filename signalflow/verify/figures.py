"""The computed numbers of an observation, by their definitions: velocity, sentiment, trending."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


@dataclass(frozen=True)
class Rules:
    """The settings that the numbers depend on. Velocities are in score per second.

    `ahead_minutes`: how much later than its record an observation may be.
    """

    velocity_high: float = 50.0
    velocity_low: float = 10.0
    sentiment: float = 0.5
    comments: int = 100
    threshold: float = 0.5
    state_hours: float = 48.0
    ahead_minutes: float = 10.0


def per_second(before: int, after: int, since: datetime, until: datetime) -> float:
    """Change per second. A time of less than a second counts as one second."""
    return (after - before) / max(1.0, (until - since).total_seconds())


@lru_cache(maxsize=1)
def _stock() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


@lru_cache(maxsize=65_536)
def sentiment(title: str) -> tuple[float, str]:
    """Compound score and label, from the original library and its authors' threshold (0.05)."""
    compound = float(_stock().polarity_scores(title)["compound"])
    return compound, "positive" if compound >= 0.05 else "negative" if compound <= -0.05 else "neutral"


def trending(rules: Rules, velocity: float | None, feeling: float, comments: int) -> tuple[float, bool]:
    """The trending score in decimal arithmetic, and whether it reaches the threshold."""
    score = Decimal(0)
    if velocity is not None and velocity > rules.velocity_low:
        score += Decimal("0.4") if velocity > rules.velocity_high else Decimal("0.2")
    score += Decimal("0.2") * ((abs(feeling) > rules.sentiment) + (comments > rules.comments))
    return float(score), score >= Decimal(str(rules.threshold))
