"""The bursts of all terms in one partition of a log. Pure: state and mention in, states and changes out.

A term that falls silent has no mention that would end its burst. So the time of the whole partition does: the first
record whose observation is late enough ends it, whichever term that record mentions.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from signalflow.domain.signals.bursts import Change, Mention, TermState, ends_us, expired, moved, step


class Watch(NamedTuple):
    """What is known of all terms of a partition together. Times are microseconds since 1970.

    `since_us`: the observation of the first record. `now_us`: the newest observation, the log time. `ends_us`: when
    each burst that goes on ends if its term falls silent; it is later than the log time.
    """

    since_us: int
    now_us: int
    ends_us: Mapping[str, int]


class Counted(NamedTuple):
    """What a mention changes: the watch, the states of terms, and bursts, each with its term, in order."""

    watch: Watch
    states: Mapping[str, TermState]
    changes: tuple[tuple[str, Change], ...]


def _never(term: str) -> bool:
    return False


def count(
    watch: Watch | None,
    term: str,
    mention: Mention,
    state_of: Callable[[str], TermState | None],
    includes: Callable[[str], bool] = _never,
) -> Counted:
    """Count a mention of a term. `watch`: None before the first record. `state_of`: what is known of a term.

    `includes`: whether what is known of a term includes this mention already, although the watch does not. Its changes
    were told then. A state that has expired by the log time counts as none, whether it is still there or not.
    """
    since_us, before_us, ends = (mention.observed_us, 0, {}) if watch is None else (watch.since_us, *watch[1:])
    now_us, ends = max(before_us, mention.observed_us), dict(ends)
    states: dict[str, TermState] = {}
    changes: list[tuple[str, Change]] = []
    for _, silent in sorted([(at, each) for each, at in ends.items() if at <= now_us]):
        del ends[silent]
        state = state_of(silent)
        if state is not None and not includes(silent):
            states[silent], ended = moved(state, now_us)
            changes += ((silent, change) for change in ended)
    state = states.get(term) or state_of(term)
    if not includes(term):
        if state is not None and expired(state, now_us):
            state = None
        state, changed = step(state, mention, since_us)
        changes += ((term, change) for change in changed)
        if state is not None:
            states[term] = state
    end_us = None if state is None else ends_us(state)
    if end_us is not None:
        ends[term] = end_us
    return Counted(Watch(since_us, now_us, ends), states, tuple(changes))
