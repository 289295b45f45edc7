"""What is usual in one subreddit, learnt from observations in the order of the log, and the signals against it. Pure.

Times are microseconds since 1970. The newest observation is the only clock, so the same log gives the same signals.
A state is never changed in place.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from signalflow.domain.signals.alarms import MOST_POSTS, Limits, Measure, OpenSignal, begins, goes_on
from signalflow.domain.signals.curve import (
    OLD_AT_FIRST,
    OwnCurve,
    begin_curve,
    decode_curve,
    encode_curve,
    learn,
    learn_before,
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
    LEAST_QUARTERS,
    MINUTE_US,
    QUARTER_US,
    SECOND_US,
    VOLUME_SIZES,
    WINDOW_MINUTES,
    Volume,
    advance,
    begin_look_back,
    begin_volume,
    count_before,
    count_post,
    decode_volume,
    encode_volume,
    is_before,
    is_in_window,
    usual,
)
from signalflow.domain.words import ObservationMode, SignalKind, SignalSubject

# Of the rules and of the state. A state of an older version is read and goes on by the rules of this one.
VERSION = 2
OLDEST_VERSION = 1
# A chance of 1e-4 that a usual quarter of an hour has so many posts. 115 subreddits are judged in a minute, so the
# chance that one of them is wrong is at most 0.012. It bounds the false discovery rate of the minute too.
VOLUME_LIMITS = Limits(begin=3.72, end=2.0)
VOLUME_INPUTS = ("mean", "variance", "quarters_known")
# Three posts in a quarter of an hour are no event, however quiet the subreddit is.
LEAST_POSTS = 4
# Posts of the look back come in any order, page by page. Until none has come for so long they are not all counted.
LOOK_BACK_SECONDS = 30
# After a signal about its posts a subreddit gives no other one for so long.
COOL_DOWN_US = 30 * MINUTE_US
# What polling finds is published within seconds. After a longer wait it is taken for an archive.
MOST_WAIT_US = 10 * MINUTE_US


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation of a post of the subreddit; the fields of `SignalInput`.

    `is_listed`: it comes from a listing that was read from the newest post downwards, and was made when it was
    published. `is_backfill`: its post is no news; such an observation that is not listed is of an archive.
    """

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
    is_listed: bool


def is_listed(mode: ObservationMode, waited_us: int) -> bool:
    """`Seen.is_listed` of an observation that the brokers got so long after it was made.

    The first look back is marked as archives are (`backfill`), whose observations were made long before they came.
    """
    return mode == "new" or (mode == "backfill" and waited_us <= MOST_WAIT_US)


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
    volume = advance(state.volume, reached)
    is_archived = seen.is_backfill and not seen.is_listed
    if not is_archived:
        volume = begin_look_back(volume, seen.observed_us)
    # A late or archived observation tells of the past; it teaches nothing and begins nothing.
    is_counted = (
        seen.is_discovery
        and not (seen.is_late or is_archived or seen.is_taken_away)
        and (seen.is_listed or not is_before(volume, seen.created_us))
        and all(id_ != seen.post_id for id_, _ in state.newest)
    )
    state = replace(state, reached_us=reached, volume=volume)
    if is_counted:
        state = _count(state, seen)
    state, changes = _follow_volume(state, subreddit, is_new=is_counted and not seen.is_backfill)
    state, of_posts = _follow_posts(state, seen)
    return state, (*changes, *of_posts)


def _count(state: SubredditState, seen: Seen) -> SubredditState:
    if is_before(state.volume, seen.created_us):
        volume = count_before(state.volume, seen.created_us, seen.observed_us)
    else:
        volume = count_post(state.volume, seen.created_us)
    newest = sorted((*state.newest, (seen.post_id, seen.created_us)), key=lambda post: post[1])
    return replace(state, volume=volume, newest=tuple(newest[-MOST_POSTS:]))


def _follow_posts(state: SubredditState, seen: Seen) -> tuple[SubredditState, tuple[Change, ...]]:
    posts, changes = end_old(state.posts, state.reached_us) if state.posts.open else (state.posts, [])
    curve = state.curve
    age = (seen.observed_us - seen.created_us) / SECOND_US
    if seen.is_taken_away:
        posts, ended = end_taken_away(posts, seen.post_id, state.reached_us)
        changes += ended
    elif seen.score is None or seen.is_late or _is_past(state, seen):
        pass
    elif _was_old_at_first(state, seen):
        # It is no news, so no signal of it began. Its first observation tells what its subreddit's posts have.
        if seen.is_discovery and seen.is_listed:
            curve = learn_before(curve, seen.score, age)
    elif not seen.is_backfill:
        posts, judged = judge(posts, curve, _observed(seen, seen.score, age), state.reached_us)
        changes += judged
        curve = learn(curve, seen.post_id, seen.score, age, state.reached_us // SECOND_US)
    if posts is not state.posts or curve is not state.curve:
        state = replace(state, posts=posts, curve=curve)
    return state, tuple(_post_change(change, state.reached_us) for change in changes)


def _follow_volume(state: SubredditState, subreddit: str, *, is_new: bool) -> tuple[SubredditState, tuple[Change, ...]]:
    now = state.reached_us
    if state.busy is None:
        if not (is_new and _may_begin(state)):
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


def _may_begin(state: SubredditState) -> bool:
    volume = state.volume
    return (
        volume.posts >= LEAST_POSTS
        and volume.quarters_known >= LEAST_QUARTERS
        and state.reached_us >= (volume.back.read + LOOK_BACK_SECONDS) * SECOND_US
        and state.reached_us >= state.quiet_until_us
    )


def volume_measure(state: SubredditState) -> Measure:
    """How far the posts of the last 15 minutes are above what is usual."""
    posts = state.volume.posts
    expected = usual(state.volume, state.volume.minute - WINDOW_MINUTES // 2)
    return Measure(
        strength=count_sigmas(posts, expected.mean, expected.variance),
        observed=float(posts),
        expected=expected.mean,
        inputs=(expected.mean, expected.variance, state.volume.quarters_known),
        post_ids=tuple(id_ for id_, created_us in state.newest if is_in_window(state.volume, created_us)),
    )


def _busy_change(signal: OpenSignal, subreddit: str, ended_us: int | None, now_us: int) -> Change:
    return _change("unusual_here", "subreddit", subreddit, VOLUME_INPUTS, signal, ended_us, now_us)


def _is_past(state: SubredditState, seen: Seen) -> bool:
    """Whether an observation is far behind the newest one: what it shows is not what happens now."""
    return seen.observed_us < state.reached_us - QUARTER_US


def _was_old_at_first(state: SubredditState, seen: Seen) -> bool:
    """Whether the post was past the first age to learn from when its subreddit was first observed."""
    return seen.created_us < state.volume.back.began * MINUTE_US - OLD_AT_FIRST * SECOND_US


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
    """The state as bytes of version VERSION, without it: about 1.4 kB while no signal goes on, at most 3.5 kB."""
    rest = (
        state.reached_us,
        state.quiet_until_us,
        encode_curve(state.curve),
        state.newest,
        state.busy and _signal_parts(state.busy),
        post_signal_parts(state.posts, _signal_parts),
    )
    return encode_volume(state.volume) + msgspec.msgpack.encode(rest)


def decode_state(value: bytes, version: int = VERSION) -> SubredditState:
    """The inverse of encode_state, for each version from OLDEST_VERSION on."""
    size = VOLUME_SIZES[version]
    reached_us, quiet_until_us, curve, newest, busy, posts = msgspec.msgpack.decode(value[size:])
    return SubredditState(
        reached_us=reached_us,
        volume=decode_volume(value[:size], version),
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
