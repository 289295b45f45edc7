"""Posts that take off have the best comments of their tree read, within a pace of their own."""

import math
from collections.abc import Sequence

import pytest

from signalflow.domain.comment_planner import GAP_PAGE_TIMEOUT, SHARE_OF_TREES, CommentPlanner
from signalflow.domain.comment_refresh import AGES, PATIENCE
from signalflow.domain.comment_trees import (
    AGAIN,
    BATCH,
    LONGEST_WAIT,
    MOST_TRIES,
    MOST_WAITING,
    RETRY_AFTER,
    CommentTrees,
    Tree,
)
from signalflow.domain.fetch import CommentsByIdRequest, Fetch, Findings, PostCommentsRequest, Request
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import KnownPost, Seen, first_seen
from signalflow.domain.post_run import PostResult, PostRun
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.tree_fetches import fetch_of

START = 1_000_000.0
TAKES_OFF = 10.0


def post(id_: str, velocity: float) -> KnownPost:
    known = first_seen(Seen(id_, "a", START - 60, 5, 0), START)
    known.score_velocity = velocity
    return known


def trees(most: int = 20) -> CommentTrees:
    return CommentTrees(1.0, most, TAKES_OFF)


def taken(waiting: CommentTrees, now: float) -> str | None:
    tree = waiting.take(now)
    return None if tree is None else tree.post


def test_the_post_that_grows_fastest_goes_first_and_each_request_waits_for_the_pace() -> None:
    waiting = trees()
    for id_, velocity in (("p1", 12.0), ("p2", 40.0), ("p3", 10.1), ("slow", TAKES_OFF)):
        waiting.note(post(id_, velocity), START)
    assert taken(waiting, START) == "p2"
    assert taken(waiting, START + 59) is None
    assert waiting.wake_at() == START + 60
    assert [taken(waiting, START + 60), taken(waiting, START + 120), taken(waiting, START + 180)] == ["p1", "p3", None]
    assert waiting.wake_at() == math.inf


def test_with_no_comments_for_a_post_none_waits() -> None:
    waiting = trees(most=0)
    waiting.note(post("p1", 99.0), START)
    assert (taken(waiting, START), waiting.wake_at()) == (None, math.inf)


def test_a_post_is_read_again_only_after_a_while() -> None:
    waiting = trees()
    waiting.note(post("p1", 12.0), START)
    assert taken(waiting, START) == "p1"
    waiting.note(post("p1", 12.0), START + AGAIN - 1)
    assert taken(waiting, START + AGAIN - 1) is None
    waiting.note(post("p1", 12.0), START + AGAIN)
    assert taken(waiting, START + AGAIN) == "p1"


def test_a_post_that_no_longer_grows_does_not_wait_for_ever() -> None:
    waiting = trees()
    waiting.note(post("p1", 12.0), START)
    waiting.note(post("p2", 11.0), START + 1)
    assert taken(waiting, START + LONGEST_WAIT + 1) == "p2"
    assert taken(waiting, START + 2 * LONGEST_WAIT) is None


def test_more_posts_than_can_wait_leave_out_the_slowest() -> None:
    waiting = trees()
    for number in range(MOST_WAITING + 5):
        waiting.note(post(f"p{number}", TAKES_OFF + number), START)
    found = [taken(waiting, START + 60 * turn) for turn in range(30)]
    assert found == [f"p{MOST_WAITING + 4 - turn}" for turn in range(30)]
    assert len(set(waiting._waiting)) == MOST_WAITING - 30


def test_a_tree_without_an_answer_is_asked_for_again_and_given_up_in_the_end() -> None:
    waiting = trees()
    waiting.note(post("p1", 12.0), START)
    now = START
    for _ in range(MOST_TRIES):
        tree = waiting.take(now)
        assert tree is not None
        waiting.failed(tree, now)
        assert waiting.take(now + RETRY_AFTER - 1) is None
        now += RETRY_AFTER
    assert (waiting.take(now), waiting.wake_at()) == (None, math.inf)


def test_what_a_tree_leaves_out_is_followed_within_the_bound_and_counted_beyond() -> None:
    tree = Tree("p", 10, published=7)
    tree.note_left_out([(("c1", "c2"), 5), ((), 1), (("c3", "c4"), 2)])
    assert (tree.rest, tree.not_followed) == (("c1", "c2", "c3"), 3 + 1 + 1)
    tree.read_rest(("c1", "c2"), {"c1"})
    assert (tree.rest, tree.not_followed) == (("c3",), 6)


def test_what_was_left_out_is_unknown_until_an_answer_tells_it() -> None:
    tree = Tree("p", 10, published=7)
    tree.note_left_out(None)
    assert (tree.rest, tree.not_followed) == ((), None)
    tree.note_left_out([])
    assert (tree.rest, tree.not_followed) == ((), 0)


@pytest.mark.parametrize(("left_out", "told"), [(None, None), ((), 0)])
def test_the_result_of_a_run_has_what_was_left_out_as_far_as_the_source_tells(
    left_out: Sequence[tuple[Sequence[str], int]] | None, told: int | None
) -> None:
    waiting, run = trees(), PostRun(1, ["p1"], 10)
    waiting.begin(run)
    tree = waiting.take_asked(START)
    assert tree is not None
    fetch = fetch_of(tree, waiting)
    fetch.note_tree([], left_out)
    fetch.confirm(Findings(fetch, [], None, START), new=0, is_complete=True, now=START)
    assert run.results == {"p1": PostResult(not_followed=told)}


def test_depths_follow_from_parents_in_any_order_and_are_unknown_without_them() -> None:
    tree = Tree("p", 10)
    assert tree.depths([("a", "t3_p", 0), ("b", "t1_a", 1)]) == {"a": 0, "b": 1}
    told = [("e", "t1_d"), ("d", "t1_c"), ("c", "t1_b"), ("f", "t3_p"), ("x", "t1_gone"), ("l", "t1_m"), ("m", "t1_l")]
    found = tree.depths([*((id_, parent, None) for id_, parent in told), ("n", None, None)])
    assert found == {"e": 4, "d": 3, "c": 2, "f": 0}


# --- in the planner of comments


def planner(most: int = 150) -> CommentPlanner:
    made = CommentPlanner(20.0, LastAnswers(), comments_per_post=most, takes_off=TAKES_OFF)
    made.start([Subreddit("a", 60, "fast")], [], [], START)
    made.trees.note(post("p1", 12.0), START)
    return made


def comments(*ids: str) -> list[Seen]:
    return [Seen(id_, "a", START - 7_200, 1, None) for id_ in ids]


def answer(
    made: CommentPlanner, fetch: Fetch, items: Sequence[Seen], left_out: Sequence[str] = (), *, is_sent: bool = True
) -> list[bool]:
    """Take an answer; returns of each published comment whether it was new."""
    fetch.note_tree([(item.id, "t3_p1", 0) for item in items], [(left_out, len(left_out))] if left_out else [])
    findings = made.judge(fetch, items, None, START)
    made.confirm(findings, [is_sent] * len(findings.decisions), START)
    return [decision.is_new for decision in findings.decisions]


def request(fetch: Fetch | None) -> Request:
    assert fetch is not None
    return fetch.request


def test_old_comments_of_a_tree_are_new_and_known_ones_are_published_again_once() -> None:
    made = planner()
    fetch = made.next(START)
    assert fetch is not None
    assert request(fetch) == PostCommentsRequest("p1", 150)
    assert answer(made, fetch, comments("c1", "c2", "c1")) == [True, True]
    findings = made.judge(fetch, comments("c1", "c3", "c1"), None, START + 60)
    assert [(decision.item, decision.is_new) for decision in findings.decisions] == [(0, False), (1, True)]


def test_a_long_run_takes_turns_with_the_pages_of_a_gap_and_second_looks() -> None:
    made = CommentPlanner(20.0, LastAnswers(), comments_per_post=20, takes_off=TAKES_OFF)
    made.start(
        [Subreddit("a", 60, "fast", comments=True)], [], [GapRecord(1, ("a",), ("x", "y", "z"), 0, START)], START
    )
    listing = made.next(START)
    assert listing is not None
    made.confirm(made.judge(listing, [Seen("c1", "a", START - 10, 1, None)], None, START), [True], START)
    made.trees.begin(PostRun(1, [f"p{number}" for number in range(300)], 2_000))
    later = START + AGES[0] + PATIENCE
    for group in made.watchlist.groups:
        group.due = math.inf
    kinds = []
    for _ in range(7):
        fetch = made.next(later)
        assert fetch is not None
        kinds.append(fetch.kind)
        fetch.failed(later)
        later += GAP_PAGE_TIMEOUT
    assert kinds[:3] == ["comments_refresh", "comments_gap", "tree"]
    assert kinds.count("comments_gap") >= 2
    assert kinds.count("tree") >= 2


def test_the_rest_of_a_tree_is_asked_for_by_id_in_batches() -> None:
    made = planner(most=150)
    spacing = 60.0 / (20.0 * SHARE_OF_TREES)
    fetch = made.next(START)
    assert fetch is not None
    rest = [f"r{number}" for number in range(200)]
    answer(made, fetch, comments("c1"), rest)
    first = made.next(START + spacing)
    assert request(first) == CommentsByIdRequest(tuple(rest[:BATCH]))
    assert first is not None
    assert first.asked_for("r5", "a")
    assert not first.asked_for("c1", "a")
    answer(made, first, comments(*rest[:BATCH]))
    second = made.next(START + 2 * spacing)
    assert request(second) == CommentsByIdRequest(tuple(rest[BATCH:149]))
    assert second is not None
    answer(made, second, comments(*rest[BATCH:149]))
    assert made.next(START + 3 * spacing) is None


@pytest.mark.parametrize("how", ["refused", "failed"])
def test_a_tree_without_an_answer_leaves_other_requests_alone(how: str) -> None:
    made = planner()
    fetch = made.next(START)
    assert fetch is not None
    getattr(fetch, how)(START)
    assert made.next(START + RETRY_AFTER - 1) is None
    assert (made.next(START + RETRY_AFTER) is None) == (how == "refused")
