"""When a message is tried again, and when a target is disabled."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.alerts.outcome import Verdict
from signalflow.alerts.schedule import LONGEST_ASKED, SHORTEST_WAIT, Standing, next_try, pace_of
from signalflow.alerts.shapes import Shape

FIRST = datetime(2026, 1, 31, tzinfo=UTC)
DAY = timedelta(days=1)
RANDOM = st.floats(0, 1, exclude_max=True)


@given(
    st.timedeltas(timedelta(0), DAY - timedelta(microseconds=1)),
    st.integers(1, 5000),
    RANDOM,
    st.none() | st.floats(0, 1e300),
)
def test_a_try_comes_later_and_within_the_day(
    passed: timedelta, failures: int, random: float, asked: float | None
) -> None:
    now = FIRST + passed
    then = next_try(FIRST, now, failures, random, asked)
    assert then is not None
    assert now < then <= FIRST + DAY
    if then < FIRST + DAY:
        assert (then - now).total_seconds() >= min(asked or 0.0, LONGEST_ASKED) - 1e-6
        assert (then - now).total_seconds() >= SHORTEST_WAIT - 1e-6


@given(st.timedeltas(DAY, timedelta(days=9)), st.integers(1, 50), RANDOM)
def test_after_a_day_a_message_is_given_up(passed: timedelta, failures: int, random: float) -> None:
    assert next_try(FIRST, FIRST + passed, failures, random) is None


def waits(random: float) -> list[float]:
    """The waits of a target that fails all day."""
    now, found = FIRST, list[float]()
    while (then := next_try(FIRST, now, len(found) + 1, random)) is not None:
        found.append((then - now).total_seconds())
        now = then
    assert now == FIRST + DAY
    return found


def test_waits_double_to_four_hours_and_the_last_try_is_at_the_end_of_the_day() -> None:
    doubling = [15.0, 30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3840.0]
    assert waits(0.5) == [*doubling, *[7200.0] * 10, 86_400.0 - sum(doubling) - 72_000.0]


@given(RANDOM)
def test_a_wait_is_spread_evenly_up_to_its_most(random: float) -> None:
    then = next_try(FIRST, FIRST, 8, random)
    assert then is not None
    assert (then - FIRST).total_seconds() == pytest.approx(max(random * 3840.0, SHORTEST_WAIT), abs=1e-5)


@pytest.mark.parametrize(("shape", "a_minute"), [(Shape.JSON, 300), (Shape.SLACK, 60), (Shape.DISCORD, 30)])
def test_a_target_gets_no_more_messages_in_any_minute_than_its_service_takes(shape: Shape, a_minute: int) -> None:
    pace, now, sent = pace_of(shape), 1000.0, list[float]()
    for _ in range(3 * a_minute):
        now += pace.wait(1, now)
        sent.append(now)
    assert all(later - sooner >= 60 - 1e-6 for sooner, later in zip(sent, sent[a_minute:], strict=False))


def test_a_target_is_disabled_after_five_answers_in_a_row_over_an_hour() -> None:
    standing, disabled = Standing(), []
    for minutes in (0, 1, 2, 3, 4, 30, 59, 60):
        standing = standing.after(Verdict.GONE, FIRST + timedelta(minutes=minutes))
        disabled.append(standing.is_disabled)
    assert disabled == [False] * 7 + [True]


def test_few_answers_over_a_long_time_do_not_disable_a_target() -> None:
    standing, disabled = Standing(), []
    for hours in range(5):
        standing = standing.after(Verdict.GONE, FIRST + timedelta(hours=hours))
        disabled.append(standing.is_disabled)
    assert disabled == [False] * 4 + [True]


@given(st.lists(st.tuples(st.sampled_from(Verdict), st.timedeltas(timedelta(0), timedelta(hours=9))), max_size=40))
def test_a_target_is_disabled_by_its_last_run_of_answers_alone(tries: list[tuple[Verdict, timedelta]]) -> None:
    standing, now, run = Standing(), FIRST, list[datetime]()
    for verdict, passed in tries:
        now += passed
        standing = standing.after(verdict, now)
        if verdict is Verdict.GONE:
            run.append(now)
        elif verdict is not Verdict.LATER:
            run.clear()
        assert standing.is_disabled == (len(run) >= 5 and run[-1] - run[0] >= timedelta(hours=1))
