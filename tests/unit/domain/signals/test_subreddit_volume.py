"""When the number of a subreddit's posts is told as unusual."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from signalflow.domain.signals.subreddit import (
    Seen,
    SubredditState,
    decode_state,
    encode_state,
    follow,
)
from signalflow.domain.signals.tails import count_sigmas
from tests.unit.domain.signals.observed import (
    ARCHIVED,
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    SECOND,
    discovered,
    followed,
    observed,
)


def posts(start: int, end: int, per_minute: float, seed: int = 1) -> Iterator[Seen]:
    """Discoveries at random times, as many in each hour."""
    rng = Random(seed)
    at = start
    while (at := at + int(rng.expovariate(per_minute) * MINUTE)) < end:
        yield discovered(f"{at // 1000:x}", at)


@pytest.fixture(scope="module")
def calm() -> SubredditState:
    """A subreddit with three posts in ten minutes, after three days."""
    state, changes = followed(posts(MONDAY, MONDAY + 3 * DAY, 0.3))
    assert changes == []
    return state


NOON = MONDAY + 3 * DAY + 12 * HOUR


def test_many_posts_in_a_quarter_of_an_hour_begin_one_signal_which_grows_and_ends(calm: SubredditState) -> None:
    state, _ = followed(posts(MONDAY + 3 * DAY, NOON, 0.3), calm)
    state, changes = followed(posts(NOON, NOON + 20 * MINUTE, 3.0), state)

    assert {change.started_us for change in changes} == {changes[0].started_us}
    first, last = changes[0], changes[-1]
    assert NOON < first.started_us < NOON + 10 * MINUTE
    assert (first.kind, first.subject_kind, first.subject) == ("unusual_here", "subreddit", "pics")
    assert (first.ended_us, first.changed_us, first.peak_us) == (None, first.started_us, first.started_us)
    assert 3.72 <= first.strength < last.strength
    assert last.observed > 3 * last.expected
    assert 2 < len(changes) <= 12
    assert all(later.strength >= 1.1 * one.strength for one, later in pairwise(changes))

    _, changes = followed(posts(NOON + 20 * MINUTE, NOON + 60 * MINUTE, 0.3), state)
    (end,) = changes
    assert end.ended_us is not None
    assert NOON + 20 * MINUTE < end.ended_us < NOON + 40 * MINUTE
    assert replace(end, ended_us=None, changed_us=last.changed_us) == last


def test_strength_can_be_computed_again_from_the_inputs(calm: SubredditState) -> None:
    _, changes = followed(posts(NOON, NOON + 20 * MINUTE, 3.0), calm)
    for change in changes:
        mean, variance = change.inputs["mean"], change.inputs["variance"]
        assert mean is not None
        assert variance is not None
        assert change.expected == mean
        assert change.strength == count_sigmas(int(change.observed), mean, variance)
        assert change.inputs["quarters_known"] >= 96  # type: ignore[operator]


def test_the_posts_behind_it_are_the_newest_of_the_window(calm: SubredditState) -> None:
    seen = list(posts(NOON, NOON + 20 * MINUTE, 3.0))
    _, changes = followed(seen, calm)
    for change in changes:
        window = [
            one.post_id
            for one in seen
            if change.peak_us // MINUTE - 15 < one.created_us // MINUTE and one.observed_us <= change.peak_us
        ]
        assert change.post_ids == tuple(window[-20:])


def test_after_an_end_there_is_no_other_signal_for_half_an_hour(calm: SubredditState) -> None:
    def burst(start: int) -> list[Seen]:
        return list(posts(start, start + 5 * MINUTE, 6.0, seed=start))

    soon = [*burst(NOON), *burst(NOON + 40 * MINUTE)]
    later = [*burst(NOON), *burst(NOON + 70 * MINUTE)]
    assert len({change.started_us for change in followed(soon, calm)[1]}) == 1
    assert len({change.started_us for change in followed(later, calm)[1]}) == 2


@pytest.mark.parametrize("fields", [{"is_late": True}, ARCHIVED, {"is_taken_away": True}])
def test_what_is_late_archived_or_taken_away_never_counts(calm: SubredditState, fields: dict[str, bool]) -> None:
    seen = [replace(one, **fields) for one in posts(NOON, NOON + 20 * MINUTE, 3.0)]  # type: ignore[arg-type]
    state, changes = followed(seen, calm)
    assert changes == []
    assert state.volume.posts == 0


def test_a_discovery_that_comes_again_counts_once(calm: SubredditState) -> None:
    seen = [discovered("same", NOON + number * SECOND, age=number * SECOND) for number in range(30)]
    state, changes = followed(seen, calm)
    assert (state.volume.posts, changes) == (1, [])


def test_posts_of_an_outage_are_no_burst_when_they_are_found(calm: SubredditState) -> None:
    """Two hours of an outage: all their posts are found within seconds, the newest first."""
    back = MONDAY + 3 * DAY + 2 * HOUR
    missed = list(posts(MONDAY + 3 * DAY, back, 0.3))
    found = [replace(one, observed_us=back + number * SECOND) for number, one in enumerate(reversed(missed))]
    state, changes = followed(found, calm)
    assert changes == []

    # They count in the quarters in which they were made, so the outage teaches no quiet either.
    _, begun = followed(posts(back + MINUTE, back + 9 * HOUR, 0.3, seed=5), state)
    assert begun == []
    counted = [count for count in state.volume.quarters if count is not None]
    assert sum(counted[-9:]) == pytest.approx(len(missed), abs=3)


def test_a_subreddit_with_one_post_a_day_is_not_unusual_with_three_but_with_eight() -> None:
    seen = [discovered(f"d{day}", MONDAY + day * DAY + 9 * HOUR) for day in range(40)]
    # Its posts are refreshed, so hours without a post are known to be quiet.
    seen += [
        observed(f"d{day}", MONDAY + day * DAY + hour * HOUR + 1, age=hour * HOUR)
        for day in range(40)
        for hour in range(10, 33)
    ]
    state, changes = followed(sorted(seen, key=lambda one: one.observed_us))
    assert changes == []

    now = MONDAY + 41 * DAY + 3 * HOUR
    three = [discovered(f"n{number}", now + number * MINUTE) for number in range(3)]
    state, changes = followed(three, state)
    assert changes == []
    more = [discovered(f"m{number}", now + (3 + number) * MINUTE) for number in range(5)]
    _, changes = followed(more, state)
    assert changes[-1].observed >= 7


@pytest.mark.slow
def test_a_subreddit_with_one_post_a_second_stays_within_its_bounds() -> None:
    state, changes = followed(posts(MONDAY, MONDAY + 30 * HOUR + 30 * MINUTE, 60.0))
    assert changes == []
    before = len(encode_state(state))

    start = MONDAY + 30 * HOUR + 30 * MINUTE
    state, changes = followed(posts(start, start + 10 * MINUTE, 180.0), state)
    assert changes[0].expected > 300
    assert len(encode_state(state)) - before < 1_500


def test_a_state_that_was_stored_after_each_observation_gives_the_same_signals(calm: SubredditState) -> None:
    seen = [*posts(NOON, NOON + 20 * MINUTE, 3.0), *posts(NOON + 20 * MINUTE, NOON + 9 * HOUR, 0.3)]
    expected_state, expected = followed(seen, calm)

    state, changes = calm, []
    for one in seen:
        value = encode_state(state)
        assert len(value) <= 3_000
        assert encode_state(decode_state(value)) == value
        state, new = follow(decode_state(value), "pics", one)
        changes.extend(new)
    assert changes == expected
    assert state == expected_state


def test_a_state_is_not_changed_in_place(calm: SubredditState) -> None:
    before = encode_state(calm)
    followed(posts(NOON, NOON + 9 * HOUR, 3.0), calm)
    assert encode_state(calm) == before
