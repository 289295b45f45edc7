"""The range that is usual where a signal was found, as charts draw it. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from signalflow.domain.words import SignalSubject

# Standard deviations on each side.
_SIDE = 2.0


@dataclass(frozen=True, slots=True)
class Usual:
    """What was expected, and two standard deviations below and above it; None where it is not known."""

    expected: float | None
    low: float | None
    high: float | None


def usual(subject_kind: SignalSubject, expected: float, inputs: Mapping[str, float | None]) -> Usual:
    """The range by the inputs of the signal. The scores of posts spread by factors, numbers of posts by amounts."""
    of_scores, of_posts = inputs.get("log_sd"), inputs.get("variance")
    if subject_kind == "post" and of_scores is not None:
        factor = math.exp(_SIDE * of_scores)
        return Usual(expected, expected / factor, expected * factor)
    if subject_kind != "post" and of_posts is not None:
        spread = _SIDE * math.sqrt(max(of_posts, 0.0))
        return Usual(expected, max(expected - spread, 0.0), expected + spread)
    return Usual(expected, None, None)
