"""Logistic regression with a penalty on large weights, by Newton's method: thousands of rows, about ten columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from signalflow.domain.signals.viral import sigmoid

_STEPS = 50
_PRECISION = 1e-9


@dataclass(frozen=True, slots=True)
class Fit:
    """The log odds of a row are `base` + the sum of weight * (x - centre)."""

    base: float
    weights: tuple[float, ...]
    centres: tuple[float, ...]

    def log_odds(self, row: Sequence[float]) -> float:
        """Of one row."""
        return self.base + sum(w * (x - c) for w, x, c in zip(self.weights, row, self.centres, strict=True))


def fit_logistic(rows: Sequence[Sequence[float]], outcomes: Sequence[float], penalty: float) -> Fit:
    """The fit with the highest likelihood, less `penalty` / 2 times the square of each weight of a standardised column.

    Outcomes are 0, 1, or between (a grade). A column without any variation gets the weight 0.
    """
    centres, scales = _standard(rows)
    columns = [[(x - c) / s for x, c, s in zip(row, centres, scales, strict=True)] for row in rows]
    size = len(centres) + 1
    weights = [0.0] * size
    for _ in range(_STEPS):
        step = _newton_step([(1.0, *row) for row in columns], outcomes, weights, penalty)
        weights = [weight + change for weight, change in zip(weights, step, strict=True)]
        if max(map(abs, step)) < _PRECISION:
            break
    scaled = tuple(weight / scale for weight, scale in zip(weights[1:], scales, strict=True))
    return Fit(weights[0], scaled, tuple(centres))


def _standard(rows: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each column; 1 for a column without variation."""
    count = len(rows)
    centres = [sum(column) / count for column in zip(*rows, strict=True)]
    spreads = [
        sqrt(sum((x - centre) ** 2 for x in column) / count)
        for column, centre in zip(zip(*rows, strict=True), centres, strict=True)
    ]
    return centres, [spread if spread > _PRECISION else 1.0 for spread in spreads]


def _newton_step(
    rows: Sequence[Sequence[float]], outcomes: Sequence[float], weights: Sequence[float], penalty: float
) -> list[float]:
    size = len(weights)
    penalties = [0.0, *[penalty] * (size - 1)]
    gradient = [-p * w for p, w in zip(penalties, weights, strict=True)]
    hessian = [[0.0] * size for _ in range(size)]
    for row, outcome in zip(rows, outcomes, strict=True):
        probability = sigmoid(sum(w * x for w, x in zip(weights, row, strict=True)))
        rest = outcome - probability
        curvature = probability * (1 - probability)
        for i, x in enumerate(row):
            gradient[i] += rest * x
            line, factor = hessian[i], curvature * x
            for j in range(i + 1):
                line[j] += factor * row[j]
    for i in range(size):
        # Keeps the equations solvable where a column has no variation and there is no penalty.
        hessian[i][i] += penalties[i] + _PRECISION
        for j in range(i):
            hessian[j][i] = hessian[i][j]
    return solve(hessian, gradient)


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """x with matrix * x = right, by elimination with the largest pivot."""
    size = len(right)
    lines = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda row: abs(lines[row][i]))
        lines[i], lines[pivot] = lines[pivot], lines[i]
        for below in range(i + 1, size):
            factor = lines[below][i] / lines[i][i]
            if factor:
                lines[below] = [a - factor * b for a, b in zip(lines[below], lines[i], strict=True)]
    found = [0.0] * size
    for i in reversed(range(size)):
        known = sum(lines[i][j] * found[j] for j in range(i + 1, size))
        found[i] = (lines[i][size] - known) / lines[i][i]
    return found
