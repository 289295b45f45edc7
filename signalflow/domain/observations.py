"""The newest observations of a post, and the velocities that a new one gives.

Pure. Times are integers in microseconds since the epoch (UTC), the resolution of PostgreSQL's timestamptz. Velocities
are per second.

There are two of the score. The velocity compares an observation with the one before. The trend velocity compares it
with one that is at least the trend window older, and takes a change within the noise of Reddit's votes for none. A hot
post is observed every ten seconds, so the window holds more observations than a state should. Therefore time is divided
into slices of a fifth of the window, and beyond the newest RING_SIZE observations a state keeps the first of each
slice. Only the first observation of a slice is ever compared with, so the result does not depend on what was dropped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# A redelivered observation must still find the one before it, so the ring must hold every observation of one post that
# can be processed but not yet committed. A post is published at most once in 5 s, a commit follows within about 1 s.
# After a loss of outputs (signalflow/streams/outputs.py) more is repeated; what is older than the ring is late then.
RING_SIZE = 8
MICROSECOND = 1_000_000
# Two observations within a second say nothing about a rate: dividing by so short a time would turn noise into a peak.
MIN_INTERVAL_SECONDS = 1.0
SLICES = 5
# RING_SIZE, the first of each of the six slices that a window touches, and the one that the window begins with.
MOST_KEPT = RING_SIZE + SLICES + 2
# Reddit changes each answer's score at random. Two answers differ by up to two points, or two percent of the score,
# without a vote.
NOISE_POINTS = 2
NOISE_PERCENT = 2


class Observation(NamedTuple):
    """What was seen of a post at one moment. Ordered by time."""

    observed_us: int
    score: int
    comments: int


@dataclass(frozen=True, slots=True)
class PostState:
    """The newest observations of a post, oldest first, one per moment, at most MOST_KEPT (see `kept`)."""

    created_us: int
    first_seen_us: int
    ring: tuple[Observation, ...]


class Velocity(NamedTuple):
    """Change per second since the observation before; None when there is none to compare with."""

    score: float | None
    comments: float | None


UNKNOWN = Velocity(None, None)


class Step(NamedTuple):
    """The result of an observation: the state after it, its velocities, and whether it was late."""

    state: PostState
    velocity: Velocity
    trend_velocity: float | None
    late: bool


def observe(state: PostState | None, created_us: int, new: Observation, window_us: int) -> Step:
    """Add one observation, in log order. `window_us` is the trend window.

    An observation that is among the newest RING_SIZE already was redelivered, and gets the same velocities as the first
    time. Another one that is older than the newest is late: its velocities are unknown, and the ring stays as it is.
    """
    if state is None:
        return Step(PostState(created_us, new.observed_us, (new,)), UNKNOWN, None, late=False)
    before: Observation | None = None
    known = False
    for observation in state.ring[-RING_SIZE:]:
        if observation.observed_us < new.observed_us:
            before = observation
        elif observation.observed_us == new.observed_us:
            known = True
    if known:
        return Step(state, velocity(before, new), trend_velocity(state.ring, created_us, new, window_us), late=False)
    if before is not state.ring[-1]:
        first_seen = min(state.first_seen_us, new.observed_us)
        return Step(PostState(state.created_us, first_seen, state.ring), UNKNOWN, None, late=True)
    ring = kept((*state.ring, new), window_us)
    after = PostState(state.created_us, state.first_seen_us, ring)
    return Step(after, velocity(before, new), trend_velocity(ring, created_us, new, window_us), late=False)


def velocity(before: Observation | None, new: Observation) -> Velocity:
    """Score and comments per second between two observations. The time between them counts as at least one second."""
    if before is None:
        return UNKNOWN
    seconds = max((new.observed_us - before.observed_us) / MICROSECOND, MIN_INTERVAL_SECONDS)
    return Velocity((new.score - before.score) / seconds, (new.comments - before.comments) / seconds)


def trend_velocity(ring: Sequence[Observation], created_us: int, new: Observation, window_us: int) -> float | None:
    """Change of the score per second over the trend window; 0 when it is within the noise of votes, None when unknown.

    `new` is compared with the newest observation that is the first of its slice and at least the window older. While
    there is none, a post that was younger than the window when it was first seen is compared with that first
    observation. The velocity of any other post is unknown until it was observed for the length of the window.
    """
    reference: Observation | None = None
    for first in _firsts(ring, window_us, new.observed_us - window_us):
        reference = first
    # The first observation is dropped only once another one is as old as the window (see `kept`).
    if reference is None and ring[0].observed_us < min(created_us + window_us, new.observed_us):
        reference = ring[0]
    if reference is None:
        return None
    if is_noise(reference.score, new.score):
        return 0.0
    return velocity(reference, new).score


def is_noise(one: int, other: int) -> bool:
    """Whether two scores may differ by the noise of votes alone: by two points, or 2 % of the larger one."""
    change = abs(one - other)
    return change <= NOISE_POINTS or 100 * change <= NOISE_PERCENT * max(abs(one), abs(other))


def kept(observations: Sequence[Observation], window_us: int) -> tuple[Observation, ...]:
    """What a state keeps of these observations, which are ordered by time.

    The newest RING_SIZE; before them the first of each slice, back to the one with which the oldest of the newest is
    compared. So an observation that is redelivered finds what it was compared with.
    """
    if len(observations) <= RING_SIZE:
        return tuple(observations)
    older, newest = observations[:-RING_SIZE], observations[-RING_SIZE:]
    firsts: list[Observation] = []
    for first in _firsts(older, window_us, newest[0].observed_us):
        if first.observed_us <= newest[0].observed_us - window_us:
            firsts.clear()
        firsts.append(first)
    return (*firsts, *newest)


def _firsts(observations: Iterable[Observation], window_us: int, until_us: int) -> Iterator[Observation]:
    """The first observation of each slice, up to a moment."""
    slice_us = window_us // SLICES
    last = -1
    for observation in observations:
        if observation.observed_us > until_us:
            return
        place = observation.observed_us // slice_us
        if place != last:
            yield observation
            last = place


def merge(one: PostState, other: PostState, window_us: int) -> PostState:
    """The union of two states of one post: the newest observations of both. Commutative, associative, idempotent."""
    if one == other:
        return one
    # Two observations of one moment differ only if Reddit answered twice within a microsecond. Either will do.
    by_time = {observation.observed_us: observation for observation in sorted((*one.ring, *other.ring))}
    ring = kept([by_time[time] for time in sorted(by_time)], window_us)
    return PostState(min(one.created_us, other.created_us), min(one.first_seen_us, other.first_seen_us), ring)


def expired(created_us: int, now_us: int, lifetime_us: int) -> bool:
    """Whether a post is too old for its state to be kept."""
    return created_us + lifetime_us <= now_us
