"""When a post is told as one that will be among the best, and as unusual in its subreddit."""

from collections.abc import Iterator
from dataclasses import replace
from math import exp, log
from random import Random
from typing import Any

import pytest

from signalflow.domain.signals.posts import LEAST_KNOWN, MOST_GIVEN, MOST_OPEN, OLDEST
from signalflow.domain.signals.priors import shipped
from signalflow.domain.signals.subreddit import Change, Seen, SubredditState, decode_state, encode_state, follow
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


def life(post_id: str, created: int, rise: float, tau: float = 9_000.0) -> Iterator[Seen]:
    """A post whose score rises as the simulator's, observed at checkpoints and once more."""
    before: tuple[int, int] | None = None
    for age in (20, 240, 1_800, 3_600, 7_200, 21_600, 86_400):
        score = 1 + int(rise * (1 - exp(-age / tau)))
        velocity = None if before is None else (score - before[1]) / (age - before[0])
        fields: dict[str, Any] = {"age": age * SECOND, "score": score, "score_velocity": velocity}
        at = created + age * SECOND
        yield discovered(post_id, at, **fields) if before is None else observed(post_id, at, **fields)
        before = age, score


def many(count: int, factor: float = 1.0, seed: int = 1) -> list[Seen]:
    """The lives of posts in as many quarters of an hour."""
    rng = Random(seed)
    seen = [
        one
        for number in range(count)
        for one in life(f"u{number}", MONDAY + number * 15 * MINUTE, factor * exp(min(rng.gauss(1.6, 1.9), 5.0)))
    ]
    return sorted(seen, key=lambda one: one.observed_us)


END = MONDAY + 6 * DAY


@pytest.fixture(scope="module")
def known() -> SubredditState:
    """A subreddit with 400 usual posts."""
    state, _ = followed(many(400))
    return state


def kinds(changes: list[Change], post_id: str) -> list[tuple[str, bool]]:
    return [(change.kind, change.ended_us is not None) for change in changes if change.subject == post_id]


def test_a_post_that_takes_off_is_told_once_by_each_kind_and_unusual_until_it_is_old(known: SubredditState) -> None:
    state, changes = followed(life("hot", END, 50_000.0, 3_600.0), known)
    told = kinds(changes, "hot")
    assert told.count(("viral", True)) == told.count(("unusual_here", True)) == 1
    viral = [change for change in changes if change.kind == "viral"]
    assert {change.started_us for change in viral} == {END + 240 * SECOND}
    (unusual_end,) = [change.ended_us for change in changes if change.kind == "unusual_here" and change.ended_us]
    assert unusual_end == END + int(OLDEST) * SECOND
    assert viral[0].strength > 0.9
    assert viral[0].post_ids == ("hot",)
    assert state.posts.open == ()


def test_a_viral_signal_ends_when_the_post_has_the_points_that_were_foretold(known: SubredditState) -> None:
    _, changes = followed(life("good", END, 2_500.0), known)
    first, *_, end = [change for change in changes if change.kind == "viral"]
    assert first.observed < first.expected
    assert end.ended_us is not None
    reached = next(one for one in life("good", END, 2_500.0) if (one.score or 0) >= first.expected)
    assert end.ended_us == pytest.approx(reached.observed_us, abs=2 * HOUR)
    assert end.ended_us > first.started_us


def test_a_usual_post_gives_no_signal(known: SubredditState) -> None:
    _, changes = followed(life("plain", END, 20.0), known)
    assert changes == []


def test_unusual_can_be_computed_again_from_its_inputs(known: SubredditState) -> None:
    _, changes = followed(life("hot", END, 50_000.0, 3_600.0), known)
    for change in (change for change in changes if change.kind == "unusual_here"):
        inputs: dict[str, Any] = change.inputs
        value = log(change.observed + 1.0)
        assert change.strength == pytest.approx((value - inputs["log_mean"]) / inputs["log_sd"])
        normal = shipped().curve.normal_of(value, inputs["age_seconds"])
        assert change.strength == pytest.approx((normal - inputs["level"]) / inputs["spread"])
        assert change.expected == pytest.approx(exp(inputs["log_mean"]) - 1.0)


def test_a_probability_can_be_computed_again_from_its_log_odds(known: SubredditState) -> None:
    _, changes = followed(life("good", END, 2_500.0), known)
    (viral, *_) = [change for change in changes if change.kind == "viral"]
    inputs: dict[str, Any] = viral.inputs
    odds = inputs["log_odds_base"] + inputs["log_odds_score"] + (inputs["log_odds_velocity"] or 0.0)
    assert viral.observed < viral.expected
    assert viral.strength == pytest.approx(1.0 / (1.0 + exp(-odds)))
    assert inputs["forecast_low"] < inputs["forecast_median"] < inputs["forecast_high"]


def test_a_post_that_is_usual_in_a_large_subreddit_is_none_of_its_best() -> None:
    """Everything here scores two hundred times as much."""
    state, _ = followed(many(600, factor=200.0))
    _, changes = followed(life("large", END + 2 * DAY, 2_500.0), state)
    assert changes == []


def test_a_subreddit_of_which_few_posts_are_known_says_nothing() -> None:
    state, changes = followed(many(LEAST_KNOWN - 10, factor=200.0))
    _, more = followed(life("hot", END, 50_000.0), state)
    assert state.curve.posts[0] == LEAST_KNOWN - 10
    assert [*changes, *more] == []


@pytest.mark.parametrize("fields", [{"is_late": True}, ARCHIVED, {"is_taken_away": True}])
def test_what_is_late_archived_or_taken_away_begins_nothing_and_teaches_nothing(
    known: SubredditState, fields: dict[str, bool]
) -> None:
    seen = [replace(one, **fields) for one in life("hot", END, 50_000.0)]  # type: ignore[arg-type]
    state, changes = followed(seen, known)
    assert changes == []
    assert state.curve == known.curve


def test_an_observation_far_behind_the_log_begins_nothing(known: SubredditState) -> None:
    """Another partition was read further: what comes now is the past."""
    ahead, _ = follow(known, "pics", discovered("ahead", END + 10 * HOUR))
    _, changes = followed(list(life("hot", END, 50_000.0))[:5], ahead)
    assert changes == []


def test_a_post_without_numbers_only_counts_in_the_volume(known: SubredditState) -> None:
    seen = [replace(one, score=None, comments=None, ratio=None) for one in life("feed", END, 50_000.0)]
    state, changes = followed(seen[:1], known)
    assert (changes, state.volume.posts) == ([], 1)
    state, _ = followed(seen[1:], state)
    assert state.curve == known.curve


def test_a_signal_of_a_post_ends_when_it_is_taken_away_and_never_comes_again(known: SubredditState) -> None:
    seen = list(life("hot", END, 50_000.0))
    gone = replace(seen[3], is_taken_away=True, observed_us=seen[3].observed_us - SECOND)
    _, changes = followed([*seen[:3], gone, *seen[3:]], known)
    assert kinds(changes, "hot").count(("viral", True)) == 1
    assert changes[-1].ended_us == gone.observed_us


def test_a_measure_between_both_limits_neither_begins_nor_ends_a_signal(known: SubredditState) -> None:
    """A score that comes and goes around the limit to begin gives one signal."""
    curve, (level, spread) = shipped().curve, known.curve.level_and_spread(3_600.0)

    def score(strength: float) -> int:
        return round(exp(curve.log_score_of(level + spread * strength, 3_600.0)) - 1)

    strengths = [3.0, 3.15, 3.0, 3.2, 2.7, 3.15, 2.4, 3.2]
    seen = [
        observed("edge", END + number * SECOND, age=HOUR, score=score(strength), score_velocity=0.0)
        for number, strength in enumerate(strengths)
    ]
    _, changes = followed(seen, known)
    told = [change for change in changes if change.kind == "unusual_here"]
    assert [(change.changed_us - END) // SECOND for change in told] == [1, 6]
    assert [change.ended_us for change in told] == [None, END + 6 * SECOND]


def test_bounds_hold_when_every_post_takes_off(known: SubredditState) -> None:
    seen = sorted(
        (one for number in range(400) for one in life(f"flood{number:08}", END + number * MINUTE // 4, 80_000.0)),
        key=lambda one: one.observed_us,
    )
    state, changes = known, list[Change]()
    largest = 0
    for one in seen:
        state, new = follow(state, "pics", one)
        changes += new
        largest = max(largest, len(encode_state(state)))
        assert len(state.posts.open) <= MOST_OPEN
    assert 2_500 < largest <= 3_500
    assert any(change.subject_kind == "subreddit" for change in changes)
    assert len({(change.kind, change.subject) for change in changes if change.subject_kind == "post"}) <= 2 * MOST_GIVEN
    begun = {(change.kind, change.subject, change.started_us) for change in changes}
    ended = {(change.kind, change.subject, change.started_us) for change in changes if change.ended_us is not None}
    assert begun == ended


def test_a_state_that_was_stored_after_each_observation_gives_the_same_signals(known: SubredditState) -> None:
    seen = sorted(
        (one for number in range(12) for one in life(f"p{number}", END + number * MINUTE, 10.0 ** (number % 5))),
        key=lambda one: one.observed_us,
    )
    expected_state, expected = followed(seen, known)
    state, changes = known, list[Change]()
    for one in seen:
        state, new = follow(decode_state(encode_state(state)), "pics", one)
        changes += new
    assert (state, changes) == (expected_state, expected)
    assert len(changes) > 4
