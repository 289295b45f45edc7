"""What is known about a post, and which of its observations are published."""

import math

import pytest

from signalflow.domain.known import (
    CHECKPOINTS,
    KnownPost,
    Seen,
    StoredPost,
    first_seen,
    from_database,
    must_publish,
    next_checkpoint,
    note_observation,
    note_published,
    text_changed,
)

CREATED = 1_000_000.0
SEEN = Seen("p1", "Python", CREATED, 10, 3, ("open",), 77)


def known(*, at: float = 60.0) -> KnownPost:
    """A post that was published for the first time `at` seconds after its creation."""
    return first_seen(SEEN, CREATED + at)


def unchanged(*, at: float = 60.0) -> KnownPost:
    """The same post after a second observation without a change."""
    post = known(at=at)
    note_published(post, SEEN, CREATED + at)
    return post


def test_checkpoints_come_after_half_an_hour_2_6_24_and_36_hours() -> None:
    ages, at = [], CREATED
    while (at := next_checkpoint(CREATED, at)) < math.inf:
        ages.append((at - CREATED) / 3600)
    assert ages == [0.5, 2, 6, 24, 36]
    assert next_checkpoint(CREATED, CREATED + CHECKPOINTS[0] - 1) == CREATED + CHECKPOINTS[0]


def test_a_new_post_is_known_as_it_was_published() -> None:
    now = CREATED + 2000
    assert first_seen(SEEN, now) == KnownPost(
        id="p1",
        subreddit="Python",
        created=CREATED,
        published_at=now,
        score=10,
        comments=3,
        state=("open",),
        text=77,
        is_unchanged=False,
        seen_at=now,
        seen_score=10,
        velocity_at=now,
        checkpoint=CREATED + 7200,
    )


def test_a_post_of_the_database_is_known_as_it_was_last_published() -> None:
    at = CREATED + 2000
    assert from_database(StoredPost("p1", "Python", CREATED, at, 10, 3, True, 0.25, ("open",))) == KnownPost(
        id="p1",
        subreddit="Python",
        created=CREATED,
        published_at=at,
        score=10,
        comments=3,
        state=("open",),
        text=None,
        is_unchanged=True,
        seen_at=at,
        seen_score=10,
        velocity_at=at,
        score_velocity=0.25,
        checkpoint=CREATED + 7200,
    )


def test_a_post_that_the_database_calls_no_longer_shown_is_published_when_it_is_shown_again() -> None:
    at, since = CREATED + 2000, CREATED + 2500
    stored = StoredPost("p1", "Python", CREATED, at, 10, 3, True, 0.25, ("open",), since)
    post = from_database(stored)
    assert post.not_shown_since == since
    now = CREATED + 3000
    assert not must_publish(from_database(stored._replace(not_shown_since=None)), SEEN, now)
    note_observation(post, SEEN, now)
    assert must_publish(post, SEEN, now), "also after an attempt that the brokers did not confirm"
    note_observation(post, SEEN, now + 60)
    assert must_publish(post, SEEN, now + 60)
    note_published(post, SEEN, now + 60)
    assert (post.not_shown_since, post.absences) == (None, 0)
    assert not must_publish(post, SEEN, now + 120)


# --- what a source does not tell


UNTOLD = Seen("p1", "Python", CREATED, None, None, None, 77)


def test_an_observation_without_numbers_is_no_change_and_takes_none_away() -> None:
    post = known(at=0)
    now = CREATED + 600
    assert not note_observation(post, UNTOLD, now)
    assert post.seen_at == now
    assert (post.seen_score, post.score_velocity) == (10, 0.0)
    assert not must_publish(post, UNTOLD, now), "it cannot show that the score stands still"
    edited = UNTOLD._replace(text=78)
    assert must_publish(post, edited, now)
    note_published(post, edited, now)
    assert (post.score, post.comments, post.state, post.text) == (10, 3, ("open",), 78)
    assert must_publish(post, SEEN._replace(text=78), now + 60), "this is still to be shown"


def test_a_post_without_numbers_is_published_once_and_again_when_its_numbers_are_seen() -> None:
    post = first_seen(UNTOLD, CREATED + 60)
    assert not must_publish(post, UNTOLD, CREATED + 120)
    now = CREATED + 180
    assert not note_observation(post, SEEN, now), "nothing is known of a change"
    assert must_publish(post, SEEN, now)
    note_published(post, SEEN, now)
    assert (post.score, post.comments, post.state) == (10, 3, ("open",))
    note_observation(post, SEEN._replace(score=70), now + 60)
    # 1 a second, of which 1 - exp(-60/600) counts
    assert post.score_velocity == pytest.approx(0.0951626, abs=1e-6)


# --- the smoothed velocity


def test_the_velocity_approaches_what_was_seen_with_a_memory_of_ten_minutes() -> None:
    post = known(at=0)
    assert note_observation(post, SEEN._replace(score=70), CREATED + 60)
    # 1 a second, of which 1 - exp(-60/600) counts
    assert post.score_velocity == pytest.approx(0.0951626, abs=1e-6)
    assert (post.seen_at, post.seen_score, post.velocity_at) == (CREATED + 60, 70, CREATED + 60)
    assert note_observation(post, SEEN._replace(score=130), CREATED + 120)
    assert post.score_velocity == pytest.approx(0.1812692, abs=1e-6)  # 1 - exp(-120/600)


def test_two_observations_within_a_second_count_as_a_second_apart() -> None:
    post = known(at=0)
    note_observation(post, SEEN._replace(score=20), CREATED + 0.01)
    assert post.score_velocity == pytest.approx(10 * 0.0016653, abs=1e-5)  # 1 - exp(-1/600)


def test_a_score_that_stands_still_has_no_velocity_however_often_it_is_seen() -> None:
    post = known(at=0)
    assert not note_observation(post, SEEN, CREATED + 500)
    assert (post.score_velocity, post.seen_at, post.velocity_at) == (0.0, CREATED + 500, CREATED + 500)
    assert not note_observation(post, SEEN, CREATED + 520)
    assert note_observation(post, SEEN._replace(score=SEEN.score + 1), CREATED + 530)
    # One vote in ten seconds, of which 1 - exp(-10/600) counts.
    assert post.score_velocity == pytest.approx(0.1 * 0.0165285, abs=1e-6)


def test_a_rising_score_that_stands_still_is_slower_only_after_a_minute() -> None:
    post = known(at=0)
    post.score_velocity = 1.0
    assert not note_observation(post, SEEN, CREATED + 59)
    assert (post.score_velocity, post.velocity_at, post.seen_at) == (1.0, CREATED, CREATED + 59)
    assert not note_observation(post, SEEN, CREATED + 60)
    assert post.score_velocity == pytest.approx(0.9048374, abs=1e-6)  # exp(-60/600)
    assert post.velocity_at == CREATED + 60


def test_a_change_within_a_minute_of_a_rising_score_counts_at_once() -> None:
    post = known(at=0)
    post.score_velocity = 1.0
    assert note_observation(post, SEEN._replace(score=SEEN.score + 10), CREATED + 10)
    assert post.score_velocity == pytest.approx(1.0)


def test_a_velocity_that_fades_ends_at_zero() -> None:
    post = known(at=0)
    post.score_velocity = 1e-6
    note_observation(post, SEEN, CREATED + 61)
    assert post.score_velocity == 0.0
    post.score_velocity = -1e-4
    note_observation(post, SEEN, CREATED + 122)
    assert post.score_velocity == pytest.approx(-1e-4 * 0.9033304, rel=1e-5), "a slow fall is still a fall"


# --- what is published


def test_an_unchanged_post_is_not_published_again() -> None:
    assert not must_publish(unchanged(), SEEN, CREATED + 600)


@pytest.mark.parametrize(
    "change", [{"score": 11}, {"score": 9}, {"comments": 4}, {"comments": 2}, {"state": ("locked",)}, {"text": 78}]
)
def test_every_change_is_published_once_five_seconds_have_passed(change: dict[str, object]) -> None:
    post, seen = unchanged(), SEEN._replace(**change)  # type: ignore[arg-type]
    assert not must_publish(post, seen, CREATED + 64.9)
    assert must_publish(post, seen, CREATED + 65.0)


def test_a_post_is_published_once_more_after_a_change_so_that_its_velocity_ends() -> None:
    post, changed = unchanged(), SEEN._replace(score=11)
    note_published(post, changed, CREATED + 70)
    assert must_publish(post, changed, CREATED + 80)
    note_published(post, changed, CREATED + 80)
    assert not must_publish(post, changed, CREATED + 90)
    note_published(post, changed._replace(comments=9), CREATED + 100)
    assert must_publish(post, changed._replace(comments=9), CREATED + 110)


def test_a_checkpoint_is_published_although_nothing_changed() -> None:
    post = unchanged()
    assert not must_publish(post, SEEN, CREATED + CHECKPOINTS[0] - 0.1)
    assert must_publish(post, SEEN, CREATED + CHECKPOINTS[0])


@pytest.mark.parametrize(
    ("before", "after", "is_change"), [(1, 2, True), (1, 1, False), (None, 1, False), (1, None, False)]
)
def test_a_text_changes_only_between_two_that_were_seen(before: int | None, after: int | None, is_change: bool) -> None:
    post = known()
    post.text = before
    assert text_changed(post, SEEN._replace(text=after)) is is_change


def test_what_was_published_is_what_later_observations_are_compared_with() -> None:
    post = known()
    note_published(post, Seen("p1", "Python", CREATED, 12, 5, ("locked",), 80), CREATED + 100)
    assert (post.score, post.comments, post.state, post.text) == (12, 5, ("locked",), 80)
    assert (post.published_at, post.is_unchanged, post.checkpoint) == (CREATED + 100, False, CREATED + 1800)
    note_published(post, Seen("p1", "Python", CREATED, 12, 5, ("locked",), None), CREATED + 200)
    assert (post.text, post.is_unchanged) == (80, True), "an answer without the text does not forget it"


def test_a_published_checkpoint_is_followed_by_the_next_one() -> None:
    post = unchanged()
    note_published(post, SEEN, CREATED + 1799)
    assert post.checkpoint == CREATED + 1800
    note_published(post, SEEN, CREATED + 1800)
    assert post.checkpoint == CREATED + 7200
