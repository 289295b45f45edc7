"""Figures of quality, of scores and outcomes: larger scores should go with outcomes that are true."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import sqrt
from statistics import mean, variance

Scored = Sequence[tuple[float, bool]]


def auc(scored: Scored) -> float:
    """The chance that a post that reached the target has the larger score than one that did not; a tie counts half.

    Raises ValueError unless both kinds are there.
    """
    positives, negatives = _kinds(scored)
    above = 0.0
    passed = 0
    for _, reached, missed in _levels(scored):
        passed += missed
        # What was passed has a larger score or the same one.
        above += reached * (negatives - passed + missed / 2)
    return above / (positives * negatives)


@dataclass(frozen=True, slots=True)
class Gain:
    """How much the mean AUC of one model is larger than that of another, and the standard error of this difference."""

    mean: float
    error: float


def gain_of_auc(ones: Sequence[Scored], others: Sequence[Scored]) -> Gain:
    """Compare two models on the same parts, each with the same posts in the same order.

    The variance of a part is that of DeLong, DeLong and Clarke-Pearson (1988). Each part needs two posts of each kind.
    """
    gains, variances = [], []
    for one, other in zip(ones, others, strict=True):
        placed = [
            [a - b for a, b in zip(left, right, strict=True)]
            for left, right in zip(_placements(one), _placements(other), strict=True)
        ]
        gains.append(mean(placed[0]))
        variances.append(sum(variance(values) / len(values) for values in placed))
    return Gain(mean(gains), sqrt(sum(variances)) / len(gains))


def _placements(scored: Scored) -> tuple[list[float], list[float]]:
    """For each post that reached: the share of the others below it. For each other: the share of these above it."""
    hits = [score for score, hit in scored if hit]
    others = [score for score, hit in scored if not hit]
    low, high = sorted(others), sorted(hits)
    return (
        [(bisect_left(low, score) + bisect_right(low, score)) / 2 / len(low) for score in hits],
        [1 - (bisect_left(high, score) + bisect_right(high, score)) / 2 / len(high) for score in others],
    )


def roc(scored: Scored) -> list[tuple[float, float]]:
    """The false and true positive rates of all thresholds, from (0, 0) to (1, 1). Raises ValueError like `auc`."""
    positives, negatives = _kinds(scored)
    true = false = 0
    points = [(0.0, 0.0)]
    for _, reached, missed in _levels(scored):
        true += reached
        false += missed
        points.append((false / negatives, true / positives))
    return points


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm for every score from `threshold` on; None: no alarm is possible. Rates are shares of 1."""

    threshold: float | None
    true_rate: float
    false_rate: float


def alarm_at(scored: Scored, false_rate: float) -> Alarm:
    """The alarm that finds most while at most this share of the others causes one. Raises ValueError like `auc`."""
    positives, negatives = _kinds(scored)
    best = Alarm(None, 0.0, 0.0)
    true = false = 0
    for threshold, reached, missed in _levels(scored):
        true += reached
        false += missed
        if false > false_rate * negatives:
            break
        best = Alarm(threshold, true / positives, false / negatives)
    return best


def precision_at(scored: Scored, count: int) -> float:
    """The share of the `count` largest scores that reached; of posts that tie for the last places, their mean share.

    `count` is at most the number of posts.
    """
    if not 0 < count <= len(scored):
        raise ValueError(f"{count} of {len(scored)} posts")
    left = count
    found = 0.0
    for _, reached, missed in _levels(scored):
        taken = min(left, reached + missed)
        found += reached * taken / (reached + missed)
        left -= taken
        if not left:
            break
    return found / count


@dataclass(frozen=True, slots=True)
class Bin:
    """Posts of similar probability: how probable the target was said to be on average, and how often it was reached."""

    posts: int
    lowest: float
    highest: float
    said: float
    reached: float


def calibration(scored: Scored, bins: int) -> list[Bin]:
    """So many bins of about equally many posts, by probability."""
    ordered = sorted(scored)
    edges = [len(ordered) * index // bins for index in range(bins + 1)]
    return [_bin(ordered[start:end]) for start, end in pairwise(edges) if end > start]


def _bin(part: Scored) -> Bin:
    count = len(part)
    return Bin(
        count, part[0][0], part[-1][0], sum(score for score, _ in part) / count, sum(hit for _, hit in part) / count
    )


def brier(scored: Scored) -> float:
    """The mean square of probability less outcome: 0 is perfect."""
    return sum((score - hit) ** 2 for score, hit in scored) / len(scored)


def _kinds(scored: Scored) -> tuple[int, int]:
    positives = sum(hit for _, hit in scored)
    if not 0 < positives < len(scored):
        raise ValueError(f"{positives} of {len(scored)} posts reach the target: nothing can be told apart")
    return positives, len(scored) - positives


def _levels(scored: Scored) -> Iterator[tuple[float, int, int]]:
    """Each score, and how many posts reached and missed the target at it, from the largest score on."""
    for score, group in groupby(sorted(scored, key=lambda pair: -pair[0]), key=lambda pair: pair[0]):
        hits = [hit for _, hit in group]
        yield score, sum(hits), len(hits) - sum(hits)
