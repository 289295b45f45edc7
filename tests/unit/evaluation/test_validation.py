"""Which posts are tested, and figures of made models whose quality is known."""

import pytest

from signalflow.domain.signals.viral import Term, TypicalPeaks, ViralModel
from signalflow.errors import Invalid
from signalflow.evaluation.figures import auc
from signalflow.evaluation.judging import judge
from signalflow.evaluation.posts import TARGETS, Post, posts_of
from signalflow.evaluation.validation import Part, by_time, learnt, select, settled_of
from tests.unit.evaluation.worlds import snapshot, world

TOP_10, PEAK = TARGETS
VELOCITY = ViralModel(0.0, {"log_velocity": Term(1.0, -1.0)}, TypicalPeaks(9.0, {}))
# The first one begins, the last one ends the file.
FRAME = [snapshot("first", 0, age=1), snapshot("last", 40, age=1)]


def part(posts: list[Post], model: ViralModel = VELOCITY) -> Part:
    return Part(posts, model, None, "made", None)


@pytest.mark.parametrize(
    ("hour", "more", "reason"),
    [
        (0, {}, "in the first snapshot"),
        (5, {"age": 4.0}, "another age"),
        (26, {}, "last 15 hours"),
        (5, {"ratio": None}, "unknown"),
    ],
)
def test_a_post_that_cannot_be_tested_is_counted_with_its_reason(
    hour: int, more: dict[str, float], reason: str
) -> None:
    posts = posts_of([*FRAME, snapshot("odd", hour, **more), snapshot("good", 5)])
    selection = select(posts)
    assert [post.key[0] for post in selection.tested] == ["good"]
    others = {"in the first snapshot": 1, "last 15 hours": 1}
    for name, count in selection.left_out.items():
        known = next((number for text, number in others.items() if text in name), 0)
        assert count == known + (reason in name)


def test_a_post_that_was_learnt_from_is_not_tested() -> None:
    posts = posts_of([*FRAME, snapshot("a", 5), snapshot("b", 6)])
    selection = select(posts, known=[post for post in posts if post.key[0] == "a"])
    assert [post.key[0] for post in selection.tested] == ["b"]
    assert selection.left_out["learnt from"] == 1


def test_the_outcome_of_a_post_seen_15_hours_before_the_end_is_known() -> None:
    posts = posts_of([*FRAME, snapshot("a", 25)])
    assert [post.key[0] for post in select(posts).tested] == ["a"]


@pytest.mark.slow
def test_validation_by_time_learns_only_from_the_past() -> None:
    posts = posts_of(world(hours=50))
    parts = list(by_time(posts, select(posts).tested, TOP_10))
    assert len(parts) == 4
    starts = [part.posts[0].seen for part in parts]
    assert starts == sorted(set(starts))
    assert [part.learnt_from for part in parts] == [
        sum(post.settled(start) and post.seen < start for post in posts) for start in starts
    ]


def test_too_few_posts_or_posts_of_one_kind_are_refused_clearly() -> None:
    none = posts_of([*FRAME, *(snapshot(str(number), 1 + number / 2) for number in range(40))])
    with pytest.raises(Invalid, match="of 8 posts 0 reach the target top_10; at least 1 must"):
        list(by_time(none, select(none).tested[:40], TOP_10))
    with pytest.raises(Invalid, match="1 posts can be tested"):
        list(by_time(none, select(none).tested[:1], TOP_10))


def test_what_the_end_of_a_file_settles_is_learnt_from() -> None:
    posts = posts_of([*FRAME, snapshot("gone", 39), snapshot("there", 39), snapshot("there", 40, age=3)])
    assert {post.key[0] for post in settled_of(posts)} == {"first", "gone"}


def rising() -> list[Post]:
    """Ten posts an hour apart: the fastest five reach the first ten after two hours, but for one exchanged pair."""
    seen = []
    for number in range(10):
        score = 1000 + 100 * number
        reaches = number >= 5 if number not in (4, 5) else number == 4
        seen += [
            snapshot(str(number), number, score=score, comments=50),
            snapshot(str(number), number + 2, age=4, place=10 if reaches else 50, score=score, comments=50),
        ]
    return posts_of(seen)


def test_the_figures_of_a_model_are_those_of_its_order() -> None:
    figures = judge([part(rising())], TOP_10)
    # One of 25 pairs is in the wrong order.
    assert figures.auc.value == pytest.approx(24 / 25)
    assert figures.auc_of_single.value == pytest.approx(24 / 25)
    assert figures.gain.value == pytest.approx(0.0)
    assert (figures.gain.low, figures.gain.high) == (0.0, 0.0)
    assert (figures.posts, figures.reached, figures.reached_at_first) == (10, 5, 0)
    assert figures.single == "score/age"
    assert figures.alarm.true_rate == pytest.approx(4 / 5)
    assert figures.lead_hours == pytest.approx(2.0)
    # Four alarms in ten hours.
    assert figures.alarms_a_day == pytest.approx(9.6)


def test_the_old_rule_has_a_lead_only_where_it_fires() -> None:
    figures = judge([part(rising())], TOP_10)
    assert (figures.old_rule.fires, figures.old_rule.lead_hours) == (0, None)
    # No post has more than 100 comments, so its scores are all the same.
    assert figures.old_rule.auc == 0.5


def test_the_lead_over_the_old_rule_is_that_of_posts_where_both_come() -> None:
    """55 points a second and 200 comments are 0.6, which is trending."""
    fast = [
        snapshot("fast", 20, score=3000, comments=200),
        snapshot("fast", 23, age=5, place=5, score=3000 + 3 * 3600 * 55, comments=200),
    ]
    posts = rising() + posts_of(fast)
    assert judge([part(posts)], TOP_10).old_rule.lead_hours == pytest.approx(3.0)


def test_a_single_feature_counts_in_the_direction_in_which_it_is_better() -> None:
    seen = [snapshot(str(number), number, age=1 + number / 10, place=5 if number < 5 else 50) for number in range(10)]
    figures = judge([part(posts_of(seen))], TOP_10)
    assert figures.auc_of_singles["age"] == 1.0
    assert figures.auc_of_later is None, "all that reach it are there at first"
    assert figures.auc_of_single.value == 1.0


def test_posts_that_are_there_at_first_are_left_out_of_the_auc_of_later_ones() -> None:
    there = posts_of([snapshot("there", 30, score=900, place=3)])
    figures = judge([part(rising() + there)], TOP_10)
    assert figures.reached_at_first == 1
    assert figures.auc_of_later == pytest.approx(24 / 25)
    assert figures.auc.value == pytest.approx(24 / 30)


def test_the_mean_over_parts_is_the_auc() -> None:
    one, other = rising(), posts_of(world(hours=20))
    figures = judge([part(one), part(other)], TOP_10)
    second = auc([(post.first.score / post.first.age, "top_10" in post.reached) for post in other if post.first.score])
    assert figures.auc.value == pytest.approx((24 / 25 + second) / 2)
    assert [one.auc for one in figures.parts] == pytest.approx([24 / 25, second])


def test_a_part_whose_test_has_one_kind_is_refused() -> None:
    posts = posts_of(world(hours=40))
    quiet = [post for post in posts if "peak_20000" not in post.reached]
    with pytest.raises(Invalid, match="test: of"):
        learnt(settled_of(posts), quiet, PEAK)
