"""Subreddits that a combined listing left out: which of them are read by themselves, and how far back."""

import math

import pytest

from signalflow.domain.known import Seen
from signalflow.domain.overlap import ANCHOR_SIZE, UNSETTLED, Anchor
from signalflow.domain.reappearance import Reappearances

BOTTOM = 1_000.0


def post(id_: str, created: float, subreddit: str = "Quiet") -> Seen:
    return Seen(id_, subreddit, created, 1, 0)


PAGE = [post("n1", BOTTOM + 60), post("o1", BOTTOM, "others")]


def seen_by(newest: float, *, is_whole: bool = False) -> Reappearances:
    """What is left after a page with a new post of a subreddit whose newest known post is so old."""
    reappearances = Reappearances()
    reappearances.note("quiet", newest, "k1")
    reappearances.read_page(PAGE, PAGE[:1], is_whole=is_whole)
    return reappearances


def test_a_new_post_of_a_subreddit_whose_newest_is_below_the_page_has_it_read_by_itself() -> None:
    reappearances = seen_by(BOTTOM - 1)
    assert reappearances.take() == ("quiet", Anchor(frozenset({"k1"}), BOTTOM - 1 - UNSETTLED))
    assert (len(reappearances), reappearances.take()) == (0, None)


@pytest.mark.parametrize(("newest", "is_whole"), [(BOTTOM, False), (BOTTOM + 1, False), (BOTTOM - 1, True)])
def test_nothing_can_lie_between_a_known_post_on_the_page_or_above_the_end_of_the_listing(
    newest: float, is_whole: bool
) -> None:
    assert not seen_by(newest, is_whole=is_whole)


def test_a_subreddit_without_a_known_post_and_a_page_without_a_post_tell_nothing() -> None:
    reappearances = Reappearances()
    reappearances.read_page(PAGE, PAGE[:1], is_whole=False)
    reappearances.read_page([], [], is_whole=False)
    assert not reappearances


def test_its_page_must_reach_the_newest_posts_of_the_subreddit_known_before() -> None:
    reappearances = Reappearances()
    for age in range(ANCHOR_SIZE + 3, 0, -1):
        reappearances.note("quiet", BOTTOM - age, f"k{age}")
    reappearances.note("quiet", BOTTOM - 99, "late")
    reappearances.note("others", BOTTOM - 5, "of another")
    reappearances.read_page(PAGE, PAGE[:1], is_whole=False)
    anchor = Anchor(frozenset(f"k{age}" for age in range(1, ANCHOR_SIZE + 1)), BOTTOM - 1 - UNSETTLED)
    assert reappearances.take() == ("quiet", anchor)


def test_what_waits_keeps_its_anchor_when_more_arrives_and_after_a_failure() -> None:
    reappearances = seen_by(BOTTOM - 1)
    reappearances.note("quiet", BOTTOM + 60, "n1")
    later = [post("n2", BOTTOM + 900), post("o2", BOTTOM + 600, "others")]
    reappearances.read_page(later, later[:1], is_whole=False)
    name, anchor = reappearances.take() or ("", Anchor(frozenset(), 0.0))
    assert anchor.ids == {"k1"}
    reappearances.put_back(name, anchor)
    reappearances.put_back(name, Anchor(frozenset(), math.inf))
    assert reappearances.take() == ("quiet", anchor)


def test_a_subreddit_is_missing_if_it_has_a_post_above_the_bottom_and_none_on_the_page() -> None:
    reappearances = Reappearances()
    for name, created in (("missing", BOTTOM + 1), ("at the bottom", BOTTOM), ("shown", BOTTOM + 1)):
        reappearances.note(name, created, name)
    names = ("missing", "at the bottom", "shown", "never known")
    assert reappearances.missing(names, {"shown"}, BOTTOM) == {"missing"}
