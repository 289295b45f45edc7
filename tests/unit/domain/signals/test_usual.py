"""The range that is usual where a signal was found."""

import math

from signalflow.domain.signals.usual import Usual, usual


def test_numbers_of_posts_spread_by_amounts_and_are_never_below_none() -> None:
    assert usual("subreddit", 10, {"variance": 4}) == Usual(10, 6, 14)
    assert usual("term", 1, {"variance": 4}) == Usual(1, 0, 5)


def test_scores_spread_by_factors() -> None:
    assert usual("post", 10, {"log_sd": math.log(2)}) == Usual(10, 2.5, 40)


def test_a_spread_that_is_not_known_is_left_out() -> None:
    assert usual("subreddit", 10, {"variance": None}) == Usual(10, None, None)
    assert usual("post", 10, {"variance": 4}) == Usual(10, None, None)
