"""Counts of posts and what is usual, against a slow recomputation from the whole list."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.signals.priors import shipped
from signalflow.domain.signals.volume import (
    DAY_MEMORY,
    DAY_PRIOR,
    MINUTE_US,
    OPEN_QUARTERS,
    QUARTER_US,
    VOLUME_SIZES,
    WEEK_MEMORY,
    WEEK_PRIOR,
    Volume,
    advance,
    begin_volume,
    count_post,
    decode_volume,
    encode_volume,
    usual,
)
from tests.unit.domain.signals.observed import DAY, HOUR, MONDAY


def quarters_of(counts: Sequence[int], start: int = MONDAY) -> Volume:
    """The volume after quarters with these counts, all of them learnt. The quarter before is not known."""
    volume = begin_volume(start - QUARTER_US)
    for number, count in enumerate(counts):
        at = start + number * QUARTER_US
        volume = advance(volume, at)
        for _ in range(count):
            volume = count_post(volume, at)
    for number in range(OPEN_QUARTERS):
        volume = advance(volume, start + (len(counts) + number) * QUARTER_US)
    return volume


def weighted_mean(values: Sequence[float], memory: int) -> float:
    """The mean in which each new value weighs 1/n for the first `memory` values, then 1/memory. Spelled out."""
    shares = [1.0 / min(number, memory) for number in range(1, len(values) + 1)]
    total = 0.0
    for place, value in enumerate(values):
        weight = shares[place]
        for later in shares[place + 1 :]:
            weight *= 1.0 - later
        total += weight * value
    return total


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(2, 5), min_size=1, max_size=4 * 24 * 9))
def test_what_is_usual_is_the_weighted_mean_of_the_whole_list(counts: list[int]) -> None:
    volume = quarters_of(counts)

    level = weighted_mean(
        [count / shipped().activity[number // 4 % 24] for number, count in enumerate(counts)], 28 * 96
    )
    for hour in (0, 5, 13, 30):
        of_day = [count for number, count in enumerate(counts) if number // 4 % 24 == hour % 24]
        of_week = [count for number, count in enumerate(counts) if number // 4 % 168 == hour]
        days, weeks = min(len(of_day), DAY_MEMORY), min(len(of_week), WEEK_MEMORY)
        by_level = level * shipped().activity[hour % 24]
        # Counts vary by this variance, and an hour's activity by a quarter from the shipped one.
        variance = (max(volume.dispersion, 1.0) + 0.5 * max(1 - len(counts) / 96, 0)) * by_level
        weight = min(variance / (0.25 * by_level) ** 2, DAY_PRIOR)
        day = (days * weighted_mean(of_day, DAY_MEMORY) + weight * by_level) / (days + weight)
        week = (weeks * weighted_mean(of_week, WEEK_MEMORY) + WEEK_PRIOR * day) / (weeks + WEEK_PRIOR)
        found = usual(volume, (MONDAY + hour * HOUR) // MINUTE_US)
        assert found.mean == pytest.approx(week, rel=1e-5)
        assert found.variance > found.mean


def test_an_hour_of_the_week_is_learnt_apart_from_the_same_hour_of_other_days() -> None:
    # Six weeks with four posts a quarter, and forty on Tuesdays from noon to one o'clock.
    busy = range((24 + 12) * 4, (24 + 13) * 4)
    volume = quarters_of([40 if number % (7 * 96) in busy else 4 for number in range(6 * 7 * 96)])

    tuesday, wednesday = ((MONDAY + day * DAY + 12 * HOUR) // MINUTE_US for day in (1, 2))
    assert usual(volume, tuesday).mean > 2.5 * usual(volume, wednesday).mean


def test_a_quarter_far_above_the_usual_teaches_only_a_limit() -> None:
    calm = quarters_of([4] * (7 * 96))
    burst = quarters_of([4] * (7 * 96 - 1) + [500])

    last = (MONDAY + 7 * DAY - HOUR) // MINUTE_US
    assert usual(burst, last).mean < 1.3 * usual(calm, last).mean


def test_counts_more_varied_than_poisson_widen_what_is_usual() -> None:
    volume = quarters_of([0, 0, 0, 16] * (14 * 24))

    found = usual(volume, MONDAY // MINUTE_US)
    assert found.variance > 3.0 * found.mean


def test_a_post_counts_in_the_minute_and_quarter_in_which_it_was_made() -> None:
    volume = advance(begin_volume(MONDAY), MONDAY + 2 * HOUR)
    volume = count_post(volume, MONDAY + 2 * HOUR - 15 * MINUTE_US)
    assert (volume.posts, volume.quarters[-2]) == (0, 1)

    volume = count_post(volume, MONDAY + 2 * HOUR - 14 * MINUTE_US)
    assert (volume.posts, volume.quarters[-2]) == (1, 2)

    volume = advance(volume, MONDAY + 2 * HOUR + 10 * MINUTE_US)
    assert volume.posts == 0


def test_a_post_from_the_future_counts_as_made_now() -> None:
    volume = count_post(advance(begin_volume(MONDAY), MONDAY + HOUR), MONDAY + 9 * HOUR)
    assert (volume.posts, volume.quarters[-1]) == (1, 1)


def test_hours_without_any_observation_teach_nothing() -> None:
    before = quarters_of([4] * 96)
    after = advance(before, (before.minute * MINUTE_US) + 3 * DAY)
    for number in range(OPEN_QUARTERS + 1):
        after = advance(after, after.minute * MINUTE_US + QUARTER_US * (number > 0))

    # The open quarters before the silence without its last one, and the first one after it.
    assert after.learnt == before.learnt + OPEN_QUARTERS - 1 + 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=120), st.integers(0, 3 * DAY))
def test_a_stored_volume_goes_on_with_the_same_numbers(counts: list[int], silence: int) -> None:
    volume = advance(quarters_of(counts), MONDAY + len(counts) * QUARTER_US + silence)

    value = encode_volume(volume)
    assert len(value) == VOLUME_SIZES[2] < 1_200
    assert decode_volume(value, 2) == volume
    later = volume.minute * MINUTE_US + 7 * HOUR
    assert encode_volume(advance(decode_volume(value, 2), later)) == encode_volume(advance(volume, later))
