"""The newest observations of a post, and the velocity that a new one gives.

Pure. Times are integers in microseconds since the epoch (UTC), the resolution of PostgreSQL's timestamptz. Velocities
are per second.
"""

from dataclasses import dataclass
from typing import NamedTuple

# A redelivered observation must still find the one before it, so the ring must hold every observation of one post that
# can be processed but not yet committed. A post is published at most once in 5 s, a commit follows within about 1 s.
RING_SIZE = 8
MICROSECOND = 1_000_000
# Two observations within a second say nothing about a rate: dividing by so short a time would turn noise into a peak.
MIN_INTERVAL_SECONDS = 1.0


class Observation(NamedTuple):
    """What was seen of a post at one moment. Ordered by time."""

    observed_us: int
    score: int
    comments: int


@dataclass(frozen=True, slots=True)
class PostState:
    """The newest observations of a post, oldest first, at most RING_SIZE, one per moment."""

    created_us: int
    first_seen_us: int
    ring: tuple[Observation, ...]


class Velocity(NamedTuple):
    """Change per second since the observation before; None when there is none to compare with."""

    score: float | None
    comments: float | None


UNKNOWN = Velocity(None, None)


class Step(NamedTuple):
    """The result of an observation: the state after it, its velocity, and whether it was late."""

    state: PostState
    velocity: Velocity
    late: bool


def observe(state: PostState | None, created_us: int, new: Observation) -> Step:
    """Add one observation, in log order.

    An observation that is in the ring already was redelivered, and gets the same velocity as the first time. An
    observation that is older than the newest and not in the ring is late: its velocity is unknown, and the ring stays
    as it is.
    """
    if state is None:
        return Step(PostState(created_us, new.observed_us, (new,)), UNKNOWN, late=False)
    before: Observation | None = None
    known = False
    for observation in state.ring:
        if observation.observed_us < new.observed_us:
            before = observation
        elif observation.observed_us == new.observed_us:
            known = True
    if known:
        return Step(state, velocity(before, new), late=False)
    if before is not state.ring[-1]:
        first_seen = min(state.first_seen_us, new.observed_us)
        return Step(PostState(state.created_us, first_seen, state.ring), UNKNOWN, late=True)
    ring = (*state.ring[-(RING_SIZE - 1) :], new)
    return Step(PostState(state.created_us, state.first_seen_us, ring), velocity(before, new), late=False)


def velocity(before: Observation | None, new: Observation) -> Velocity:
    """Score and comments per second between two observations. The time between them counts as at least one second."""
    if before is None:
        return UNKNOWN
    seconds = max((new.observed_us - before.observed_us) / MICROSECOND, MIN_INTERVAL_SECONDS)
    return Velocity((new.score - before.score) / seconds, (new.comments - before.comments) / seconds)


def merge(one: PostState, other: PostState) -> PostState:
    """The union of two states of one post: the newest observations of both. Commutative, associative, idempotent."""
    if one == other:
        return one
    # Two observations of one moment differ only if Reddit answered twice within a microsecond. Either will do.
    by_time = {observation.observed_us: observation for observation in sorted((*one.ring, *other.ring))}
    ring = tuple(by_time[time] for time in sorted(by_time)[-RING_SIZE:])
    return PostState(min(one.created_us, other.created_us), min(one.first_seen_us, other.first_seen_us), ring)


def expired(created_us: int, now_us: int, lifetime_us: int) -> bool:
    """Whether a post is too old for its state to be kept."""
    return created_us + lifetime_us <= now_us
