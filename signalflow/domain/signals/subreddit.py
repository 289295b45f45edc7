"""What is usual in one subreddit, learnt from observations in the order of the log, and the signals against it. Pure.

Times are microseconds since 1970. The newest observation is the only clock, so the same log gives the same signals.
"""

from dataclasses import dataclass

from signalflow.domain.words import SignalKind, SignalSubject

# Of the rules and of the state. A state of another version cannot be read.
VERSION = 1
# Of one signal.
MOST_POSTS = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation of a post of the subreddit; the fields of `SignalInput`."""

    post_id: str
    created_us: int
    observed_us: int
    is_discovery: bool
    score: int | None
    comments: int | None
    ratio: float | None
    score_velocity: float | None
    is_late: bool
    is_taken_away: bool
    is_backfill: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A signal after an observation changed it; the fields of `Signal`. `started_us` and subject say which it is."""

    kind: SignalKind
    subject_kind: SignalSubject
    subject: str
    started_us: int
    peak_us: int
    ended_us: int | None
    changed_us: int
    strength: float
    observed: float
    expected: float
    post_ids: tuple[str, ...]
    inputs: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class SubredditState:
    """What is known of a subreddit. `reached_us`: the time of the newest observation."""

    reached_us: int


def follow(state: SubredditState | None, subreddit: str, seen: Seen) -> tuple[SubredditState, tuple[Change, ...]]:
    """The state after an observation, and the signals that it changed. `subreddit` is in lower case."""
    reached = max(seen.observed_us, 0 if state is None else state.reached_us)
    return SubredditState(reached), ()


def encode_state(state: SubredditState) -> bytes:
    """The state as bytes, without a version."""
    return state.reached_us.to_bytes(8, "big")


def decode_state(value: bytes) -> SubredditState:
    """The inverse of encode_state."""
    return SubredditState(int.from_bytes(value, "big"))
