"""When published comments are looked at again."""

import math

import pytest

from signalflow.domain import comment_refresh
from signalflow.domain.comment_refresh import AGES, BATCH, PATIENCE, RETRY_AFTER, CommentRefreshes

START = 1_000_000.0


def everyone(subreddit: str) -> bool:
    return True


def waiting(count: int, *, answers_ids: bool = True, created: float = START) -> CommentRefreshes:
    refreshes = CommentRefreshes(answers_ids=answers_ids)
    for number in range(count):
        refreshes.published(f"c{number}", "a", created + number, created + number)
    return refreshes


def test_a_batch_goes_when_its_first_comment_is_late_and_others_that_are_due_go_with_it() -> None:
    refreshes = waiting(BATCH + 20)
    late_at = START + AGES[0] + PATIENCE
    assert refreshes.wake_at() == late_at
    assert not refreshes.ready(late_at - 1)
    assert refreshes.take(everyone, late_at) == tuple(f"c{number}" for number in range(BATCH))
    assert refreshes.wake_at() == late_at + BATCH
    assert refreshes.take(everyone, late_at) == tuple(f"c{number}" for number in range(BATCH, BATCH + 20))


def test_comments_that_are_not_due_wait() -> None:
    refreshes = waiting(1)
    for id_, later in (("just_due", PATIENCE), ("young", PATIENCE + 1)):
        refreshes.published(id_, "a", START + later, START + later)
    assert refreshes.take(everyone, START + AGES[0] + PATIENCE) == ("c0", "just_due")


def test_a_comment_is_looked_at_once_at_each_age_and_then_forgotten() -> None:
    refreshes, seen = waiting(1), []
    while (now := refreshes.wake_at()) < math.inf:
        seen.append(now - START)
        refreshes.done(refreshes.take(everyone, now), now)
    assert seen == [age + PATIENCE for age in AGES]


def test_an_age_that_has_passed_is_left_out() -> None:
    refreshes = CommentRefreshes(answers_ids=True)
    refreshes.published("late", "a", START, START + AGES[1])
    assert refreshes.wake_at() == START + AGES[2] + PATIENCE
    refreshes.published("too late", "a", START, START + AGES[2])
    assert refreshes.take(everyone, START + AGES[2] + PATIENCE) == ("late",)


def test_after_no_answer_the_batch_comes_again_soon_and_if_it_is_the_reason_at_its_next_age() -> None:
    refreshes = waiting(1)
    now = refreshes.wake_at()
    refreshes.failed(refreshes.take(everyone, now), now)
    assert refreshes.wake_at() == now + RETRY_AFTER + PATIENCE
    now = refreshes.wake_at()
    refreshes.done(refreshes.take(everyone, now), now)
    assert refreshes.wake_at() == START + AGES[1] + PATIENCE


def test_comments_of_subreddits_that_are_no_longer_followed_are_forgotten() -> None:
    refreshes = waiting(3)
    now = refreshes.wake_at()
    assert refreshes.take(lambda name: name != "a", now) == ()
    assert refreshes.wake_at() == math.inf


def test_without_requests_by_id_and_beyond_the_limit_no_comment_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waiting(5, answers_ids=False).wake_at() == math.inf
    monkeypatch.setattr(comment_refresh, "MOST_WAITING", 2)
    refreshes = waiting(5)
    assert refreshes.take(everyone, refreshes.wake_at()) == ("c0", "c1")


def test_a_comment_that_needs_no_more_looks_leaves_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comment_refresh, "MOST_WAITING", 1)
    refreshes = waiting(1)
    while (now := refreshes.wake_at()) < math.inf:
        refreshes.done(refreshes.take(everyone, now), now)
    refreshes.published("next", "a", now := START + AGES[-1] + PATIENCE, now)
    assert refreshes.take(everyone, refreshes.wake_at()) == ("next",)


def test_a_comment_that_was_published_twice_is_looked_at_once() -> None:
    refreshes = waiting(1)
    refreshes.published("c0", "a", START, START + 60)
    assert refreshes.take(everyone, refreshes.wake_at()) == ("c0",)
