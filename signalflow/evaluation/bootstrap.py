"""How sure a figure is, by the bootstrap: the posts it was computed of are drawn again, with replacement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

RESAMPLES = 1000
_MIDDLE = 0.95
# The same draws for all figures of the same posts, and the same figures in each run.
_SEED = 1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and the limits between which 95 of 100 draws have it."""

    value: float
    low: float
    high: float


def resampled(
    figure: Callable[[Sequence[Sequence[T]]], float], parts: Sequence[Sequence[T]], resamples: int = RESAMPLES
) -> Estimate:
    """A figure of several parts, each of which is drawn again by itself.

    `figure` may raise ValueError for a draw that it cannot judge, because all posts of a part are of one kind. Such a
    draw is not used.
    """
    value = figure(parts)
    random = Random(_SEED)
    values = []
    for _ in range(resamples):
        drawn = [random.choices(part, k=len(part)) for part in parts]
        try:
            values.append(figure(drawn))
        except ValueError:
            continue
    values.sort()
    outside = round(len(values) * (1 - _MIDDLE) / 2)
    return Estimate(value, values[outside], values[-1 - outside]) if values else Estimate(value, value, value)
