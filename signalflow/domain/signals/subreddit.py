"""What is usual in one subreddit, learnt from observations in the order of the log, and the signals against it. Pure.

Times are microseconds since 1970. The newest observation is the only clock, so the same log gives the same signals.
A state is never changed in place.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from signalflow.domain.signals.alarms import MOST_POSTS, Limits, Measure, OpenSignal, begins, goes_on
from signalflow.domain.signals.curve import (
    OwnCurve,
    begin_curve,
    decode_curve,
    encode_curve,
    learn,
)
from signalflow.domain.signals.posts import (
    RULES,
    ObservedScore,
    PostChange,
    PostSignals,
    end_old,
    end_taken_away,
    judge,
    post_signal_parts,
    post_signals_of,
)
from signalflow.domain.signals.tails import count_sigmas
from signalflow.domain.signals.volume import (
    MINUTE_US,
    QUARTER_US,
    VOLUME_SIZE,
    WINDOW_MINUTES,
    Volume,
    advance,
    begin_volume,
    count_post,
    decode_volume,
    encode_volume,
    is_in_window,
    usual,
)
from signalflow.domain.words import SignalKind, SignalSubject

# Of the rules and of the state. A state of another version cannot be read.
VERSION = 1
# A chance of 1e-4 that a usual quarter of an hour has so many posts. 115 subreddits are judged in a minute, so the
# chance that one of them is wrong is at most 0.012. It bounds the false discovery rate of the minute too.
VOLUME_LIMITS = Limits(begin=3.72, end=2.0)
VOLUME_INPUTS = ("mean", "variance", "quarters_known")
# Three posts in a quarter of an hour are no event, however quiet the subreddit is.
LEAST_POSTS = 4
# Nothing is said about a subreddit's posts before a day of its quarters was learnt.
LEAST_QUARTERS = 96
# After a signal about its posts a subreddit gives no other one for so long.
COOL_DOWN_US = 30 * MINUTE_US
SECOND_US = 1_000_000


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
    """What is known of a subreddit. `reached_us`: the time of the newest observation.

    `newest`: id and time of creation of the posts counted last. `quiet_until_us`: until when the cool-down lasts.
    """

    reached_us: int
    volume: Volume
    curve: OwnCurve
    newest: tuple[tuple[str, int], ...] = ()
    quiet_until_us: int = 0
    busy: OpenSignal | None = None
    posts: PostSignals = field(default_factory=PostSignals)


def follow(state: SubredditState | None, subreddit: str, seen: Seen) -> tuple[SubredditState, tuple[Change, ...]]:
    """The state after an observation, and the signals that it changed. `subreddit` is in lower case."""
    if state is None:
        state = SubredditState(seen.observed_us, begin_volume(seen.observed_us), begin_curve())
    reached = max(seen.observed_us, state.reached_us)
    state = replace(state, reached_us=reached, volume=advance(state.volume, reached))
    # A late or backfilled observation tells of the past; it teaches nothing and begins nothing.
    is_new = seen.is_discovery and not (seen.is_late or seen.is_backfill or seen.is_taken_away)
    if is_new and all(id_ != seen.post_id for id_, _ in state.newest):
        newest = sorted((*state.newest, (seen.post_id, seen.created_us)), key=lambda post: post[1])
        state = replace(state, volume=count_post(state.volume, seen.created_us), newest=tuple(newest[-MOST_POSTS:]))
    else:
        is_new = False
    state, changes = _follow_volume(state, subreddit, is_new=is_new)
    state, of_posts = _follow_posts(state, seen)
    return state, (*changes, *of_posts)


def _follow_posts(state: SubredditState, seen: Seen) -> tuple[SubredditState, tuple[Change, ...]]:
    posts, changes = end_old(state.posts, state.reached_us) if state.posts.open else (state.posts, [])
    curve = state.curve
    if seen.is_taken_away:
        posts, ended = end_taken_away(posts, seen.post_id, state.reached_us)
        changes += ended
    elif seen.score is not None and not (seen.is_late or seen.is_backfill or _is_past(state, seen)):
        age = (seen.observed_us - seen.created_us) / SECOND_US
        posts, judged = judge(posts, curve, _observed(seen, seen.score, age), state.reached_us)
        changes += judged
        curve = learn(curve, seen.post_id, seen.score, age, state.reached_us // SECOND_US)
    if posts is not state.posts or curve is not state.curve:
        state = replace(state, posts=posts, curve=curve)
    return state, tuple(_post_change(change, state.reached_us) for change in changes)


def _follow_volume(state: SubredditState, subreddit: str, *, is_new: bool) -> tuple[SubredditState, tuple[Change, ...]]:
    now = state.reached_us
    if state.busy is None:
        may_begin = is_new and state.volume.posts >= LEAST_POSTS and state.volume.learnt >= LEAST_QUARTERS
        if not may_begin or now < state.quiet_until_us:
            return state, ()
        busy = begins(volume_measure(state), VOLUME_LIMITS, now)
        if busy is None:
            return state, ()
        return replace(state, busy=busy), (_busy_change(busy, subreddit, None, now),)
    before = state.busy
    busy, is_told = goes_on(before, volume_measure(state), VOLUME_LIMITS, now)
    if busy is not None:
        return replace(state, busy=busy), (_busy_change(busy, subreddit, None, now),) if is_told else ()
    # The window was empty at the latest a quarter of an hour after the last moment that is known to be unusual.
    ended = min(now, before.active_us + QUARTER_US)
    state = replace(state, busy=None, quiet_until_us=ended + COOL_DOWN_US)
    return state, (_busy_change(before, subreddit, ended, now),)


def volume_measure(state: SubredditState) -> Measure:
    """How far the posts of the last 15 minutes are above what is usual."""
    posts = state.volume.posts
    expected = usual(state.volume, state.volume.minute - WINDOW_MINUTES // 2)
    return Measure(
        strength=count_sigmas(posts, expected.mean, expected.variance),
        observed=float(posts),
        expected=expected.mean,
        inputs=(expected.mean, expected.variance, float(state.volume.learnt)),
        post_ids=tuple(id_ for id_, created_us in state.newest if is_in_window(state.volume, created_us)),
    )


def _busy_change(signal: OpenSignal, subreddit: str, ended_us: int | None, now_us: int) -> Change:
    return _change("unusual_here", "subreddit", subreddit, VOLUME_INPUTS, signal, ended_us, now_us)


def _is_past(state: SubredditState, seen: Seen) -> bool:
    """Whether an observation is far behind the newest one: what it shows is not what happens now."""
    return seen.observed_us < state.reached_us - QUARTER_US


def _observed(seen: Seen, score: int, age: float) -> ObservedScore:
    return ObservedScore(seen.post_id, seen.created_us, age, score, seen.score_velocity)


def _post_change(change: PostChange, now_us: int) -> Change:
    post = change.post
    return _change(post.kind, "post", post.post_id, RULES[post.kind].names, post.signal, change.ended_us, now_us)


def _change(
    kind: SignalKind,
    subject_kind: SignalSubject,
    subject: str,
    names: tuple[str, ...],
    signal: OpenSignal,
    ended_us: int | None,
    now_us: int,
) -> Change:
    told = signal.told
    return Change(
        kind=kind,
        subject_kind=subject_kind,
        subject=subject,
        started_us=signal.started_us,
        peak_us=signal.peak_us,
        ended_us=ended_us,
        changed_us=now_us,
        strength=told.strength,
        observed=told.observed,
        expected=told.expected,
        post_ids=told.post_ids,
        inputs=dict(zip(names, told.inputs, strict=True)),
    )


def encode_state(state: SubredditState) -> bytes:
    """The state as bytes, without a version: about 1.4 kB while no signal goes on, at most 3.5 kB."""
    rest = (
        state.reached_us,
        state.quiet_until_us,
        encode_curve(state.curve),
        state.newest,
        state.busy and _signal_parts(state.busy),
        post_signal_parts(state.posts, _signal_parts),
    )
    return encode_volume(state.volume) + msgspec.msgpack.encode(rest)


def decode_state(value: bytes) -> SubredditState:
    """The inverse of encode_state."""
    reached_us, quiet_until_us, curve, newest, busy, posts = msgspec.msgpack.decode(value[VOLUME_SIZE:])
    return SubredditState(
        reached_us=reached_us,
        volume=decode_volume(value[:VOLUME_SIZE]),
        curve=decode_curve(curve),
        newest=tuple((id_, created_us) for id_, created_us in newest),
        quiet_until_us=quiet_until_us,
        busy=None if busy is None else _signal_of(busy),
        posts=post_signals_of(posts, _signal_of),
    )


def _signal_parts(signal: OpenSignal) -> tuple[object, ...]:
    told = signal.told
    return (
        signal.started_us,
        signal.peak_us,
        signal.active_us,
        signal.tellings,
        told.strength,
        told.observed,
        told.expected,
        told.inputs,
        told.post_ids,
    )


def _signal_of(parts: list[Any]) -> OpenSignal:
    started_us, peak_us, active_us, tellings, strength, observed, expected, inputs, post_ids = parts
    told = Measure(strength, observed, expected, tuple(inputs), tuple(post_ids))
    return OpenSignal(started_us, peak_us, active_us, tellings, told)
