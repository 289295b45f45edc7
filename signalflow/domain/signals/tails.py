"""How improbable a count is, and in how many standard deviations that is told. Pure."""

import math
from statistics import NormalDist

# The tail of 37.5 standard deviations is the smallest that a double can hold.
MOST_SIGMAS = 37.5
_NORMAL = NormalDist()


def normal_tail(sigmas: float) -> float:
    """The chance that a standard normal number lies above `sigmas`."""
    return 0.5 * math.erfc(sigmas / math.sqrt(2.0))


def sigmas_of(tail: float) -> float:
    """The inverse of normal_tail, at most MOST_SIGMAS."""
    return min(-_NORMAL.inv_cdf(tail), MOST_SIGMAS) if tail > 0.0 else MOST_SIGMAS


def count_tail(count: int, mean: float, variance: float) -> float:
    """The chance of at least `count` events, where `mean` are expected.

    The number of events is negative binomial with this mean and variance; Poisson where the variance is not above the
    mean. `mean` must be above 0.
    """
    if count <= 0:
        return 1.0
    excess = variance - mean
    # Poisson and the negative binomial have terms whose ratio is (a + b * k) / (k + 1), which is Panjer's recursion.
    if excess <= 1e-6 * mean:
        a, b = mean, 0.0
        log_first = -mean + count * math.log(mean) - math.lgamma(count + 1)
    else:
        size = mean * mean / excess
        b = excess / variance
        a = size * b
        log_first = (
            math.lgamma(size + count)
            - math.lgamma(size)
            - math.lgamma(count + 1)
            + size * math.log(mean / variance)
            + count * math.log(b)
        )
    term = total = 1.0
    k = count
    # Terms grow up to the mean, and then fall at least geometrically.
    while term > 1e-12 * total or k <= mean:
        term *= (a + b * k) / (k + 1)
        total += term
        k += 1
    return min(math.exp(log_first + math.log(total)), 1.0)


def count_sigmas(count: int, mean: float, variance: float) -> float:
    """The standard deviations that have the tail of `count`; 0 for a count that is not above the mean."""
    return sigmas_of(count_tail(count, mean, variance)) if count > mean else 0.0
