"""Which posts are refreshed next, and how many."""

import math

import pytest

from signalflow.domain.known import KnownPost, Seen, first_seen
from signalflow.domain.refresh import (
    EMPTY_WAIT,
    HIGHEST_THRESHOLD,
    LOWEST_THRESHOLD,
    MOST_SEEN_LATELY,
    RefreshQueue,
    value_per_minute,
)

NOW = 1_000_000.0


def post(id_: str = "p1", *, age: float = 0.0, score: int = 1, velocity: float = 0.0, seen: float = 0.0) -> KnownPost:
    """A known post that was created `age` seconds ago and last seen `seen` seconds ago."""
    made = first_seen(Seen(id_, "a", NOW - age, score, 0), NOW - seen)
    made.score_velocity = velocity
    return made


class Queue:
    """A queue with the posts that are in it."""

    def __init__(self, *posts: KnownPost, per_minute: float = 6000.0, at: float = NOW) -> None:
        self.queue, self.posts = RefreshQueue(per_minute), {each.id: each for each in posts}
        for each in posts:
            self.queue.put(each, at)

    def take(self, now: float, *, unwanted: frozenset[str] = frozenset()) -> list[str]:
        return self.queue.take(self.posts, now, lambda known: known.id not in unwanted)


# --- the value of a refresh


def test_the_value_of_a_refresh_of_an_old_post_without_change_reaches_one_in_half_a_day() -> None:
    assert value_per_minute(post(age=40 * 3600), NOW) * 720 == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        # (60 * |velocity| + prior) / (2 + sqrt(score)) + 1/720, prior = 0.1 * exp(-age / 120 min) / (1 + refreshes)
        (post(), 0.1 / 3 + 1 / 720),
        (post(age=7200), 0.1 * math.exp(-1) / 3 + 1 / 720),
        (post(score=100), 0.1 / 12 + 1 / 720),
        (post(score=0), 0.1 / 2 + 1 / 720),
        (post(score=-50), 0.1 / 2 + 1 / 720),
        (post(velocity=0.5), 30.1 / 3 + 1 / 720),
        (post(velocity=-0.5), 30.1 / 3 + 1 / 720),
        (post(age=-3600), 0.1 / 3 + 1 / 720),
    ],
)
def test_the_value_is_the_expected_change_divided_by_its_noise(known: KnownPost, expected: float) -> None:
    assert value_per_minute(known, NOW) == pytest.approx(expected)


def test_each_refresh_lowers_what_a_young_post_may_begin_to_show() -> None:
    known = post()
    known.refreshes = 4
    assert value_per_minute(known, NOW) == pytest.approx(0.02 / 3 + 1 / 720)


# --- when a post is due


def test_a_post_is_due_when_its_value_reaches_the_threshold_and_not_within_three_minutes() -> None:
    known = post(seen=60)
    Queue(known)
    # The threshold begins at 0.5.
    assert known.due == pytest.approx(NOW - 60 + 60 * 0.5 / (0.1 / 3 + 1 / 720))
    busy = post(velocity=50, seen=60)
    Queue(busy)
    assert busy.due == NOW - 60 + 180


def test_a_post_is_refreshed_once_it_is_due_and_then_no_more_until_it_is_put_back() -> None:
    known = post(velocity=50)
    queue = Queue(known)
    assert queue.take(NOW + 179) == []
    assert queue.take(NOW + 180) == ["p1"]
    assert queue.take(NOW + 1000) == []
    known.seen_at = NOW + 1000
    queue.queue.put(known, NOW + 1000)
    assert queue.take(NOW + 1180) == ["p1"]


def test_a_post_whose_score_changed_is_refreshed_earlier() -> None:
    known = post(age=7200)
    queue = Queue(known)
    before = known.due
    known.score_velocity = 5.0
    queue.queue.score_changed(known, NOW)
    assert known.due == NOW + 180 < before
    assert queue.take(NOW + 180) == ["p1"]
    assert queue.take(before + 1) == [], "its first place in the queue does not count any more"


def test_a_score_that_changed_to_a_slower_pace_moves_nothing() -> None:
    known = post(velocity=50)
    queue = Queue(known)
    known.score_velocity = 0.0
    queue.queue.score_changed(known, NOW)
    assert known.due == NOW + 180


def test_a_post_that_a_listing_showed_meanwhile_waits_again() -> None:
    known = post(velocity=50)
    queue = Queue(known)
    known.seen_at = NOW + 170
    assert queue.take(NOW + 180) == []
    assert known.due == NOW + 350
    assert queue.take(NOW + 349.9) == []
    assert queue.take(NOW + 350) == ["p1"]


def test_a_batch_with_room_takes_posts_early_but_none_seen_within_three_minutes() -> None:
    early, seen = post("early", age=9000, seen=200), post("seen", age=9000, seen=100)
    queue = Queue(early, seen, post("due", velocity=50, seen=200))
    assert queue.take(NOW) == ["due", "early"]
    assert queue.take(NOW + 79) == []
    assert queue.take(NOW + 80) == ["seen"], "it stays in the queue"


def test_a_batch_with_room_does_not_look_at_all_posts_that_were_seen_lately() -> None:
    lately = [post(f"lately{n}", age=3600, velocity=1.0, seen=179) for n in range(MOST_SEEN_LATELY + 50)]
    early = post("early", age=40 * 3600, seen=600)
    full = Queue(*lately, early)
    assert full.take(NOW) == []
    assert full.queue.wake_at() == NOW + EMPTY_WAIT
    few = Queue(*lately[1:MOST_SEEN_LATELY], early)
    assert few.take(NOW) == ["early"]
    # None of them is forgotten: all are due two seconds later.
    found = {id_ for second in range(2, 20) for id_ in full.take(NOW + second)}
    assert found == {each.id for each in lately} | {"early"}


def test_posts_that_are_not_wanted_or_known_any_more_are_left_out() -> None:
    queue = Queue(*(post(id_, velocity=50, seen=300) for id_ in ("p1", "p2", "p3")))
    del queue.posts["p3"]
    assert queue.take(NOW, unwanted=frozenset({"p1"})) == ["p2"]
    assert queue.posts["p1"].due == math.inf
    assert queue.take(NOW + 1) == []


# --- checkpoints


def test_a_due_checkpoint_comes_before_the_value_and_a_post_comes_once() -> None:
    queue = Queue(
        post("busy", velocity=50, seen=300), post("old", age=1800, seen=300), post("older", age=1801, seen=300)
    )
    assert queue.take(NOW) == ["older", "old", "busy"]
    assert queue.take(NOW + 1) == []


def test_a_checkpoint_is_due_although_the_post_was_seen_just_before_or_is_not_wanted() -> None:
    known = post(age=1700)
    queue = Queue(known)
    known.seen_at = NOW + 99
    assert queue.take(NOW + 99) == []
    assert queue.take(NOW + 100, unwanted=frozenset({"p1"})) == ["p1"]


def test_a_checkpoint_that_a_listing_has_shown_is_passed_over_for_the_next() -> None:
    known = post(age=1700)
    queue = Queue(known)
    known.checkpoint, known.seen_at = NOW + 5500, NOW + 5400
    assert queue.take(NOW + 100) == []
    assert queue.take(NOW + 5499) == []
    assert queue.take(NOW + 5500) == ["p1"]


def test_a_post_waits_once_for_its_checkpoint_however_often_it_is_put_back() -> None:
    known = post(age=1700)
    queue = Queue(known)
    for _ in range(5):
        queue.queue.put(known, NOW)
    assert queue.take(NOW + 100) == ["p1"]
    assert queue.take(NOW + 101) == []


def test_a_post_that_is_not_known_any_more_has_no_checkpoint() -> None:
    queue = Queue(post("gone", age=1801, seen=300), post("old", age=1800, seen=300))
    del queue.posts["gone"]
    assert queue.take(NOW) == ["old"]


def test_a_post_without_a_checkpoint_left_waits_for_its_value_alone() -> None:
    known = post(age=40 * 3600)
    queue = Queue(known)
    assert known.checkpoint == math.inf
    assert queue.take(NOW + 10 * 3600) == ["p1"], "half of the value 1 takes six hours"


# --- batches and their pace


def test_a_batch_has_a_hundred_ids_and_the_rest_comes_in_the_next() -> None:
    queue = Queue(*(post(f"p{number}", velocity=50, seen=300) for number in range(250)))
    assert [len(queue.take(NOW)) for _ in range(4)] == [100, 100, 50, 0]
    queue = Queue(*(post(f"p{number}", age=1800, seen=100) for number in range(150)))
    assert [len(queue.take(NOW)) for _ in range(3)] == [100, 50, 0]


def test_batches_keep_to_the_ids_a_minute() -> None:
    queue = Queue(*(post(f"p{number}", velocity=50, seen=300) for number in range(500)), per_minute=200)
    assert queue.queue.ready(NOW)
    queue.take(NOW)
    assert queue.queue.next_at == NOW + 30
    assert not queue.queue.ready(NOW + 29.9)
    assert queue.queue.ready(NOW + 30)
    queue.take(NOW + 40)
    assert queue.queue.next_at == NOW + 60, "a batch that is a little late does not delay the next"
    queue.take(NOW + 90)
    assert queue.queue.next_at == NOW + 120, "missed batches do not come as a burst"


def test_after_a_batch_without_a_post_it_is_asked_again_in_five_seconds() -> None:
    queue = Queue()
    assert queue.take(NOW) == []
    assert queue.queue.next_at == NOW + EMPTY_WAIT == NOW + 5


@pytest.mark.parametrize("per_minute", [0.0, -1.0])
def test_with_no_ids_a_minute_nothing_waits(per_minute: float) -> None:
    known = post(age=1800)
    queue = Queue(known, per_minute=per_minute)
    known.score_velocity = 50
    queue.queue.score_changed(known, NOW)
    assert known.due == math.inf
    assert queue.take(NOW + 1000) == []


# --- the threshold


def test_the_threshold_rises_while_more_posts_are_due_than_a_batch_holds_and_falls_with_room() -> None:
    crowded = Queue(*(post(f"p{number}", velocity=50, seen=300) for number in range(300)))
    crowded.take(NOW)
    slow = post("slow", age=7200)
    crowded.queue.put(slow, NOW)
    assert slow.due == pytest.approx(NOW + 60 * 0.5 * 1.03 / value_per_minute(slow, NOW))
    idle = Queue()
    idle.take(NOW)
    idle.queue.put(slow, NOW)
    assert slow.due == pytest.approx(NOW + 60 * 0.5 / 1.03 / value_per_minute(slow, NOW))


def test_a_full_batch_that_leaves_nothing_due_lowers_the_threshold() -> None:
    queue = Queue(*(post(f"p{number}", velocity=50, seen=300) for number in range(100)), post("later", age=7200))
    assert len(queue.take(NOW)) == 100
    slow = post("slow", age=7200)
    queue.queue.put(slow, NOW)
    assert slow.due == pytest.approx(NOW + 60 * 0.5 / 1.03 / value_per_minute(slow, NOW))


def test_the_threshold_stays_within_its_bounds() -> None:
    slow = post("slow", age=40 * 3600)
    idle = Queue()
    for _ in range(1000):
        idle.take(NOW)
    idle.queue.put(slow, NOW)
    assert slow.due == pytest.approx(NOW + 60 * LOWEST_THRESHOLD / value_per_minute(slow, NOW))
    crowded = Queue(*(post(f"p{number}", age=1800) for number in range(100)), post("due", velocity=50, seen=300))
    for _ in range(200):
        for known in crowded.posts.values():
            known.checkpoint, known.checkpoint_queued = NOW, False
            crowded.queue.put(known, NOW)
        crowded.take(NOW)
    crowded.queue.put(slow, NOW)
    assert slow.due == pytest.approx(NOW + 60 * HIGHEST_THRESHOLD / value_per_minute(slow, NOW))
