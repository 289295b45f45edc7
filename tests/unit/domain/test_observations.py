"""Velocity from the ring of observations: the numbers of the log, whatever was repeated or reordered."""

from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.observations import (
    MOST_KEPT,
    RING_SIZE,
    UNKNOWN,
    Observation,
    PostState,
    Velocity,
    expired,
    merge,
    observe,
    velocity,
)
from tables.post_state import decode_state, encode_state

SECOND = 1_000_000
WINDOW = 300 * SECOND
observations = st.builds(
    Observation, st.integers(0, 40).map(lambda n: n * 30 * SECOND), st.integers(-100, 100_000), st.integers(0, 5_000)
)


def observe_all(log: list[Observation], state: PostState | None = None) -> tuple[PostState | None, list[Velocity]]:
    velocities = []
    for observation in log:
        step = observe(state, 0, observation, WINDOW)
        state = step.state
        velocities.append(step.velocity)
    return state, velocities


def test_velocity_is_the_difference_to_the_observation_before_per_second() -> None:
    _, velocities = observe_all([Observation(0, 10, 1), Observation(60 * SECOND, 70, 4)])
    assert velocities == [UNKNOWN, Velocity(1.0, 0.05)]


def test_a_distance_below_a_second_counts_as_a_second() -> None:
    assert velocity(Observation(0, 10, 0), Observation(SECOND // 10, 15, 1)) == Velocity(5.0, 1.0)


def test_a_redelivered_observation_keeps_its_velocity() -> None:
    log = [Observation(n * 60 * SECOND, n * n, n) for n in range(RING_SIZE)]
    state, first = observe_all(log)
    _, again = observe_all(log, state)
    assert again == first


def test_a_late_observation_has_no_velocity_and_leaves_the_ring_alone() -> None:
    state, _ = observe_all([Observation(100 * SECOND, 10, 0), Observation(200 * SECOND, 20, 0)])
    step = observe(state, 0, Observation(150 * SECOND, 15, 0), WINDOW)
    assert step.late
    assert step.velocity == UNKNOWN
    assert state is not None
    assert step.state.ring == state.ring


def test_an_observation_older_than_the_first_moves_first_seen() -> None:
    state, _ = observe_all([Observation(100 * SECOND, 10, 0)])
    step = observe(state, 0, Observation(50 * SECOND, 5, 0), WINDOW)
    assert step.late
    assert step.state.first_seen_us == 50 * SECOND


@given(st.lists(observations, min_size=1, max_size=30))
def test_the_ring_is_ordered_bounded_and_holds_each_moment_once(log: list[Observation]) -> None:
    state, _ = observe_all(log)
    assert state is not None
    times = [observation.observed_us for observation in state.ring]
    assert times == sorted(set(times))
    assert 1 <= len(times) <= MOST_KEPT
    assert state.first_seen_us == min(observation.observed_us for observation in log)


@given(st.lists(observations, min_size=1, max_size=12), st.data())
def test_redelivery_of_what_the_ring_covers_changes_nothing(log: list[Observation], data: st.DataObject) -> None:
    state, _ = observe_all(log)
    assert state is not None
    for observation in data.draw(st.permutations(state.ring)):
        assert observe(state, 0, observation, WINDOW).state == state


states = st.lists(observations, min_size=1, max_size=12).map(lambda log: observe_all(log)[0])


@given(states, states, states)
def test_merging_is_commutative_associative_and_idempotent(one: PostState, two: PostState, three: PostState) -> None:
    assert merge(one, two, WINDOW) == merge(two, one, WINDOW)
    assert merge(merge(one, two, WINDOW), three, WINDOW) == merge(one, merge(two, three, WINDOW), WINDOW)
    assert merge(one, one, WINDOW) == one
    assert merge(merge(one, two, WINDOW), two, WINDOW) == merge(one, two, WINDOW)


@given(st.lists(observations, min_size=2, max_size=20), st.data())
def test_an_older_state_written_late_undoes_nothing(log: list[Observation], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(log) - 1))
    older, _ = observe_all(log[:cut])
    newer, _ = observe_all(log)
    assert older is not None
    assert newer is not None
    merged = merge(newer, older, WINDOW)
    assert set(newer.ring[-1:]) <= set(merged.ring)
    assert merged.first_seen_us == newer.first_seen_us


@given(states)
def test_states_survive_encoding(state: PostState) -> None:
    encoded = encode_state(state)
    assert decode_state(encoded) == state
    assert len(encoded) <= 257


def test_a_state_expires_48_hours_after_the_creation_of_its_post() -> None:
    hours = 3_600 * SECOND
    assert not expired(0, 48 * hours - 1, 48 * hours)
    assert expired(0, 48 * hours, 48 * hours)


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_two_states_of_a_post_keep_the_earlier_creation_and_the_earlier_first_look(one: int, other: int) -> None:
    """Creation and first look are told apart: each comes from either state."""
    first = PostState(one, other + 5 * SECOND, (Observation(10 * SECOND, 1, 0),))
    second = PostState(other, one + 5 * SECOND, (Observation(20 * SECOND, 2, 0),))
    for merged in (merge(first, second, WINDOW), merge(second, first, WINDOW)):
        assert (merged.created_us, merged.first_seen_us) == (min(one, other), min(one, other) + 5 * SECOND)
        assert merged.ring == (*first.ring, *second.ring)


def test_merged_states_keep_the_newest_observations_of_both() -> None:
    even, odd = (
        PostState(0, 0, tuple(Observation(n * SECOND, n, 0) for n in range(first, 2 * RING_SIZE, 2)))
        for first in (0, 1)
    )
    assert [each.score for each in merge(even, odd, WINDOW).ring] == [0, *range(RING_SIZE, 2 * RING_SIZE)]


def test_the_first_observation_begins_the_state() -> None:
    first = Observation(100 * SECOND, 10, 3)
    step = observe(None, 40 * SECOND, first, WINDOW)
    assert step.state == PostState(40 * SECOND, 100 * SECOND, (first,))
    assert (step.velocity, step.late) == (UNKNOWN, False)


def test_later_observations_leave_creation_and_first_look_as_they_are() -> None:
    state = PostState(40 * SECOND, 50 * SECOND, (Observation(100 * SECOND, 10, 3),))
    for at, is_late in ((160, False), (160, False), (130, True)):
        step = observe(state, 99 * SECOND, Observation(at * SECOND, 70, 9), WINDOW)
        assert (step.state.created_us, step.state.first_seen_us, step.late) == (40 * SECOND, 50 * SECOND, is_late)
        state = step.state
    assert [each.observed_us for each in state.ring] == [100 * SECOND, 160 * SECOND]


def test_beyond_the_newest_the_ring_keeps_the_first_observation_of_each_minute() -> None:
    log = [Observation(n * 25 * SECOND, n, 0) for n in range(20)]
    state, _ = observe_all(log)
    assert state is not None
    # The newest eight begin at 300 s. They need what is at least 300 s older, and the first of the minutes between.
    minutes = [0, 75, 125, 200, 250]
    assert [each.observed_us // SECOND for each in state.ring] == [*minutes, *range(300, 500, 25)]
    for forgotten in (log[0], log[1], log[3]):
        step = observe(state, 0, forgotten, WINDOW)
        assert (step.late, step.velocity, step.trend_velocity) == (True, UNKNOWN, None)


def test_the_ring_forgets_what_nothing_is_compared_with_any_more() -> None:
    log = [Observation(n * 300 * SECOND, n, 0) for n in range(RING_SIZE + 3)]
    state, _ = observe_all(log)
    assert state is not None
    assert state.ring == tuple(log[2:])


def test_a_redelivered_observation_is_compared_with_the_one_right_before_it() -> None:
    state, _ = observe_all([Observation(n * 60 * SECOND, score, n) for n, score in enumerate([0, 60, 300, 300])])
    step = observe(state, 0, Observation(120 * SECOND, 300, 2), WINDOW)
    assert step.velocity == Velocity(4.0, 1 / 60)
    assert (step.state, step.late) == (state, False)
    assert observe(state, 0, Observation(0, 0, 0), WINDOW).velocity == UNKNOWN


def test_a_distance_of_a_second_or_more_is_divided_by_as_it_is() -> None:
    assert velocity(Observation(0, 10, 4), Observation(SECOND, 15, 2)) == Velocity(5.0, -2.0)
    assert velocity(Observation(0, 10, 4), Observation(1_500_000, 16, 7)) == Velocity(4.0, 2.0)
    assert velocity(None, Observation(0, 10, 4)) == UNKNOWN


def test_a_state_expires_by_the_creation_of_its_post() -> None:
    assert not expired(10, 109, 100)
    assert expired(10, 110, 100)
    assert expired(10, 111, 100)
