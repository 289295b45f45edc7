"""Signals measured on the simulator: its observations, what is true, and the figures."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest

from signalflow.domain.known import CHECKPOINTS
from signalflow.domain.signals.subreddit import Seen
from signalflow.evaluation.simulated import LAST_AGE, observations
from signalflow.evaluation.simulated_figures import figures, lines
from signalflow.evaluation.simulation import Burst, JudgedPost, JudgedSubreddit, reached, run
from signalflow.simulator.config import DAY, Parameters
from signalflow.simulator.posts import LifeEvent, Post
from signalflow.simulator.subreddits import Subreddit, default_subreddits
from signalflow.simulator.world import World

EPOCH = 1_767_571_200.0
SUBREDDITS = [replace(sub, index=index) for index, sub in enumerate(default_subreddits()[10:90:40])]


def post(rise: float = 400.0, life: tuple[LifeEvent, ...] = ()) -> Post:
    world = World(Parameters(seed=1, epoch=EPOCH, history=0.0, life=0.0), SUBREDDITS)
    found = world.new_posts_between(EPOCH, EPOCH + 3_600.0)[0]
    found.rise, found.tau, found.start, found.life = rise, 9_000.0, found.created, life
    return found


def ages(seen: list[Seen]) -> list[float]:
    return [(one.observed_us - one.created_us) / 1e6 for one in seen]


def test_a_post_is_seen_soon_then_at_every_checkpoint_and_between_by_its_velocity() -> None:
    one = post()
    seen = observations([one], inf, 0.0)
    assert [entry.is_discovery for entry in seen] == [True] + [False] * (len(seen) - 1)
    assert ages(seen)[0] < 32.0
    offset = one.created % 1.0
    assert {round(mark + offset, 3) for mark in CHECKPOINTS} <= {round(age, 3) for age in ages(seen)}
    assert max(ages(seen)) <= LAST_AGE + 1.0
    between = [age for age in ages(seen) if 1_900.0 < age < 7_100.0]
    assert len(between) >= 5
    assert all(180.0 <= later - age < 1_800.0 for age, later in pairwise(between))
    assert [entry.score for entry in seen] == [one.score_at(entry.observed_us / 1e6) for entry in seen]


def test_a_post_that_nobody_votes_for_is_published_when_numbers_change_once_more_and_at_checkpoints() -> None:
    one = post(rise=0.0)
    one.talk = 0.0
    seen = observations([one], inf, 0.0)
    assert len(seen) == 2 + len(CHECKPOINTS)


def test_a_post_from_before_is_found_once_by_the_look_back_and_known_from_its_next_observation_on() -> None:
    one = post()
    since = one.created + 3 * 3_600.0
    found, second, third, *_ = observations([one], inf, 0.0, since)
    assert since < found.observed_us / 1e6 < since + 120.0
    assert [(seen.is_discovery, seen.is_listed, seen.is_backfill) for seen in (found, second, third)] == [
        (True, True, True),
        (True, False, False),
        (False, False, False),
    ]
    assert (found.score_velocity, second.score_velocity) == (None, None)
    assert third.score_velocity is not None
    assert observations([one], inf, 0.0, one.created + DAY + 1.0) == []


def test_a_velocity_is_that_since_the_observation_before() -> None:
    seen = observations([post()], inf, 0.0)
    assert seen[0].score_velocity is None
    for before, after in pairwise(seen):
        assert before.score is not None
        assert after.score is not None
        seconds = (after.observed_us - before.observed_us) / 1e6
        assert after.score_velocity == pytest.approx((after.score - before.score) / seconds, rel=1e-4)


def test_a_post_that_is_taken_away_is_seen_so_once() -> None:
    one = post()
    one.life = (LifeEvent(one.created + 3_000.0, "moderator"),)
    seen = observations([one], inf, 0.0)
    assert [entry.is_taken_away for entry in seen] == [False] * (len(seen) - 1) + [True]


def test_when_a_post_reaches_a_target() -> None:
    one = post(rise=400.0)
    at = reached(one, 201)
    assert (one.score_at(at - 1.0), one.score_at(at + 1.0)) == (200, 201)
    assert reached(one, 402) == inf
    assert reached(one, 1) == one.created


def judged(
    name: str, final: int, probability: float, told: float | None = None, story: str | None = None
) -> JudgedPost:
    found = JudgedPost(name, 0.0, story, final, 100, 7_200.0 if final >= 100 else inf)
    found.said, found.said_at = (probability, 50.0, 40.0, 110.0), 1_800.0
    if told is not None:
        found.told["viral"] = told
    return found


def test_figures_of_a_run_by_hand() -> None:
    posts = [
        judged("good", 150, 0.8, told=3_600.0, story="everywhere"),
        judged("late", 100, 0.2, told=14_400.0),
        judged("missed", 120, 0.0005),
        judged("wrong", 90, 0.95, told=3_600.0),
        *(judged(f"low{number}", 1, 0.0001) for number in range(96)),
    ]
    burst = Burst("arrivals", "fast", 9_000.0, 10_200.0, 40)
    missed = Burst("story", "fast", 45_000.0, 46_000.0, 20)
    sub = JudgedSubreddit(
        "pics", "fast", posts, [burst, missed], [9_600.0, 30_000.0], {10: 6.0, 33: 4.0, 50: 1.0}, 5, 9
    )
    found = figures([sub], 2)

    viral = found.alarms[0]
    assert (viral.kind, viral.a_day) == ("viral", pytest.approx(3 * 115 / 1.5))
    assert viral.false == pytest.approx(115 / 1.5)
    assert viral.planted_not_top == 0.0
    best = viral.found[0]
    assert (best.count, best.found, best.mean_lead) == (3, 2, pytest.approx((1.0 - 2.0) / 2))
    # The highest 4 % of 97 other posts: one is above 0.0001, so "good", "late" and "missed" are all above the limit.
    assert found.operating[0].true_rate == 1.0
    assert found.operating[0].mean_lead == pytest.approx(1.5)
    # Of 1 % only the one at 0.95 is left, and nothing is above it.
    assert (found.operating[1].probability, found.operating[1].true_rate) == (0.95, 0.0)
    assert [(one.lowest, one.posts, one.came) for one in found.calibration] == [
        (0.0, 97, pytest.approx(1 / 97)),
        (0.1, 1, 1.0),
        (0.7, 1, 1.0),
        (0.9, 1, 0.0),
    ]
    # 100 and 90 are within 40 to 110; 150 and 120 are not.
    assert found.covered == 0.5
    assert found.bursts.false_a_day == pytest.approx(115 / 2)
    assert [(one.of, one.count, one.found) for one in found.bursts.found] == [
        ("arrivals x8, fast", 1, 1),
        ("planted story", 1, 0),
    ]
    assert found.bursts.strength == 0.0
    assert found.bursts.true_rate == 1.0
    assert any("TPR 100.0%" in line for line in lines(found))


@pytest.mark.slow
def test_a_run_is_the_same_again_and_finds_what_is_planted() -> None:
    def once() -> list[JudgedSubreddit]:
        # Twice as many would soon be usual in three subreddits.
        return run(1, 3, 3, SUBREDDITS, stories_per_hour=0.5)

    first = once()
    assert first == once()
    posts = [one for sub in first for one in sub.posts]
    planted = [one for one in posts if one.story == "viral"]
    assert len(planted) >= 3
    assert all("unusual_here" in one.told and one.told["unusual_here"] - one.created < 600.0 for one in planted)
    assert all(sub.observations > 1_000 for sub in first)
    assert {one.created >= EPOCH + 3 * DAY for one in posts} == {True}


@pytest.mark.slow
def test_subreddits_that_are_new_tell_what_is_planted_on_their_first_day() -> None:
    posts = [one for sub in run(1, 0, 3, SUBREDDITS, stories_per_hour=1.0, is_cold=True) for one in sub.posts]
    planted = [one for one in posts if one.story == "viral"]
    assert len(planted) >= 3
    assert all("unusual_here" in one.told for one in planted)
    assert min(one.created for one in posts) >= EPOCH


@pytest.mark.slow
def test_unreadable_subreddits_are_left_out() -> None:
    hidden: list[Subreddit] = [replace(SUBREDDITS[0], index=0, rate=0.0), replace(SUBREDDITS[1], index=1)]
    assert [sub.name for sub in run(1, 0, 1, hidden, stories_per_hour=0.0)] == [hidden[1].name]
