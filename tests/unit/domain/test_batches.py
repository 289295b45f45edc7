"""Batches of posts that had no answer: when they are asked again, and when they are halved."""

import math

import pytest

from signalflow.domain.batches import RETRIES, SET_ASIDE, UnansweredBatches
from signalflow.domain.suspicion import LastAnswers

NOW = 1_000_000.0
BOTH, OTHERS = ("a", "b"), ("c", "d")
KNOWN = frozenset("abcd")


def made() -> tuple[UnansweredBatches, LastAnswers]:
    answers = LastAnswers()
    return UnansweredBatches(answers), answers


def taken(batches: UnansweredBatches, now: float) -> list[tuple[str, ...]]:
    """All batches that are due."""
    found = []
    while ids := batches.take(KNOWN, now):
        found.append(ids)
    return found


def test_there_is_no_batch_before_one_is_due() -> None:
    batches, _ = made()
    batches.answered(BOTH, NOW)
    assert (batches.next_due(), batches.take(KNOWN, NOW)) == (math.inf, ())
    batches.unanswered(BOTH, NOW)
    assert batches.take(KNOWN, NOW) == ()
    assert batches.take(KNOWN, NOW + RETRIES.first) == BOTH


def test_a_batch_is_asked_again_later_after_each_failure_in_a_row() -> None:
    batches, _ = made()
    for failures in (1, 2, 3):
        batches.unanswered(BOTH, NOW)
        assert batches.next_due() == NOW + RETRIES.after(failures)
    assert not batches.are_emptied


def test_a_batch_that_is_being_asked_is_not_asked_by_another_answer() -> None:
    batches, _ = made()
    batches.unanswered(BOTH, NOW)
    batches.unanswered(OTHERS, NOW)
    assert sorted(taken(batches, NOW + RETRIES.first)) == [BOTH, OTHERS]
    batches.answered(BOTH, NOW + 10)
    assert (batches.ids, batches.next_due()) == (set(OTHERS), math.inf)


def test_a_batch_that_waits_is_asked_as_soon_as_another_was_answered() -> None:
    batches, _ = made()
    batches.unanswered(BOTH, NOW)
    batches.unanswered(OTHERS, NOW + 1)
    assert batches.take(KNOWN, NOW + RETRIES.first) == BOTH
    assert batches.next_due() == NOW + 1 + RETRIES.first
    batches.answered(BOTH, NOW + RETRIES.first)
    assert batches.next_due() == NOW + RETRIES.first


def test_a_failure_that_the_ids_are_no_reason_of_only_postpones_a_batch() -> None:
    batches, _ = made()
    batches.unanswered(BOTH, NOW)
    batches.take(KNOWN, NOW + 10)
    assert batches.failed(BOTH, NOW + 20)
    assert batches.next_due() == NOW + 20 + RETRIES.first
    assert not batches.failed(OTHERS, NOW + 20)
    assert batches.ids == set(BOTH)


@pytest.mark.parametrize(("kind", "failures"), [("posts", 2), ("listing", 3)])
def test_a_batch_is_halved_when_reddit_has_answered_others(kind: str, failures: int) -> None:
    """Answers to other requests by id are proof at once; those to listings only at the third failure."""
    batches, answers = made()
    for failure in range(failures):
        assert batches.set_aside == frozenset()
        batches.unanswered(BOTH, NOW + failure)
        answers.note(kind, NOW + failure + 0.5)  # type: ignore[arg-type]
        halved = failure + 1 == failures
        assert sorted(taken(batches, NOW + failure)) == ([("a",), ("b",)] if halved else [])


@pytest.mark.parametrize(("was_empty", "is_halved"), [(True, False), (False, True)])
def test_only_answers_with_posts_are_evidence_against_an_empty_answer(was_empty: bool, is_halved: bool) -> None:
    batches, answers = made()
    batches.unanswered(BOTH, NOW, was_empty=was_empty)
    answers.note("posts", NOW + 1, shows_posts=False)
    batches.unanswered(BOTH, NOW + 2, was_empty=was_empty)
    assert (("a",) in taken(batches, NOW + 2)) == is_halved
    assert batches.are_emptied == was_empty


def test_a_half_that_fails_once_more_is_halved_again_whatever_was_answered() -> None:
    batches, answers = made()
    ids = ("a", "b", "c", "d")
    batches.unanswered(ids, NOW, was_empty=True)
    answers.note("posts", NOW + 1)
    batches.unanswered(ids, NOW + 2, was_empty=True)
    assert batches.are_emptied
    assert sorted(taken(batches, NOW + 2)) == [BOTH, OTHERS]
    answers.note("listing", NOW + 3)
    batches.unanswered(BOTH, NOW + 4)
    assert sorted(taken(batches, NOW + 4)) == [("a",), ("b",)]
    # The second failure in a row of a half is its third.
    batches.unanswered(OTHERS, NOW + 4)
    assert batches.next_due() == NOW + 4


def test_a_half_that_fails_while_nothing_else_is_answered_waits_as_after_a_third_failure() -> None:
    batches, answers = made()
    ids = ("a", "b", "c", "d")
    batches.unanswered(ids, NOW)
    answers.note("posts", NOW + 1)
    batches.unanswered(ids, NOW + 2)
    assert sorted(taken(batches, NOW + 2)) == [BOTH, OTHERS]
    batches.unanswered(BOTH, NOW + 3)
    assert batches.next_due() == NOW + 3 + RETRIES.after(3)


def test_a_single_post_is_set_aside_by_answers_to_other_posts_only_and_later_after_each_try() -> None:
    batches, answers = made()
    batches.unanswered(("a",), NOW)
    answers.note("listing", NOW + 1)
    batches.unanswered(("a",), NOW + 2)
    assert batches.set_aside == frozenset()
    answers.note("posts", NOW + 3)
    for tries in (1, 2):
        batches.unanswered(("a",), NOW + 4)
        assert batches.set_aside == {"a"}
        assert batches.next_due() == NOW + 4 + SET_ASIDE.after(tries)
    batches.answered(("a",), NOW + 5)
    assert batches.set_aside == frozenset()
