"""What the project ships about all subreddits, until one has shown its own: made by scripts/make_signal_priors.py."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from math import log
from typing import Any

# The format of the file.
VERSION = 1


@dataclass(frozen=True, slots=True)
class Curve:
    """Quantiles of log(score + 1) by age: `log_scores[a][k]` at `ages[a]` (seconds) has the normal score `normals[k]`.

    A normal score is the place of a post among all posts of its age, as a standard normal number: 0 is the median, 2.33
    the best hundredth. Between ages the quantiles are interpolated by log(age), beyond the last ones they go on with
    the slope of the last two.
    """

    ages: tuple[float, ...]
    normals: tuple[float, ...]
    log_scores: tuple[tuple[float, ...], ...]

    def normal_of(self, log_score: float, age: float) -> float:
        """The normal score of a post at an age in seconds."""
        quantiles = interpolated(self.ages, self.log_scores, age)
        return line(quantiles, self.normals, log_score)

    def log_score_of(self, normal: float, age: float) -> float:
        """The inverse of normal_of."""
        return line(self.normals, interpolated(self.ages, self.log_scores, age), normal)


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Linear forecasts of a post's normal score in the end (a day), by age.

    `weights[a]`: constant, weight of its normal score now, of its growth, and the standard deviation of what is wrong.
    `unaided`: the same for a post whose velocity is unknown. Log odds of reaching the target are
    `base + slope * (forecast - target) / deviation`, where the deviation is that of forecast and target together. The
    target here is that of all subreddits.
    """

    ages: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    unaided: tuple[tuple[float, ...], ...]
    base: float
    slope: float
    target: float


@dataclass(frozen=True, slots=True)
class Priors:
    """`activity`: posts in each hour of the day (UTC), as a multiple of the mean of all hours."""

    activity: tuple[float, ...]
    curve: Curve
    forecasts: Forecasts


def interpolated(ages: Sequence[float], rows: Sequence[Sequence[float]], age: float) -> Sequence[float]:
    """The row at an age, linear in log(age) between two; the first or last one beyond them."""
    place = bisect_right(ages, age)
    if place == 0:
        return rows[0]
    if place == len(ages):
        return rows[-1]
    share = log(age / ages[place - 1]) / log(ages[place] / ages[place - 1])
    return [one + share * (other - one) for one, other in zip(rows[place - 1], rows[place], strict=True)]


def line(xs: Sequence[float], ys: Sequence[float], x: float) -> float:
    """The value at x of the line through points with increasing xs, with its outer pieces drawn on."""
    place = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    x0, x1, y0, y1 = xs[place - 1], xs[place], ys[place - 1], ys[place]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)


def read_priors(document: dict[str, Any]) -> Priors:
    """The priors in the document that scripts/make_signal_priors.py writes."""
    if document["version"] != VERSION:
        raise ValueError(f"the priors have version {document['version']}, not {VERSION}")
    curve, forecasts = document["curve"], document["forecasts"]
    return Priors(
        activity=tuple(document["activity"]),
        curve=Curve(tuple(curve["ages"]), tuple(curve["normals"]), tuple(map(tuple, curve["log_scores"]))),
        forecasts=Forecasts(
            ages=tuple(forecasts["ages"]),
            weights=tuple(map(tuple, forecasts["weights"])),
            unaided=tuple(map(tuple, forecasts["unaided"])),
            base=forecasts["base"],
            slope=forecasts["slope"],
            target=forecasts["target"],
        ),
    )


@lru_cache(maxsize=1)
def shipped() -> Priors:
    """The priors of this version of the project."""
    return read_priors(json.loads(files("signalflow").joinpath("data/signals.json").read_text(encoding="utf-8")))
