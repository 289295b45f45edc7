"""The open gaps: which page is read next and when, how a gap ends, and what the ledger is told."""

import math
from typing import Literal

import pytest

from signalflow.domain.gaps import PAGE_RETRY, GapRecord, OpenGaps
from signalflow.domain.known import HORIZON, Seen
from signalflow.domain.overlap import Anchor, Gap
from signalflow.domain.suspicion import LastAnswers
from signalflow.domain.watchlist import RETRY_UNAVAILABLE

NOW = 1_000_000.0
ANCHOR = Anchor(frozenset({"a1", "a2", "a3", "b1", "b2"}), NOW - 900)
SUBREDDITS = {"a1": "a", "a2": "a", "a3": "a", "b1": "b", "b2": "b"}


def page(*ids: str) -> list[Seen]:
    """Posts that are newer than every anchor of these tests."""
    return [Seen(id_, "a", NOW - 10, 1, 0) for id_ in ids]


def write_ledger(gaps: OpenGaps) -> list[tuple[str, Gap, str | None]]:
    """Record every change; returns what they told. The rows have the ids 1, 2, 3 and so on."""
    told = []
    while change := gaps.change:
        told.append((change.kind, change.gap, change.outcome))
        gaps.recorded(len(told))
    return told


def opened(*subreddits: str, at: float = NOW, anchors: tuple[Anchor, ...] = (ANCHOR,)) -> tuple[OpenGaps, Gap]:
    """One gap that the ledger has recorded."""
    gaps = OpenGaps(SUBREDDITS.get)
    gap = gaps.open(subreddits or ("a",), anchors, at, has_upper_end=True)
    write_ledger(gaps)
    return gaps, gap


def test_without_gaps_nothing_is_due() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    assert (len(gaps), gaps.next(NOW), gaps.wake(), gaps.change, gaps.is_recorded) == (0, None, math.inf, None, True)


def test_a_gap_is_due_once_it_is_recorded_and_the_page_above_it_was_published() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    gap = gaps.open(("a",), [ANCHOR], NOW, has_upper_end=False)
    assert not gaps.is_recorded
    gaps.set_upper_end(gap, "t3_x")
    assert (gaps.next(NOW), gaps.wake()) == (None, math.inf), "the ledger does not have it"

    gaps = OpenGaps(SUBREDDITS.get)
    gap = gaps.open(("a",), [ANCHOR], NOW, has_upper_end=False)
    write_ledger(gaps)
    assert gaps.is_recorded
    assert (gaps.next(NOW), gaps.wake()) == (None, math.inf), "the page above it was not published"
    gaps.set_upper_end(gap, "t3_x")
    assert gaps.next(NOW) is gap
    assert gaps.wake() <= NOW
    assert gap.after == "t3_x"


def test_a_page_that_failed_is_due_again_after_five_seconds() -> None:
    gaps, gap = opened()
    gaps.postpone(gap, NOW)
    assert (PAGE_RETRY, gaps.wake()) == (5.0, NOW + 5.0)
    assert gaps.next(NOW + 4.9) is None
    assert gaps.next(NOW + 5.0) is gap


def test_a_page_without_an_answer_is_due_again_later_after_each_failure_and_soon_after_an_answer() -> None:
    gaps, gap = opened("a", "b")
    waits = []
    for _ in range(4):
        gaps.failed(gap, LastAnswers(), NOW)
        waits.append(gap.not_before - NOW)
    assert waits == [5.0, 10.0, 20.0, 40.0]
    gaps.read(gap, page("n1"), "t3_below", NOW)
    gaps.failed(gap, LastAnswers(), NOW)
    assert gap.not_before == NOW + 5.0


@pytest.mark.parametrize(("answered", "is_reason"), [("listing", True), ("posts", False), (None, False)])
def test_where_reddit_answers_other_listings_each_subreddit_of_a_gap_is_read_by_itself(
    answered: Literal["listing", "posts"] | None, is_reason: bool
) -> None:
    gaps, gap = opened("a", "b")
    answers = LastAnswers()
    gaps.failed(gap, answers, NOW)
    assert gap.outcome is None, "nothing was answered since it failed before"
    if answered:
        answers.note(answered, NOW + 1)
    gaps.failed(gap, answers, NOW + 5)
    assert (gap.outcome == "split") == is_reason


@pytest.mark.parametrize(("age", "outcome"), [(HORIZON - 6, None), (HORIZON - 5, None), (HORIZON - 4, "unreachable")])
def test_one_subreddit_that_alone_gets_no_answer_is_given_up_after_two_days(age: float, outcome: str | None) -> None:
    gaps, gap = opened("a", at=NOW - age)
    answers = LastAnswers()
    gaps.failed(gap, answers, NOW)
    answers.note("listing", NOW + 1)
    gaps.failed(gap, answers, NOW + 5)
    assert gap.outcome == outcome
    if outcome is None:
        assert gap.not_before == NOW + 15.0


def test_the_oldest_gap_that_may_be_read_comes_first() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    first, second = (gaps.open((name,), [ANCHOR], NOW, has_upper_end=True) for name in "ab")
    write_ledger(gaps)
    assert gaps.next(NOW) is first
    gaps.postpone(first, NOW)
    assert gaps.next(NOW) is second
    gaps.postpone(second, NOW - 3)
    assert gaps.wake() == NOW + 2.0, "the wake is that of the gap that is due first"
    assert gaps.next(NOW + 2.0) is second


def test_a_page_that_does_not_reach_the_anchor_is_followed_by_the_next_page_at_once() -> None:
    gaps, gap = opened()
    gap.not_before = NOW + 60
    gaps.read(gap, page("n1", "a1", "a2"), "t3_below", NOW + 1)
    assert gaps.next(NOW + 1) is gap
    assert (gap.after, gap.pages) == ("t3_below", 1)
    assert write_ledger(gaps) == [("advance", gap, None)]


def test_three_ids_of_the_anchor_on_two_pages_close_a_gap() -> None:
    gaps, gap = opened()
    gaps.read(gap, page("n1", "a1", "a2"), "t3_a2", NOW)
    gaps.read(gap, page("a3"), "t3_a3", NOW)
    assert write_ledger(gaps)[-1] == ("close", gap, "proven")
    assert (len(gaps), gaps.wake()) == (0, math.inf)


@pytest.mark.parametrize(("pages_before", "outcome"), [(0, "proven"), (4, "proven"), (5, "given_up"), (9, "given_up")])
def test_the_end_of_the_listing_closes_a_gap_unless_it_may_be_reddits_limit_of_1000(
    pages_before: int, outcome: str
) -> None:
    """The page above the gap counts too, and so does what came while the gap was read: it may end after six pages."""
    gaps, gap = opened()
    for number in range(pages_before):
        gaps.read(gap, page(f"m{number}"), f"t3_m{number}", NOW)
    gaps.read(gap, page("n2"), None, NOW)
    assert write_ledger(gaps)[-1] == ("close", gap, outcome)


def test_the_end_of_a_long_listing_of_several_subreddits_splits_the_gap_since_each_has_a_limit_of_its_own() -> None:
    gaps, gap = opened("a", "b")
    for number in range(8):
        gaps.read(gap, page(f"m{number}"), f"t3_m{number}", NOW)
    gaps.read(gap, page("n2"), None, NOW)
    assert gap.outcome == "split"
    assert [each.subreddits for each in gaps] == [("a",), ("b",)]


def flood(pages: int, first: int = 0) -> list[list[Seen]]:
    """Pages of 100 posts of subreddit a, one a second, from `first` seconds ago."""
    numbers = range(first, first + 100 * pages)
    posts = [Seen(f"f{number}", "A", NOW - number, 1, 0) for number in numbers]
    return [posts[place : place + 100] for place in range(0, len(posts), 100)]


def test_below_500_posts_of_one_subreddit_a_combined_listing_may_lack_others_of_it_so_each_is_read_by_itself() -> None:
    gaps, gap = opened("a", "b")
    for number, posts in enumerate(flood(5)):
        assert not gap.is_cut, number
        gaps.read(gap, posts, f"t3_{number}", NOW)
    assert (gap.outcome, gap.until) == (None, NOW - 499)
    below = [Seen("b8", "b", NOW - 550, 1, 0), Seen("f500", "a", NOW - 600, 1, 0), Seen("b9", "b", NOW - 800, 1, 0)]
    gaps.read(gap, below, "t3_b9", NOW)
    assert gap.outcome == "split"
    assert [(part.subreddits, part.until) for part in gaps] == [(("a",), NOW - 550), (("b",), NOW - 550)]


def test_an_anchor_below_500_posts_of_one_subreddit_proves_nothing_and_one_above_does() -> None:
    anchor = [Seen(id_, "b", NOW - 900, 1, 0) for id_ in ("a1", "b1", "b2")]
    for place, outcome in ((0, "proven"), (1, "split")):
        gaps, gap = opened("a", "b")
        for number, posts in enumerate(flood(5)):
            gaps.read(gap, posts, f"t3_{number}", NOW)
        last = flood(1, 500)[0][:1]
        gaps.read(gap, [*last, *anchor] if place else [*anchor, *last], "t3_x", NOW)
        assert gap.outcome == outcome, place


def test_the_page_above_a_gap_counts_and_reading_anew_begins_to_count_again() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    gap = gaps.open(("a", "b"), [ANCHOR], NOW, has_upper_end=False)
    above, *pages = flood(6)
    gaps.set_upper_end(gap, "t3_x", above)
    gaps.read(gap, pages[0], "t3_y", NOW)
    gaps.read(gap, [], None, NOW)
    for number, posts in enumerate((above, *pages)):
        assert gap.outcome is None, number
        gaps.read(gap, posts, f"t3_{number}", NOW)
    assert gap.outcome == "split"


def test_a_successor_does_not_know_what_was_shown_before_so_it_takes_it_for_one_subreddit() -> None:
    for pages, more in ((0, 5), (2, 2), (4, 0)):
        gaps = OpenGaps(SUBREDDITS.get)
        gaps.resume([GapRecord(7, ("a", "b"), ("a1",), NOW - 900, NOW, "t3_x", pages)], {"a", "b"}.__contains__)
        (gap,) = gaps
        for number, posts in enumerate(flood(more)):
            gaps.read(gap, posts, f"t3_{number}", NOW)
            assert gap.outcome is None, (pages, number)
        gaps.read(gap, flood(1, 800)[0][:1], "t3_z", NOW)
        assert gap.outcome == "split", pages


def test_an_empty_page_closes_nothing_and_the_gap_is_read_from_the_top_again_later() -> None:
    gaps, gap = opened()
    gaps.read(gap, page("n1"), "t3_n1", NOW)
    gaps.read(gap, [], None, NOW)
    assert gap.after is None
    assert gaps.wake() == NOW + 5.0
    assert write_ledger(gaps) == [("advance", gap, None)]
    assert gaps.next(NOW + 5.0) is gap


@pytest.mark.parametrize(("ids", "is_open"), [(["n1"], True), (["a1", "a2", "a3"], False)])
def test_a_page_that_is_followed_by_itself_is_read_anew_unless_it_reaches_the_anchor(
    ids: list[str], is_open: bool
) -> None:
    gaps, gap = opened()
    gaps.read(gap, page("n0"), "t3_n0", NOW)
    gaps.read(gap, page(*ids), "t3_n0", NOW)
    assert bool(len(gaps)) is is_open
    if is_open:
        assert (gap.after, gap.pages, gaps.wake()) == (None, 0, NOW + 5.0)
    else:
        assert write_ledger(gaps)[-1] == ("close", gap, "proven")


@pytest.mark.parametrize(("subreddits", "outcome"), [(("a",), "given_up"), (("a", "b"), "split")])
def test_after_ten_pages_one_subreddit_is_given_up_and_several_go_on_by_themselves(
    subreddits: tuple[str, ...], outcome: str
) -> None:
    gaps, gap = opened(*subreddits)
    for number in range(10):
        assert gaps.next(NOW) is gap, number
        gaps.read(gap, page(f"n{number}"), f"t3_n{number}", NOW)
    assert write_ledger(gaps)[-1] == ("close", gap, outcome)
    part = gaps.next(NOW)
    assert part is not gap
    assert part is None or (len(gaps), part.opened_at) == (2, NOW)


def test_each_part_of_a_split_gap_must_reach_its_own_posts_or_posts_as_old() -> None:
    gaps, gap = opened("a", "b")
    gaps.split(gap, NOW + 7)
    (kind_a, part_a, _), (kind_b, part_b, _), last = write_ledger(gaps)
    assert (kind_a, kind_b, last) == ("open", "open", ("close", gap, "split")), "the parts are recorded before the end"
    assert (part_a.subreddits, part_b.subreddits) == (("a",), ("b",))
    assert part_a.anchors == (Anchor(frozenset({"a1", "a2", "a3"}), ANCHOR.since),)
    assert part_b.anchors == (Anchor(frozenset(), ANCHOR.since),), "two ids prove nothing"
    assert (part_a.opened_at, part_b.opened_at) == (NOW + 7, NOW + 7)
    assert (part_a.after, gaps.next(NOW)) == (None, part_a)


def test_what_was_published_above_a_gap_narrows_it_and_its_parts() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    gap = gaps.open(("a", "b"), [ANCHOR], NOW, has_upper_end=False)
    assert gap.until == math.inf, "nothing was published yet"
    gaps.set_upper_end(gap, "t3_x", [Seen("m1", "a", NOW - 20, 1, 0), Seen("m2", "b", NOW - 30, 1, 0)])
    assert gap.until == NOW - 30
    gaps.read(gap, [Seen("m3", "b", NOW - 70, 1, 0)], "t3_m3", NOW)
    assert gap.until == NOW - 70
    gaps.read(gap, [], None, NOW)
    gaps.read(gap, [Seen("m1", "a", NOW - 20, 1, 0)], "t3_m1", NOW)
    assert gap.until == NOW - 70, "what is read again from the top was published before"
    gaps.split(gap, NOW)
    assert [part.until for part in gaps._gaps] == [NOW - 70, NOW - 70]


def test_a_successor_knows_how_far_a_gap_was_read() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    row = GapRecord(7, ("a",), (), NOW - 900, NOW, until=NOW - 40)
    gaps.resume([row, GapRecord(8, ("a",), (), NOW - 900, NOW)], {"a"}.__contains__)
    assert [gap.until for gap in gaps._gaps] == [NOW - 40, math.inf]


def test_a_refused_gap_of_several_subreddits_is_read_one_by_one() -> None:
    gaps, gap = opened("a", "b")
    gaps.refused(gap, NOW + 7)
    assert [change[0] for change in write_ledger(gaps)] == ["open", "open", "close"]
    part = gaps.next(NOW + 7)
    assert part is not None
    assert (len(gaps), part.opened_at) == (2, NOW + 7)


def test_a_refused_gap_of_one_subreddit_is_tried_hourly_for_two_days() -> None:
    gaps, gap = opened("a", at=NOW)
    gaps.refused(gap, NOW + HORIZON)
    assert write_ledger(gaps) == []
    assert gaps.wake() == NOW + HORIZON + RETRY_UNAVAILABLE
    assert RETRY_UNAVAILABLE == 3600.0
    gaps.refused(gap, NOW + HORIZON + 0.1)
    assert write_ledger(gaps) == [("close", gap, "unreachable")]


def test_a_successor_goes_on_with_a_gap_where_the_ledger_has_it() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    record = GapRecord(7, ("a", "gone"), ("a1", "a2", "a3"), NOW - 900, NOW - 290, "t3_x", 4)
    gaps.resume([record], {"a"}.__contains__)
    gap = gaps.next(NOW)
    assert gap is not None
    assert (gap.subreddits, gap.after, gap.pages, gap.opened_at, gap.record) == (("a",), "t3_x", 4, NOW - 290, 7)
    assert gap.anchors == (Anchor(frozenset({"a1", "a2", "a3"}), NOW - 900),)
    assert gaps.change is None


def test_a_gap_of_subreddits_that_are_no_longer_watched_is_given_up_and_the_others_go_on() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    records = [GapRecord(number, (name,), (), NOW - 900, NOW) for number, name in enumerate(["gone", "a"])]
    gaps.resume(records, {"a"}.__contains__)
    ((kind, gap, outcome),) = write_ledger(gaps)
    assert (kind, gap.record, outcome) == ("close", 0, "given_up")
    resumed = gaps.next(NOW)
    assert resumed is not None
    assert (len(gaps), resumed.record) == (1, 1)


def test_an_outage_of_two_days_gives_up_no_gap() -> None:
    gaps, gap = opened("a", at=NOW - 2 * HORIZON)
    for _ in range(5):
        gaps.failed(gap, LastAnswers(), NOW)
    assert gap.outcome is None


def test_the_oldest_gaps_are_given_up_while_there_are_too_many_of_them() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    in_flight = gaps.open(("a",), [ANCHOR], NOW, has_upper_end=False)
    oldest, newest = (gaps.open((name,), [ANCHOR], NOW, has_upper_end=True) for name in "ab")
    gaps.give_up_oldest(2)
    assert [gap.outcome for gap in (in_flight, oldest, newest)] == [None, "given_up", None]
    gaps.give_up_oldest(0)
    assert [gap.outcome for gap in (in_flight, newest)] == [None, "given_up"], "a page of the other is in flight"


def test_the_ledger_is_told_the_place_of_a_gap_once_however_far_it_moved_meanwhile() -> None:
    gaps = OpenGaps(SUBREDDITS.get)
    first = gaps.open(("a",), [ANCHOR], NOW, has_upper_end=False)
    gaps.set_upper_end(first, "t3_x")
    assert write_ledger(gaps) == [("open", first, None)], "the row is written with the place that the gap has by then"
    second = gaps.open(("b",), [ANCHOR], NOW, has_upper_end=True)
    write_ledger(gaps)
    for gap, count in ((first, 2), (second, 2), (first, 1)):
        for _ in range(count):
            gaps.read(gap, page("n1"), "t3_n1", NOW)
    assert write_ledger(gaps) == [("advance", first, None), ("advance", second, None), ("advance", first, None)]


def test_only_the_row_of_a_new_gap_sets_its_record() -> None:
    gaps, gap = opened()
    assert gap.record == 1
    gaps.read(gap, page("n1"), "t3_n1", NOW)
    gaps.recorded(None)
    assert gap.record == 1
