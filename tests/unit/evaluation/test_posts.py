"""What became of a post, and when that was settled."""

import pytest

from signalflow.domain.trending import TrendingRule
from signalflow.evaluation.posts import posts_of
from tests.unit.evaluation.worlds import HOUR, START, snapshot


def test_a_post_has_its_first_snapshot_and_what_it_reached_and_when() -> None:
    (post,) = posts_of([
        snapshot("a", 2, age=4, place=9, score=20_000),
        snapshot("a", 0, age=2, place=40, score=1000, comments=7, ratio=0.9),
        snapshot("a", 1, age=3, place=10, score=19_999),
    ])  # fmt: skip
    assert (post.seen, post.first.score, post.first.comments, post.first.ratio) == (START, 1000, 7, 0.9)
    assert (post.first_place, post.place, post.peak) == (40, 9, 20_000)
    assert post.reached == {"top_10": START + HOUR, "peak_20000": START + 2 * HOUR}


def test_what_happens_after_the_outcome_window_does_not_count() -> None:
    (post,) = posts_of([snapshot("a", 0, age=2), snapshot("a", 15.1, age=17.1, place=1, score=30_000)])
    assert post.reached == {}
    assert (post.place, post.peak) == (50, 1000)


def test_posts_are_in_the_order_of_their_first_snapshots() -> None:
    posts = posts_of([snapshot("late", 1), snapshot("early", 0), snapshot("late", 3, age=4)])
    assert [post.key[0] for post in posts] == ["early", "late"]


def test_an_outcome_is_settled_when_the_post_has_left_or_its_window_has_passed() -> None:
    (post,) = posts_of([snapshot("a", 0, age=2), snapshot("a", 1, age=3)])
    assert not post.settled(START + HOUR)
    assert post.settled(START + 2 * HOUR)
    assert not post.whole(START + 2 * HOUR)
    assert post.whole(START + 15 * HOUR)
    (staying,) = posts_of([snapshot("b", hour, age=2 + hour) for hour in range(20)])
    assert not staying.settled(START + 14 * HOUR)
    assert staying.settled(START + 15 * HOUR)


@pytest.mark.parametrize(("age", "young"), [(0.24, False), (0.25, True), (3.0, True), (3.01, False)])
def test_a_first_snapshot_is_young_from_a_quarter_of_an_hour_to_three_hours(age: float, young: bool) -> None:
    assert posts_of([snapshot("a", 0, age=age)])[0].is_young == young


def test_the_old_rule_fires_at_the_first_snapshot_that_reaches_its_limits() -> None:
    """1.2 points a second are above a limit of 1 a second, which with comments is 0.6: trending."""
    seen = [
        snapshot("a", 0, score=1000),
        snapshot("a", 1, age=3, score=1000 + round(0.8 * HOUR), comments=200),
        snapshot("a", 2, age=4, score=1000 + round(2.0 * HOUR), comments=200),
    ]
    rule = TrendingRule(velocity_high=1.0, velocity_low=0.5)
    assert posts_of(seen, rule)[0].old_rule_at == START + 2 * HOUR
    assert posts_of(seen)[0].old_rule_at is None


def test_the_score_of_the_old_rule_at_the_first_snapshot_knows_only_the_comments() -> None:
    quiet, discussed = posts_of([snapshot("a", 0, comments=100), snapshot("b", 0, comments=101)])
    assert (quiet.old_rule_score, discussed.old_rule_score) == (0.0, 0.2)
