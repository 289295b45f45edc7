"""Coverage: what of a subreddit's time is covered, missing or unknown, and what share of its posts was seen."""

import pytest

from signalflow.domain.coverage import Cell, Followed, Timeline, UnprovenGap, cell_of, united, without
from signalflow.domain.overlap import UNSETTLED

HOUR = 3600.0
# Polled from 1:00 until just after 5:00, so that 5:00 is settled.
PYTHON = Followed("Python", HOUR, 5 * HOUR + UNSETTLED)
NOW = 6 * HOUR


def gap(since: float, until: float | None, *names: str, closed_at: float | None = NOW) -> UnprovenGap:
    outcome = None if closed_at is None else "given_up"
    return UnprovenGap(1, names or ("python",), since, until, since, closed_at, outcome)  # type: ignore[arg-type]


def shares(followed: Followed, *gaps: UnprovenGap, hour: int) -> tuple[float, float, float]:
    """Covered, missing and unknown minutes of an hour."""
    timeline = Timeline.of(followed, gaps, NOW)
    cell = cell_of(timeline, (hour * HOUR, (hour + 1) * HOUR), 0, [None] * len(timeline.stretches))
    return cell.covered / 60, cell.missing / 60, cell.unknown / 60


def test_time_before_the_first_and_after_the_last_poll_is_unknown_and_not_covered() -> None:
    assert [shares(PYTHON, hour=hour) for hour in range(6)] == [(0, 0, 60), *[(60, 0, 0)] * 4, (0, 0, 60)]


def test_a_subreddit_that_was_never_polled_is_unknown() -> None:
    assert shares(Followed("python"), hour=2) == (0, 0, 60)


def test_while_reddit_refuses_a_subreddit_nothing_is_known_of_it() -> None:
    assert shares(Followed("python", HOUR, NOW, refused_since=2.5 * HOUR), hour=2) == (30, 0, 30)


def test_a_gap_reaches_from_its_anchor_to_the_oldest_post_that_was_read() -> None:
    assert shares(PYTHON, gap(2 * HOUR, 2.25 * HOUR - 1), hour=2) == (45, 15, 0)


@pytest.mark.parametrize(("closed_at", "minutes"), [(2.5 * HOUR, 30), (None, 60)])
def test_a_gap_of_which_no_page_was_read_lasts_until_it_was_closed_or_until_now(
    closed_at: float | None, minutes: int
) -> None:
    assert shares(PYTHON, gap(2 * HOUR, None, closed_at=closed_at), hour=2)[1] == minutes


def test_a_gap_counts_for_the_subreddits_that_it_names_in_any_case() -> None:
    assert shares(PYTHON, gap(2 * HOUR, 3 * HOUR, "rust"), hour=2) == (60, 0, 0)
    assert shares(PYTHON, gap(2 * HOUR, 3 * HOUR, "rust", "PYTHON"), hour=2) == (0, 60, 0)


def test_gaps_that_overlap_count_once() -> None:
    gaps = [gap(2 * HOUR, 2.5 * HOUR - 1), gap(2.25 * HOUR, 2.75 * HOUR - 1)]
    assert shares(PYTHON, *gaps, hour=2) == (15, 45, 0)


def test_a_recorded_gap_is_missing_where_the_polls_are_unknown() -> None:
    assert shares(PYTHON, gap(0.0, 0.5 * HOUR - 1), hour=0) == (0, 30, 30)


def test_the_sides_of_a_gap_tell_how_many_posts_came_meanwhile() -> None:
    timeline = Timeline.of(PYTHON, [gap(2 * HOUR, 2.5 * HOUR - 1)], NOW)
    (stretch,) = timeline.stretches
    assert stretch.sides == (((1.5 * HOUR, 2 * HOUR),), ((2.5 * HOUR, 3 * HOUR),))
    # 45 posts in half an hour, as on the side that has more, of which five were seen.
    assert stretch.missing(seen=5, seen_beside=(10, 45)) == pytest.approx(40)
    assert stretch.missing(seen=5, seen_beside=(45, 10)) == pytest.approx(40)
    assert stretch.missing(seen=60, seen_beside=(10, 45)) == 0.0
    cell = cell_of(timeline, (2 * HOUR, 3 * HOUR), 60, [40.0])
    assert cell.posts_share == pytest.approx(0.6)


def test_a_side_of_a_gap_has_only_its_covered_time_and_no_empty_span() -> None:
    """The time before the second gap reaches back to the begin of the first, where no covered time is left."""
    gaps = [gap(1.5 * HOUR, 1.75 * HOUR - 1), gap(2 * HOUR, 2.5 * HOUR - 1)]
    _, stretch = Timeline.of(PYTHON, gaps, NOW).stretches
    assert stretch.sides[0] == ((1.75 * HOUR, 2 * HOUR),)


def test_all_gaps_of_an_hour_are_missing_and_those_of_other_hours_are_not() -> None:
    gaps = [gap(1.5 * HOUR, 1.75 * HOUR - 1), gap(2 * HOUR, 2.25 * HOUR - 1), gap(2.5 * HOUR, 2.75 * HOUR - 1)]
    assert shares(PYTHON, *gaps, hour=2) == (30, 30, 0)


def test_an_estimate_for_another_number_of_gaps_is_a_fault() -> None:
    timeline = Timeline.of(PYTHON, [gap(2 * HOUR, 3 * HOUR)], NOW)
    with pytest.raises(ValueError, match="zip"):
        cell_of(timeline, (2 * HOUR, 3 * HOUR), 5, [])


def test_an_estimate_is_shared_among_the_hours_of_its_gap_by_time() -> None:
    timeline = Timeline.of(PYTHON, [gap(2.75 * HOUR, 3.5 * HOUR - 1)], NOW)
    cells = [cell_of(timeline, (hour * HOUR, (hour + 1) * HOUR), 10, [30.0]) for hour in (2, 3)]
    assert [cell.missing_posts for cell in cells] == pytest.approx([10, 20])
    assert (cells[0] + cells[1]).posts_share == pytest.approx(0.4)


def test_without_covered_time_beside_a_gap_the_share_of_posts_is_unknown_and_not_a_plausible_number() -> None:
    timeline = Timeline.of(Followed("python"), [gap(2 * HOUR, 3 * HOUR)], NOW)
    (stretch,) = timeline.stretches
    assert stretch.missing(seen=5, seen_beside=(0, 0)) is None
    assert cell_of(timeline, (2 * HOUR, 3 * HOUR), 5, [None]).posts_share is None
    assert (Cell(10, 0, 0, 5) + Cell(0, 10, 0, 5, None)).posts_share is None


def test_a_side_of_which_a_minute_is_covered_tells_no_rate() -> None:
    timeline = Timeline.of(Followed("python", 2 * HOUR - 60, 3 * HOUR + UNSETTLED + 60), [gap(2 * HOUR, 3 * HOUR)], NOW)
    (stretch,) = timeline.stretches
    assert stretch.missing(seen=0, seen_beside=(1, 1)) is None


@pytest.mark.parametrize(
    ("cell", "share"),
    [
        (Cell(60, 0, 0, 7), 1.0),
        (Cell(60, 0, 0, 0), 1.0),
        (Cell(0, 60, 0, 0, 0.0), None),
        (Cell(0, 0, 60, 0), None),
    ],
    ids=["all seen", "no posts came", "nothing came beside the gap either", "unknown"],
)
def test_the_share_of_posts_says_only_what_is_known(cell: Cell, share: float | None) -> None:
    assert cell.posts_share == share


def test_spans_are_united_and_cut_out() -> None:
    assert united([(5, 6), (1, 2), (2, 3), (4, 4), (1.5, 1.7)]) == ((1, 3), (5, 6))
    assert without((0, 10), [(1, 3), (5, 6)]) == ((0, 1), (3, 5), (6, 10))
    assert without((2, 5.5), [(1, 3), (5, 6)]) == ((3, 5),)
    assert without((0, 10), [(-1, 11)]) == ()
    assert without((1, 6), [(1, 3), (5, 6)]) == ((3, 5),)
