"""How high the posts of a subreddit score at an age, as against the posts of all subreddits. Pure.

A subreddit's own level and spread are followed quantiles of its posts' normal scores at two ages. Each post counts once
at each age. The posts of the look back count at the age that they have then.
"""

import struct
from dataclasses import dataclass, replace
from math import exp, log
from zlib import crc32

from signalflow.domain.signals.priors import interpolated, shipped

# The ages in seconds at which posts are learnt from: checkpoints, at which every post is observed.
MARKS = (7_200.0, 86_400.0)
FINAL = MARKS[-1]
# A post counts at a mark when it is observed at most so many seconds after it.
MARK_SECONDS = 600.0
# A post that was so old when its subreddit was first observed counts at the age at which it is found. A younger one
# will be seen at its marks.
OLD_AT_FIRST = MARKS[0] + MARK_SECONDS
# Posts that were counted lately, which must not count again. When so many were within MARK_SECONDS, others are left
# out: a subreddit with so many posts needs only a part of them.
MOST_COUNTED = 32
# A followed quantile begins as if so many posts had been as the prior says; it forgets after MEMORY posts. The best
# tenth and hundredth are seldom seen, so they begin with more.
PRIOR_HALF, PRIOR_TENTH, PRIOR_TOP, MEMORY = 40.0, 120.0, 400.0, 4_000
_NINTH_TENTH = 1.2815515655446004
# Shares of the followed quantiles, and the normal density at them, which makes the steps those of the best estimate.
_HALF, _HALF_DENSITY = 0.5, 0.3989
_NINE, _NINE_DENSITY = 0.9, 0.1755
_TOP, _TOP_DENSITY = 0.99, 0.0267
LEAST_SPREAD, MOST_SPREAD = 0.4, 2.5
_HEAD = struct.Struct("<IIddddd")
_COUNTED = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class OwnCurve:
    """`medians` and `tenths` are the normal scores of a subreddit's median and best tenth at each mark.

    `top`: what its best hundredth has in the end, in its own units. `counted`: what was counted lately, as hash and
    second of observation.
    """

    posts: tuple[int, int]
    medians: tuple[float, float]
    tenths: tuple[float, float]
    top: float
    counted: tuple[tuple[int, int], ...] = ()

    def level_and_spread(self, age: float) -> tuple[float, float]:
        """Normal scores of this subreddit's posts have this median and this standard deviation at an age in seconds."""
        rows = [
            (median, min(max((tenth - median) / _NINTH_TENTH, LEAST_SPREAD), MOST_SPREAD))
            for median, tenth in zip(self.medians, self.tenths, strict=True)
        ]
        level, spread = interpolated(MARKS, rows, age)
        return level, spread

    def top_error(self) -> float:
        """The standard error of `top`: that of the followed hundredth, and what that of the spread makes of it."""
        return top_error(self.posts[-1])


def top_error(posts: int) -> float:
    """The standard error of the best hundredth of a subreddit of which so many posts were seen after a day."""
    known = min(posts, MEMORY)
    of_top = _TOP * (1.0 - _TOP) / (_TOP_DENSITY**2 * (PRIOR_TOP + known))
    of_tenth = _NINE * (1.0 - _NINE) / (_NINE_DENSITY**2 * (PRIOR_TENTH + known))
    return float((of_top + (shipped().forecasts.target / _NINTH_TENTH) ** 2 * of_tenth) ** 0.5)


def begin_curve() -> OwnCurve:
    """The curve of a subreddit of which no post was seen."""
    return OwnCurve((0, 0), (0.0, 0.0), (_NINTH_TENTH, _NINTH_TENTH), shipped().forecasts.target)


def log_score(score: int) -> float:
    """What curves are of: a score below 0 counts as 0."""
    return log(max(score, 0) + 1.0)


def score_of(value: float) -> float:
    """The inverse of log_score, at least 0."""
    return max(exp(value) - 1.0, 0.0)


def learn(own: OwnCurve, post_id: str, score: int, age: float, at_second: int) -> OwnCurve:
    """The curve after an observation; most teach nothing, because they are not at a mark."""
    mark = next((number for number, mark in enumerate(MARKS) if mark <= age < mark + MARK_SECONDS), None)
    if mark is None:
        return own
    hashed = crc32(post_id.encode(), mark)
    counted = tuple(entry for entry in own.counted if entry[1] > at_second - MARK_SECONDS)
    if len(counted) >= MOST_COUNTED or any(entry[0] == hashed for entry in counted):
        return own
    return replace(_learnt(own, mark, score, age), counted=(*counted, (hashed, at_second)))


def learn_before(own: OwnCurve, score: int, age: float) -> OwnCurve:
    """The curve after a post that was older than the first mark when its subreddit was first observed.

    A normal score is a place among posts of the same age, so it tells at any age what the marks would have told: the
    post counts at both, and must not count again.
    """
    for mark in range(len(MARKS)):
        own = _learnt(own, mark, score, age)
    return own


def _learnt(own: OwnCurve, mark: int, score: int, age: float) -> OwnCurve:
    normal = shipped().curve.normal_of(log_score(score), age)
    level, spread = own.level_and_spread(age)
    posts = list(own.posts)
    medians, tenths = list(own.medians), list(own.tenths)
    known = min(posts[mark], MEMORY)
    medians[mark] += _step(normal, medians[mark], _HALF, _HALF_DENSITY * (PRIOR_HALF + known))
    tenths[mark] += _step(normal, tenths[mark], _NINE, _NINE_DENSITY * (PRIOR_TENTH + known))
    top = own.top
    if MARKS[mark] == FINAL:
        top += _step((normal - level) / spread, top, _TOP, _TOP_DENSITY * (PRIOR_TOP + known))
    posts[mark] += 1
    return replace(
        own,
        posts=(posts[0], posts[1]),
        medians=(medians[0], medians[1]),
        tenths=(tenths[0], tenths[1]),
        top=top,
    )


def _step(value: float, quantile: float, share: float, weight: float) -> float:
    """How far a followed quantile moves by one value (Robbins and Monro 1951)."""
    return (share - (value <= quantile)) / weight


def encode_curve(own: OwnCurve) -> bytes:
    """At most 304 bytes."""
    head = _HEAD.pack(*own.posts, *own.medians, *own.tenths, own.top)
    return head + b"".join(_COUNTED.pack(*entry) for entry in own.counted)


def decode_curve(value: bytes) -> OwnCurve:
    """The inverse of encode_curve."""
    one, other, median, later_median, tenth, later_tenth, top = _HEAD.unpack_from(value)
    counted = tuple((hashed, second) for hashed, second in _COUNTED.iter_unpack(value[_HEAD.size :]))
    return OwnCurve((one, other), (median, later_median), (tenth, later_tenth), top, counted)
