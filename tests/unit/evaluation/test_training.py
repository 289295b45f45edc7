"""Learning models, and choosing among their forms, on made posts with a known truth."""

from math import log

import pytest

from signalflow.errors import Invalid
from signalflow.evaluation.choosing import FORMS, choose, folds_of, scored
from signalflow.evaluation.figures import auc
from signalflow.evaluation.posts import TARGETS, posts_of
from signalflow.evaluation.training import Form, PeakSums, train, usable
from tests.unit.evaluation.worlds import HOUR, START, snapshot, world

TOP_10, PEAK = TARGETS
POSTS = posts_of(world())
END = max(post.last for post in POSTS)


def test_a_few_posts_draw_a_subreddit_only_part_of_the_way_from_the_mean_of_all() -> None:
    posts = posts_of([
        *(snapshot(f"a{n}", n, subreddit="Pics", score=8000) for n in range(5)),
        *(snapshot(f"b{n}", n, subreddit="cats", score=1000) for n in range(5)),
    ])  # fmt: skip
    peaks = PeakSums(posts).peaks()
    of_all = (log(8000) + log(1000)) / 2
    assert peaks.log_peak("unknown") == pytest.approx(of_all)
    # Five posts are believed half.
    assert peaks.log_peak("pics") == pytest.approx((log(8000) + of_all) / 2)


def test_a_post_does_not_take_part_in_what_is_typical_when_it_is_learnt_from() -> None:
    posts = posts_of([snapshot("a", 0, score=20_000), snapshot("b", 1, score=1000), snapshot("c", 2, score=1000)])
    without = PeakSums(posts).without(posts[0])
    of_all = (log(20_000) + 2 * log(1000)) / 3
    assert without == pytest.approx((2 * log(1000) + 5 * of_all) / 7)
    assert PeakSums(posts).without(posts[1]) > without


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("grade", [0.0, 1.0])
def test_what_makes_posts_rise_is_learnt_and_what_does_not_is_not(target: object, grade: float) -> None:
    assert target in TARGETS
    settled = [post for post in POSTS if post.whole(END)]
    model = train(settled, target, Form(("velocity", "comments", "subreddit", "hour"), 5.0, grade))  # type: ignore[arg-type]
    weights = {name: term.weight for name, term in model.terms.items()}
    assert weights["log_velocity"] > 1
    assert weights["log_typical_peak"] > 0.5
    assert abs(weights["hour_sine"]) < 0.6


def test_probabilities_fit_how_often_the_target_is_reached_also_when_grades_were_learnt() -> None:
    settled = [post for post in POSTS if post.whole(END)]
    told = scored(train(settled, TOP_10, Form(("velocity", "subreddit"), 1.0, 1.0)), settled, TOP_10)
    assert sum(p for p, _ in told) / len(told) == pytest.approx(sum(hit for _, hit in told) / len(told), abs=0.02)


@pytest.mark.parametrize("reaching", [0, 4, 26, 30])
def test_posts_of_one_kind_are_refused_with_their_numbers(reaching: int) -> None:
    posts = posts_of([snapshot(str(n), n, place=5 if n < reaching else 50) for n in range(30)])
    with pytest.raises(Invalid, match=f"of 30 posts {reaching} reach the target top_10; at least 5 must"):
        train(posts, TOP_10, FORMS[0])


def test_a_fold_learns_only_from_what_was_settled_when_its_test_began() -> None:
    tested = usable(POSTS)
    folds = list(folds_of(POSTS, tested, 5))
    assert len(folds) == 4
    for fold in folds:
        now = fold.test[0].seen
        assert all(post.settled(now) and post.seen < now for post in fold.past)
        assert not {post.key for post in fold.past} & {post.key for post in fold.test}
    keys = [post.key for fold in folds for post in fold.test]
    assert len(keys) == len(set(keys))
    starts = [{post.seen for post in fold.test} for fold in folds]
    assert not starts[0] & starts[1], "a snapshot is cut in two"
    assert len(keys) + sum(post.seen < folds[0].test[0].seen for post in tested) == len(tested)


def test_an_input_that_matters_is_chosen() -> None:
    """The subreddit decides twice as much as the form without it can know."""
    poor, rich = Form(("velocity",), 5.0, 1.0), Form(("velocity", "subreddit"), 5.0, 1.0)
    past = [post for post in POSTS if post.settled(END)]
    assert choose(past, TOP_10, (poor, rich)) is rich
    assert choose(past, TOP_10, (rich, poor)) is rich


def test_an_input_that_says_nothing_is_not_chosen() -> None:
    plain, more = Form(("velocity", "subreddit"), 5.0, 1.0), Form(("velocity", "subreddit", "comments"), 5.0, 1.0)
    past = [post for post in POSTS if post.settled(END)]
    assert choose(past, TOP_10, (plain, more)) is plain


def test_the_first_form_is_taken_where_there_is_too_little_to_choose_by() -> None:
    past = posts_of([snapshot(str(n), n, place=5 if n % 2 else 50, score=1000 + n) for n in range(10)])
    assert choose(past, TOP_10) is FORMS[0]


def test_posts_with_unknown_inputs_are_not_learnt_from_and_get_no_score() -> None:
    odd = posts_of([snapshot("a", 0, ratio=None), snapshot("b", 0, age=5.0)])
    settled = [post for post in POSTS if post.whole(END)]
    assert usable([*odd, *settled]) == usable(settled)
    assert scored(train(settled, TOP_10, FORMS[0]), odd, TOP_10) == []


def test_a_model_tells_later_posts_apart_as_well_as_the_truth_allows() -> None:
    past = [post for post in POSTS if post.settled(START + 30 * HOUR)]
    later = [post for post in POSTS if post.seen >= START + 30 * HOUR and post.whole(END)]
    truth = [
        (post.first.score or 0) / post.first.age * (2.0 if post.first.subreddit == "big" else 0.7) for post in later
    ]
    best = auc([(rise, "top_10" in post.reached) for rise, post in zip(truth, later, strict=True)])
    assert best > 0.9
    assert auc(scored(train(past, TOP_10, FORMS[0]), later, TOP_10)) == pytest.approx(best, abs=0.02)
