"""The order of listings other than new."""

from collections.abc import Callable, Iterable
from math import log10

from signalflow.simulator.posts import Post

RANKS = ("hot", "top", "rising", "controversial")
PERIODS = {"hour": 3_600.0, "day": 86_400.0, "week": 604_800.0, "month": 2.7e6, "year": 3.2e7, "all": float("inf")}
# A post that is 12.5 hours older needs ten times the points for the same rank: Reddit's own published formula.
HOT_SECONDS = 45_000.0
# Rising shows young posts that somebody has voted for.
RISING_SECONDS, RISING_SCORE = 3 * 3_600.0, 3


def ranked(posts: Iterable[Post], sort: str, period: str, now: float) -> list[Post]:
    """The posts of a listing in its order. `period` (hour to all) matters to top and controversial only."""
    if sort == "rising":
        young = (p for p in posts if now - p.created < RISING_SECONDS and p.score_at(now) >= RISING_SCORE)
        return sorted(young, key=lambda p: -p.score_at(now) / (now - p.created + 300.0))
    if sort == "hot":
        return sorted(posts, key=lambda p: -(log10(max(p.score_at(now), 1)) + p.created / HOT_SECONDS))
    reach = PERIODS.get(period, PERIODS["day"])
    worth: Callable[[Post], float] = _division if sort == "controversial" else lambda p: -p.score_at(now)
    return sorted((p for p in posts if now - p.created < reach), key=worth)


def _division(post: Post) -> float:
    """How far the votes are from a tie: 0 for the most divided post."""
    return abs(post.ratio - 0.5)
