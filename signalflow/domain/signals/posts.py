"""Signals about single posts of a subreddit: those that will be among its best, and those far above the usual. Pure."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from zlib import crc32

from signalflow.domain.signals.alarms import Limits, Measure, OpenSignal, begins, goes_on
from signalflow.domain.signals.curve import OwnCurve, log_score, score_of
from signalflow.domain.signals.forecast import forecast
from signalflow.domain.signals.priors import shipped

PostSignalKind = Literal["viral", "unusual_here"]
# Posts are judged from half a minute on, when the first votes have come, to half a day.
YOUNGEST, OLDEST = 30.0, 43_200.0
# Nothing is said of a subreddit before so many of its posts were seen at the age of two hours or more.
LEAST_KNOWN = 30
# A post with fewer points is no event, however quiet the subreddit is.
LEAST_SCORE = 20
# Below this normal score, in the subreddit's own units, neither rule can begin a signal.
LEAST_NORMAL = 1.2
# Signals that go on at once in a subreddit. One more ends the oldest.
MOST_OPEN = 5
# Signals that were given about posts which are still judged. When there are so many, no other begins: a signal that was
# given must not come again, and a subreddit with a hundred a day would tell nothing.
MOST_GIVEN = 40
_SECOND_US = 1_000_000
_GIVEN = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class ObservedScore:
    """The score of a post at an age in seconds, and its velocity in points per second, None where it is unknown."""

    post_id: str
    created_us: int
    age: float
    score: int
    velocity: float | None


@dataclass(frozen=True, slots=True)
class OpenPost:
    """A signal about a post that goes on."""

    kind: PostSignalKind
    post_id: str
    created_us: int
    signal: OpenSignal


@dataclass(frozen=True, slots=True)
class PostSignals:
    """`given`: a hash of kind and post of each signal that began, and the second from which it is not judged again."""

    open: tuple[OpenPost, ...] = ()
    given: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PostChange:
    """A signal that began, grew, or ended."""

    post: OpenPost
    ended_us: int | None


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of signal is measured; `names` are those of the inputs.

    `ends_when_reached`: it ends when the post has what was expected, because nothing is left to be foretold.
    """

    limits: Limits
    ends_when_reached: bool
    names: tuple[str, ...]
    measure: Callable[[OwnCurve, ObservedScore], Measure]


def _measure_unusual(own: OwnCurve, seen: ObservedScore) -> Measure:
    curve = shipped().curve
    level, spread = own.level_and_spread(seen.age)
    value = log_score(seen.score)
    strength = _normal_here(own, seen)
    usual = curve.log_score_of(level, seen.age)
    deviation = (value - usual) / strength if strength else 0.0
    inputs = (seen.age, usual, deviation, level, spread, float(own.posts[0]))
    return Measure(strength, float(seen.score), score_of(usual), inputs, (seen.post_id,))


def _measure_viral(own: OwnCurve, seen: ObservedScore) -> Measure:
    found = forecast(own, seen.score, seen.velocity, seen.age)
    inputs = (
        seen.age,
        float(own.posts[0]),
        found.median,
        found.low,
        found.high,
        found.log_odds_base,
        found.log_odds_score,
        found.log_odds_velocity,
    )
    return Measure(found.probability, float(seen.score), found.target, inputs, (seen.post_id,))


RULES: Mapping[PostSignalKind, Rule] = {
    "viral": Rule(
        Limits(begin=0.8, end=0.4),
        True,
        (
            "age_seconds",
            "posts_known",
            "forecast_median",
            "forecast_low",
            "forecast_high",
            "log_odds_base",
            "log_odds_score",
            "log_odds_velocity",
        ),
        _measure_viral,
    ),
    "unusual_here": Rule(
        Limits(begin=3.1, end=2.6),
        False,
        ("age_seconds", "log_mean", "log_sd", "level", "spread", "posts_known"),
        _measure_unusual,
    ),
}


def end_old(signals: PostSignals, now_us: int) -> tuple[PostSignals, list[PostChange]]:
    """End the signals of posts that are too old to be judged."""
    limit = now_us - int(OLDEST * _SECOND_US)
    old = [post for post in signals.open if post.created_us < limit]
    if not old:
        return signals, []
    kept = tuple(post for post in signals.open if post.created_us >= limit)
    ended = [PostChange(post, post.created_us + int(OLDEST * _SECOND_US)) for post in old]
    return replace(signals, open=kept), ended


def end_taken_away(signals: PostSignals, post_id: str, now_us: int) -> tuple[PostSignals, list[PostChange]]:
    """End the signals of a post that others no longer see."""
    ended = [PostChange(post, now_us) for post in signals.open if post.post_id == post_id]
    return replace(signals, open=tuple(post for post in signals.open if post.post_id != post_id)), ended


def judge(
    signals: PostSignals, own: OwnCurve, seen: ObservedScore, now_us: int
) -> tuple[PostSignals, list[PostChange]]:
    """What an observation changes in the signals of its post; `now_us` is the time of the log."""
    if not YOUNGEST <= seen.age <= OLDEST or own.posts[0] < LEAST_KNOWN:
        return signals, []
    is_low = seen.score < LEAST_SCORE or _normal_here(own, seen) < LEAST_NORMAL
    if is_low and all(post.post_id != seen.post_id for post in signals.open):
        return signals, []
    changes: list[PostChange] = []
    for kind, rule in RULES.items():
        measure = rule.measure(own, seen)
        before = next((post for post in signals.open if post.kind == kind and post.post_id == seen.post_id), None)
        if before is not None:
            signals, changed = _continued(signals, before, measure, rule, now_us)
        elif is_low:
            continue
        else:
            signals, changed = _begun(signals, kind, seen, measure, rule.limits, now_us)
        changes.extend(changed)
    return signals, changes


def _normal_here(own: OwnCurve, seen: ObservedScore) -> float:
    """The normal score of a post in its subreddit's own units."""
    level, spread = own.level_and_spread(seen.age)
    return (shipped().curve.normal_of(log_score(seen.score), seen.age) - level) / spread


def _continued(
    signals: PostSignals, before: OpenPost, measure: Measure, rule: Rule, now_us: int
) -> tuple[PostSignals, list[PostChange]]:
    signal, is_told = goes_on(before.signal, measure, rule.limits, now_us)
    others = tuple(post for post in signals.open if post is not before)
    if signal is None or (rule.ends_when_reached and measure.observed >= measure.expected):
        return replace(signals, open=others), [PostChange(before, now_us)]
    after = replace(before, signal=signal)
    return replace(signals, open=(*others, after)), [PostChange(after, None)] if is_told else []


def _begun(
    signals: PostSignals,
    kind: PostSignalKind,
    seen: ObservedScore,
    measure: Measure,
    limits: Limits,
    now_us: int,
) -> tuple[PostSignals, list[PostChange]]:
    signal = begins(measure, limits, now_us)
    if signal is None:
        return signals, []
    hashed = crc32(f"{kind} {seen.post_id}".encode())
    given = tuple(entry for entry in signals.given if entry[1] > now_us // _SECOND_US)
    if len(given) >= MOST_GIVEN or any(entry[0] == hashed for entry in given):
        return signals, []
    begun = OpenPost(kind, seen.post_id, seen.created_us, signal)
    still_open, changes = signals.open, [PostChange(begun, None)]
    if len(still_open) >= MOST_OPEN:
        oldest = min(still_open, key=lambda post: post.signal.started_us)
        still_open = tuple(post for post in still_open if post is not oldest)
        changes.insert(0, PostChange(oldest, now_us))
    expires = seen.created_us // _SECOND_US + int(OLDEST) + 1
    return PostSignals((*still_open, begun), (*given, (hashed, expires))), changes


def post_signal_parts(signals: PostSignals, parts_of: Callable[[OpenSignal], tuple[object, ...]]) -> tuple[Any, ...]:
    """What a state stores of them."""
    opened = [
        (list(RULES).index(post.kind), post.post_id, post.created_us, *parts_of(post.signal)) for post in signals.open
    ]
    return opened, b"".join(_GIVEN.pack(*entry) for entry in signals.given)


def post_signals_of(parts: tuple[Any, ...], signal_of: Callable[[list[Any]], OpenSignal]) -> PostSignals:
    """The inverse of post_signal_parts."""
    opened, given = parts
    return PostSignals(
        tuple(
            OpenPost(list(RULES)[kind], post_id, created_us, signal_of(rest))
            for kind, post_id, created_us, *rest in opened
        ),
        tuple((hashed, expires) for hashed, expires in _GIVEN.iter_unpack(given)),
    )
