"""The trend velocity: by its definition, over a window, and never from the noise of votes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.observations import RING_SIZE, Observation, PostState, Step, is_noise, merge, observe
from signalflow.domain.trending import TrendingRule, trending
from signalflow.verify.trend import Trend
from tables.post_state import decode_state, encode_state

SECOND = 1_000_000
WINDOW = 300 * SECOND
HOUR = 3_600 * SECOND
BEGIN = datetime(1970, 1, 1, tzinfo=UTC)


def seen(seconds: float, score: int) -> Observation:
    return Observation(int(seconds * SECOND), score, 0)


def steps(log: list[Observation], created_us: int = 0, state: PostState | None = None) -> list[Step]:
    found = []
    for observation in log:
        found.append(observe(state, created_us, observation, WINDOW))
        state = found[-1].state
    return found


def trends(log: list[Observation], created_us: int = 0) -> list[float | None]:
    return [step.trend_velocity for step in steps(log, created_us)]


def test_it_compares_with_the_newest_first_of_a_minute_that_is_five_minutes_older() -> None:
    log = [seen(1000 + n * 20, 100 * n) for n in range(20)]
    # 1380 - 300 = 1080, which is the first second of a minute: the observation at 1080 is the reference.
    assert trends(log)[-1] == (1900 - 400) / 300
    # At 1360 the newest one that is old enough is at 1060, but the first of its minute came at 1020.
    assert trends(log)[-2] == (1800 - 100) / 340


def test_a_post_that_was_seen_young_is_compared_with_its_first_observation() -> None:
    log = [seen(1010, 1), seen(1020, 11), seen(1070, 61), seen(1309, 599), seen(1310, 601)]
    assert trends(log, 1000 * SECOND) == [None, 1.0, 1.0, 2.0, 2.0]


def test_a_post_that_was_seen_late_in_its_life_has_none_for_five_minutes() -> None:
    log = [seen(10_000 + 60 * n, 1000 * n) for n in range(7)]
    assert trends(log) == [None, None, None, None, None, 5000 / 300, 5000 / 300]
    assert trends(log, 10_000 * SECOND - WINDOW)[1] is None
    assert trends(log, 10_000 * SECOND - WINDOW + 1)[1] == 1000 / 60


def test_it_goes_on_after_a_pause_with_the_newest_that_is_old_enough() -> None:
    assert trends([seen(0, 0), seen(300, 30), seen(4000, 400)]) == [None, 0.1, 370 / 3700]


def test_what_a_ring_of_an_earlier_version_does_not_reach_is_unknown() -> None:
    newest = tuple(seen(10_000 + 10 * n, 1000 * n) for n in range(RING_SIZE))
    state = decode_state(encode_state(PostState(0, 0, newest)))
    found = [step.trend_velocity for step in steps([seen(10_000 + s, 60_000) for s in (80, 290, 300, 310)], 0, state)]
    assert found == [None, None, 60_000 / 300, 60_000 / 310]


@pytest.mark.parametrize(
    ("one", "other", "noise"),
    [
        (0, 2, True),
        (0, 3, False),
        (100, 102, True),
        (100, 103, False),
        (-100, -102, True),
        (98, 100, True),
        (150, 153, True),
        (9_800, 10_000, True),
        (9_799, 10_000, False),
        (10_000, 9_800, True),
        (10_000, 9_799, False),
    ],
)
def test_two_points_or_two_percent_of_the_larger_score_are_noise(one: int, other: int, noise: bool) -> None:
    assert is_noise(one, other) is noise
    expected = 0.0 if noise else (other - one) / 300
    assert trends([seen(0, one), seen(300, other)], -HOUR)[1] == expected


def test_the_post_that_stood_still_and_was_trending() -> None:
    """Refreshes ten seconds apart of 80,000 points, each with up to one percent of noise."""
    scores = [80_000, 80_804, 80_172, 80_342, 79_400, 80_390, 79_210, 80_780] * 12
    log = [seen(40_000 + 10 * n, score) for n, score in enumerate(scores)]
    found = steps(log)
    assert max(step.velocity.score or 0 for step in found) > TrendingRule().velocity_high
    assert {step.trend_velocity for step in found} == {None, 0.0}


rhythm = st.lists(st.integers(1, 200), min_size=1, max_size=60)


@given(rhythm, st.integers(0, 200_000), st.data(), st.integers(0, 2 * 3600))
def test_a_flat_post_never_trends(gaps: list[int], score: int, data: st.DataObject, age: int) -> None:
    """Answers differ by noise alone, at any age, at any distance, with every other condition of the rule met."""
    noise = max(1, score // 100)
    at, state = 100_000, None
    for gap in gaps:
        at += gap
        answer = seen(at, score + data.draw(st.integers(-noise, noise)))
        step = observe(state, (100_000 - age) * SECOND, answer, WINDOW)
        state = step.state
        assert step.trend_velocity in (None, 0.0)
        assert not trending(TrendingRule(), velocity=step.trend_velocity, sentiment=1.0, comments=10**6).is_trending


def by_definition(log: list[Observation], created_us: int) -> list[float | None]:
    """From all observations so far, none of which is forgotten. Only new observations count, late ones have none."""
    known: list[Observation] = []
    found: list[float | None] = []
    for new in log:
        if known and new.observed_us <= known[-1].observed_us:
            found.append(None)
            continue
        firsts = {one.observed_us // (60 * SECOND): one for one in reversed(known)}
        old = [one for one in firsts.values() if new.observed_us - one.observed_us >= WINDOW]
        young = [one for one in known[:1] if one.observed_us - created_us < WINDOW]
        reference = max(old, default=young[0] if young else None)
        known.append(new)
        if reference is None:
            found.append(None)
        elif abs(new.score - reference.score) <= max(2, 0.02 * max(new.score, reference.score)):
            found.append(0.0)
        else:
            found.append((new.score - reference.score) / ((new.observed_us - reference.observed_us) / SECOND))
    return found


moments = st.integers(0, 250).map(lambda n: n * 8)
logs = st.lists(st.builds(seen, moments, st.integers(0, 500)), min_size=1, max_size=60)
ordered_logs = logs.map(lambda log: sorted({one.observed_us: one for one in log}.values()))
births = st.integers(-600, 600).map(lambda n: n * SECOND)


@given(logs | ordered_logs, births)
def test_the_ring_gives_what_all_observations_would_give(log: list[Observation], created_us: int) -> None:
    found = steps(log, created_us)
    again = [step.trend_velocity if not step.late and n == first(log, n) else None for n, step in enumerate(found)]
    assert again == pytest.approx(by_definition(log, created_us), nan_ok=False)


def first(log: list[Observation], n: int) -> int:
    """The place of the first observation of this moment."""
    return [one.observed_us for one in log].index(log[n].observed_us)


@given(logs | ordered_logs, births)
def test_verify_computes_the_same(log: list[Observation], created_us: int) -> None:
    oracle, newest = Trend(), -1
    created = BEGIN + timedelta(microseconds=created_us)
    for step, new in zip(steps(log, created_us), log, strict=True):
        if new.observed_us > newest:
            newest = new.observed_us
            at = BEGIN + timedelta(microseconds=newest)
            wanted, certain = oracle.take(at, new.score, created, timedelta(seconds=300), None)
            assert step.trend_velocity == pytest.approx(wanted)
            assert certain


@given(ordered_logs, births, st.data())
def test_redelivery_and_a_restart_change_no_trend_velocity(
    log: list[Observation], created_us: int, data: st.DataObject
) -> None:
    """A worker that dies reads the newest records again; its state survives, or an older copy of it does."""
    found = steps(log, created_us)
    reached = data.draw(st.integers(0, len(log) - 1))
    begin = data.draw(st.integers(max(reached - RING_SIZE + 1, 0), reached))
    state = decode_state(encode_state(found[reached].state))
    wanted = [step.trend_velocity for step in found]
    assert [step.trend_velocity for step in steps(log[begin:], created_us, state)] == wanted[begin:]
    older = found[data.draw(st.integers(0, reached))].state
    assert merge(state, older, WINDOW) == merge(older, state, WINDOW) == state
