"""When a signal begins, when it is told again, and when it ends: one measure that rises above a limit and falls. Pure.

A limit to begin that is higher than the limit to end keeps a measure near the limit from giving a signal each minute.
"""

from dataclasses import dataclass, replace

# It is told again when its strength is by a tenth above what was told last.
NOTABLY = 1.1
# A signal is told at most so often while it goes on, and once more when it ends.
MOST_TELLINGS = 12
# Of one signal, the newest.
MOST_POSTS = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The strength from which a signal begins, and the one below which it ends."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Measure:
    """What a rule computed from an observation. `inputs` are in the order of the rule's names."""

    strength: float
    observed: float
    expected: float
    inputs: tuple[float | None, ...]
    post_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OpenSignal:
    """A signal that goes on, as it was told last. `active_us`: when its strength was last above the limit to end."""

    started_us: int
    peak_us: int
    active_us: int
    tellings: int
    told: Measure


def begins(measure: Measure, limits: Limits, now_us: int) -> OpenSignal | None:
    """The signal that begins with this measure, if it does."""
    return OpenSignal(now_us, now_us, now_us, 1, measure) if measure.strength >= limits.begin else None


def goes_on(signal: OpenSignal, measure: Measure, limits: Limits, now_us: int) -> tuple[OpenSignal | None, bool]:
    """The signal after one more measure, None when it has ended; and whether it has to be told."""
    if measure.strength < limits.end:
        return None, True
    if measure.strength >= NOTABLY * signal.told.strength and signal.tellings < MOST_TELLINGS:
        return OpenSignal(signal.started_us, now_us, now_us, signal.tellings + 1, measure), True
    return replace(signal, active_us=now_us), False
