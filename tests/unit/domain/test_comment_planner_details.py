"""Details of the planner of comments that hardly change what is found: what it remembers, and when it asks."""

import math

import pytest

from signalflow.domain.comment_fetches import (
    LATEST_COMMENT,
    CommentsGapFetch,
    CommentsRefreshFetch,
)
from signalflow.domain.comment_planner import (
    GAP_PAGE_TIMEOUT,
    OTHERS_FOR_ONE,
    REMEMBERED,
    SHARE_OF_LISTINGS,
    SWEEP_EVERY,
    CommentPlanner,
    StoredComment,
)
from signalflow.domain.comment_refresh import AGES, PATIENCE
from signalflow.domain.fetch import Fetch
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import Decision, Seen
from signalflow.domain.overlap import ANCHOR_SIZE, PROOF, UNSETTLED, Anchor
from signalflow.domain.subreddits import Subreddit
from signalflow.domain.suspicion import LastAnswers

NOW = 1_000_000.0
PER_MINUTE = 20.0


def started(
    *names: str, stored: tuple[StoredComment, ...] = (), gaps: tuple[GapRecord, ...] = ()
) -> tuple[CommentPlanner, LastAnswers]:
    answers = LastAnswers()
    planner = CommentPlanner(PER_MINUTE, answers)
    planner.start([Subreddit(name, 60, "fast", comments=True) for name in names], stored, gaps, NOW)
    return planner, answers


def seen(id_: str, created: float = NOW - 10, subreddit: str = "a") -> Seen:
    return Seen(id_, subreddit, created, 1, None)


def due(planner: CommentPlanner, now: float = NOW) -> Fetch:
    fetch = planner.next(now)
    assert fetch is not None
    return fetch


def test_the_newest_comments_that_the_last_poll_had_settled_are_the_anchor_in_whatever_order_they_come() -> None:
    stored = tuple(StoredComment(f"c{n}", "A", NOW - 1_000 + (n * 37) % 100) for n in range(100))
    planner, _ = started()
    planner.configure([Subreddit("a", 60, "fast", comments=True, comments_polled_at=NOW - 800)], NOW, stored)
    (group,) = planner.watchlist.groups
    settled = [comment for comment in stored if comment.created <= NOW - 800 - UNSETTLED]
    newest = sorted(settled, key=lambda comment: -comment.created)[:ANCHOR_SIZE]
    assert group.anchors == (Anchor(frozenset(comment.id for comment in newest), NOW - 800 - UNSETTLED),)
    assert len(settled) > ANCHOR_SIZE


def test_stored_comments_are_known_so_they_are_not_published_again() -> None:
    planner, _ = started("a", stored=tuple(StoredComment(f"c{n}", "A", NOW - 10) for n in range(5)))
    findings = planner.judge(due(planner), [seen("c1"), seen("new")], None, NOW)
    assert findings.decisions == [Decision(1, is_new=True, with_body=True)]


def test_the_anchor_of_a_gap_that_is_read_by_subreddit_has_the_ids_of_that_subreddit() -> None:
    """Comments that are stored or were published are known with their subreddit, whatever its spelling."""
    planner, _ = started("a", "b", stored=tuple(StoredComment(f"s{n}", "A", NOW - 10) for n in range(PROOF)))
    published = [seen(f"p{n}", NOW - 1, "B") for n in range(PROOF)]
    findings = planner.judge(due(planner), published, None, NOW)
    planner.confirm(findings, [True] * PROOF, NOW)
    for id_, subreddit in (("s0", "a"), ("p0", "b"), ("never", None)):
        assert planner._subreddit_of(id_) == subreddit
    anchor = Anchor(frozenset({"s0", "s1", "s2", "p0", "p1", "p2"}), NOW - 10)
    assert planner.gaps._narrowed(anchor, "a") == Anchor(frozenset({"s0", "s1", "s2"}), NOW - 10)
    assert planner.gaps._narrowed(anchor, "b") == Anchor(frozenset({"p0", "p1", "p2"}), NOW - 10)


def test_a_comment_that_a_page_shows_again_keeps_its_subreddit() -> None:
    planner, _ = started("a", stored=(StoredComment("s0", "A", NOW - 10),))
    findings = planner.judge(due(planner), [seen("s0", NOW - 10, "A")], None, NOW)
    planner.confirm(findings, [], NOW)
    assert planner._subreddit_of("s0") == "a"


@pytest.mark.parametrize(("seconds", "is_known"), [(REMEMBERED, True), (REMEMBERED + 1, False)])
def test_a_comment_is_remembered_since_it_was_last_seen(seconds: float, is_known: bool) -> None:
    planner, _ = started("a", stored=(StoredComment("s0", "a", NOW - 10),))
    planner.next(NOW + seconds)
    assert (planner._subreddit_of("s0") is not None) == is_known


@pytest.mark.parametrize(("later", "is_swept"), [(SWEEP_EVERY - 1, False), (SWEEP_EVERY, True)])
def test_what_is_forgotten_is_looked_for_once_a_minute(later: float, is_swept: bool) -> None:
    planner, _ = started("a", stored=(StoredComment("s0", "a", NOW - 10),))
    last = NOW + REMEMBERED - SWEEP_EVERY / 2
    planner.next(last)
    planner.next(last + later)
    assert (planner._subreddit_of("s0") is None) == is_swept


def test_no_comment_is_published_twice_from_one_page() -> None:
    planner, _ = started("a")
    findings = planner.judge(due(planner), [seen("twice"), seen("twice"), seen("once")], None, NOW)
    assert [each.item for each in findings.decisions] == [0, 2]


@pytest.mark.parametrize(("late", "is_new"), [(0.0, False), (1.0, True)])
def test_what_is_as_old_as_the_limit_is_not_new(late: float, is_new: bool) -> None:
    settled = tuple(StoredComment(f"s{n}", "a", NOW - 10 - UNSETTLED) for n in range(PROOF))
    planner, _ = started("a", stored=(*settled, StoredComment("newest", "a", NOW - 10)))
    limit = NOW - 10 - UNSETTLED - LATEST_COMMENT
    findings = planner.judge(due(planner), [seen("late", limit + late)], None, NOW)
    assert bool(findings.decisions) == is_new


def test_an_answer_counts_as_one_to_a_request_for_comments() -> None:
    planner, answers = started("a")
    planner.judge(due(planner), [], None, NOW)
    assert answers._at == {"comments": NOW}


def test_a_page_that_is_the_whole_listing_proves_a_quiet_subreddit() -> None:
    planner, _ = started("a", stored=(StoredComment("only", "a", NOW - 10),))
    whole = planner.judge(due(planner), [seen("only"), seen("new", NOW - 1)], None, NOW)
    assert whole.is_proven
    planner, _ = started("a", stored=(StoredComment("only", "a", NOW - 10),))
    part = planner.judge(due(planner), [seen("only"), seen("new", NOW - 1)], "t1_only", NOW)
    assert not part.is_proven
    assert planner.gaps.change is not None
    assert planner.gaps.change.gap.opened_at == NOW


def test_what_was_confirmed_must_be_told_of_each_decision() -> None:
    planner, _ = started("a")
    findings = planner.judge(due(planner), [seen("c1"), seen("c2")], None, NOW)
    with pytest.raises(ValueError, match="zip"):
        planner.confirm(findings, [True], NOW)


def test_a_fetch_takes_the_turn_and_others_must_come_before_the_next() -> None:
    record = GapRecord(1, ("a",), ("x", "y", "z"), NOW - 600, NOW - 10)
    planner, answers = started("a", gaps=(record,))
    due(planner)
    assert planner._others == 0
    for _ in range(OTHERS_FOR_ONE):
        planner.note_other()
    fetch = due(planner)
    assert isinstance(fetch, CommentsGapFetch)
    assert fetch.answers is answers
    assert planner._others == 0
    assert fetch.gap.not_before == NOW + GAP_PAGE_TIMEOUT


def test_the_gap_of_a_dissolved_group_is_read_from_the_top() -> None:
    planner, _ = started("a", "b", stored=tuple(StoredComment(f"s{n}", "a", NOW - 10) for n in range(PROOF)))
    planner.judge(due(planner), [seen(f"n{n}", NOW - 1) for n in range(100)], "t1_n99", NOW)
    (group,) = planner.watchlist.groups
    gap = group.gap
    assert gap is not None
    planner.configure([Subreddit("a", 60, "fast", comments=True)], NOW)
    assert planner.watchlist.detached_gaps == [gap]
    while change := planner.gaps.change:
        planner.gaps.recorded(1)
        assert change.gap is gap
    planner.next(NOW)
    assert planner.watchlist.detached_gaps == []
    assert (gap.has_upper_end, gap.after) == (True, None)


def test_it_wakes_for_the_next_listing_or_gap_and_at_once_for_what_is_late() -> None:
    planner, _ = started("a")
    fetch = due(planner)
    planner.confirm(planner.judge(fetch, [], None, NOW), [], NOW)
    interval = 60.0 / (PER_MINUTE * SHARE_OF_LISTINGS)
    assert planner.wake(NOW + 1) == pytest.approx(interval - 1)
    assert planner.wake(NOW + 2 * interval) == 0.0
    assert started()[0].wake(NOW) == math.inf


def test_another_pace_of_posts_is_another_pace_of_comments_at_once() -> None:
    planner, _ = started("a", "b")
    planner.set_listing_pace(1.0, NOW + 5)
    fetch = due(planner, NOW + 5)
    planner.confirm(planner.judge(fetch, [], None, NOW + 5), [], NOW + 5)
    assert planner.wake(NOW + 5) == pytest.approx(60.0)


def test_a_refresh_observes_with_the_text_and_takes_the_turn() -> None:
    planner, _ = started("a")
    planner.confirm(planner.judge(due(planner), [seen("c1", NOW)], None, NOW), [True], NOW)
    planner.watchlist.groups[0].due = math.inf
    now = NOW + AGES[0] + PATIENCE
    refresh = due(planner, now)
    assert isinstance(refresh, CommentsRefreshFetch)
    findings = planner.judge(refresh, [seen("c1", NOW)], None, now)
    assert findings.decisions == [Decision(0, is_new=False, with_body=True)]
    for _ in range(OTHERS_FOR_ONE):
        assert not planner.is_its_turn
        planner.note_other()
    assert planner.is_its_turn


def test_a_slower_pace_of_posts_combines_the_listings_of_comments_at_once() -> None:
    planner = CommentPlanner(20 / SHARE_OF_LISTINGS, LastAnswers())
    watched = [Subreddit("a", 60, "fast", comments=True), Subreddit("s", 600, "slow", comments=True)]
    planner.start(watched, (), (), NOW)
    assert [group.names for group in planner.watchlist.groups] == [("a",), ("s",)]
    planner.set_listing_pace(PER_MINUTE, NOW + 5)
    assert [(group.names, group.due) for group in planner.watchlist.groups] == [(("a", "s"), NOW + 5)]


def test_it_wakes_for_the_page_of_a_gap_that_has_no_answer() -> None:
    planner, _ = started("a", gaps=(GapRecord(1, ("a",), ("x", "y", "z"), NOW - 600, NOW - 10),))
    due(planner)
    planner.watchlist.groups[0].due = math.inf
    assert isinstance(due(planner), CommentsGapFetch)
    assert planner.wake(NOW) == GAP_PAGE_TIMEOUT
