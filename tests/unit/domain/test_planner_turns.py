"""What the planner does next, how long it waits, and what it makes of one answer."""

import math
from collections.abc import Sequence

import pytest

from signalflow.domain.fetch import Fetch
from signalflow.domain.fetches import GapFetch, ListingFetch, RefreshFetch
from signalflow.domain.gaps import GapRecord
from signalflow.domain.known import HORIZON, Decision, Seen, StoredPost
from signalflow.domain.overlap import Anchor
from signalflow.domain.planner import Planner
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import START, fast, known

OPEN_GAP = GapRecord(7, ("a",), ("g1", "g2", "g3"), START - 900, START - 290, "t3_x", 1)


def busy(id_: str, subreddit: str = "a", *, age: float = 300.0) -> StoredPost:
    """A post whose score rises so fast that it is refreshed every three minutes."""
    return StoredPost(id_, subreddit, START - age, START - 300, 100, 0, False, score_velocity=50.0)


def planner(
    posts: Sequence[StoredPost] = (), gaps: Sequence[GapRecord] = (), *, refresh_ids_per_minute: float = 6000.0
) -> Planner:
    """A planner of one subreddit, whose listing was just requested: it is due again after three seconds."""
    made = Planner(listing_per_minute=20, refresh_ids_per_minute=refresh_ids_per_minute)
    made.start(fast("a"), posts, gaps, START)
    assert isinstance(made.next(START, 1.0), ListingFetch)
    return made


def seen(id_: str = "p1", *, created: float = START - 60, score: int = 1, subreddit: str = "a") -> Seen:
    return Seen(id_, subreddit, created, score, 0, None, 1)


def answer(made: Planner, fetch: Fetch, *items: Seen, now: float = START, after: str | None = None) -> list[Decision]:
    """Publish an answer; returns what was decided."""
    findings = made.judge(fetch, items, after, now)
    made.confirm(findings, [True] * len(findings.decisions), now)
    return findings.decisions


def listing(made: Planner, now: float) -> ListingFetch:
    fetch = made.next(now, 0.0)
    assert isinstance(fetch, ListingFetch)
    return fetch


# --- turns


def test_no_other_request_is_made_when_it_would_make_a_listing_late() -> None:
    made = planner([busy("p1")], [OPEN_GAP])
    assert made.next(START + 1.9, 1.2) is None
    assert isinstance(made.next(START + 1.75, 1.25), RefreshFetch), "the listing is due when the budget allows it"


def test_a_listing_that_is_due_comes_before_everything_else() -> None:
    made = planner([busy("p1")], [OPEN_GAP])
    assert isinstance(made.next(START + 3, 1.0), ListingFetch)


def test_refreshes_that_are_late_by_more_than_a_minute_come_before_listings() -> None:
    made = planner([busy(f"p{number}") for number in range(300)], refresh_ids_per_minute=600)
    assert isinstance(made.next(START, 1.0), RefreshFetch)
    # The next batch is due after ten seconds.
    assert isinstance(made.next(START + 70, 1.0), ListingFetch)
    made.watchlist.groups[0].due = START + 70
    assert isinstance(made.next(START + 70.1, 1.0), RefreshFetch)
    assert isinstance(made.next(START + 70.2, 1.0), ListingFetch)


def test_late_refreshes_do_not_wait_for_a_listing_that_is_due_soon() -> None:
    made = planner([busy(f"p{number}") for number in range(300)], refresh_ids_per_minute=600)
    made.next(START, 1.0)
    made.watchlist.groups[0].due = START + 70.6
    assert made.next(START + 70, 1.0) is None
    assert isinstance(made.next(START + 70.1, 1.0), RefreshFetch)


def test_pages_of_gaps_and_refreshes_take_turns() -> None:
    made = planner([busy(f"p{number}") for number in range(300)], [OPEN_GAP])
    kinds = []
    made.watchlist.groups[0].due = math.inf
    for second in range(4):
        fetch = made.next(START + second, 1.0)
        assert fetch is not None
        kinds.append(fetch.kind)
        if isinstance(fetch, GapFetch):
            fetch.gap.not_before = START
    assert kinds == ["refresh", "gap", "refresh", "gap"]


def test_a_page_of_a_gap_is_requested_when_there_is_nothing_to_refresh() -> None:
    made = planner((), [OPEN_GAP])
    fetch = made.next(START + 1, 1.0)
    assert isinstance(fetch, GapFetch)
    assert made.next(START + 1, 1.0) is None, "its answer is awaited"
    made.watchlist.groups[0].due = math.inf
    assert made.next(START + 60.9, 1.0) is None
    assert isinstance(made.next(START + 61, 1.0), GapFetch), "but for no more than a minute"


def test_posts_of_subreddits_that_are_no_longer_watched_are_not_refreshed_by_value() -> None:
    made = planner([busy("p1"), busy("p2", "Other")])
    fetch = made.next(START, 1.0)
    assert isinstance(fetch, RefreshFetch)
    assert fetch.ids == ("p1",)


def test_a_gap_of_a_dissolved_group_is_read_from_the_top() -> None:
    made = planner()
    gap = made.gaps.open(("a",), [], START, has_upper_end=False)
    made.gaps.recorded(1)
    made.watchlist.detached_gaps.append(gap)
    fetch = made.next(START + 1, 1.0)
    assert isinstance(fetch, GapFetch)
    assert (fetch.gap, gap.after, made.watchlist.detached_gaps) == (gap, None, [])


# --- waiting


def test_the_planner_wakes_for_the_first_of_listing_refresh_and_gap() -> None:
    made = planner(refresh_ids_per_minute=0)
    made.watchlist.groups[0].due = START + 40
    made._queue.next_at = START + 30
    assert made.wake(START + 10) == 20
    made._queue.next_at = START + 60
    assert made.wake(START + 10) == 30
    gap = made.gaps.open(("a",), [], START, has_upper_end=True)
    made.gaps.recorded(1)
    gap.not_before = START + 15
    assert made.wake(START + 10) == 5
    assert made.wake(START + 14.99) == 0.05
    assert made.wake(START + 20) == 0.05


# --- answers


def test_a_post_that_a_page_shows_twice_is_published_once() -> None:
    made = planner()
    assert answer(made, listing(made, START + 3), seen(), seen(), now=START + 3) == [Decision(0, True, True)]
    post = seen(score=9)
    assert answer(made, listing(made, START + 10), post, post, now=START + 10) == [Decision(0, False, False)]


def test_an_unknown_post_of_more_than_two_days_is_not_new() -> None:
    made = planner()
    now = START + 3
    items = [seen("old", created=now - HORIZON), seen("young", created=now - HORIZON + 1)]
    assert answer(made, listing(made, now), *items, now=now) == [Decision(1, True, True)]


def test_only_a_confirmed_post_is_known_and_its_subreddit_in_lower_case() -> None:
    made = planner()
    fetch = listing(made, START + 3)
    items = [seen("p1", subreddit="A"), seen("p2")]
    findings = made.judge(fetch, items, None, START + 3)
    assert not made.confirm(findings, [True, False], START + 3)
    assert set(made.posts) == {"p1"}
    assert (made.posts["p1"].subreddit, made.posts["p1"].published_at) == ("a", START + 3)
    decided = answer(made, listing(made, START + 7), *items, now=START + 7)
    assert decided == [Decision(1, True, True)], "p1 was published four seconds before"


def test_an_unconfirmed_refresh_is_published_again() -> None:
    made = planner([known("p1", START - 60)])
    for now in (START + 10, START + 20):
        findings = made.judge(listing(made, now), [seen(score=5)], None, now)
        assert findings.decisions == [Decision(0, False, False)]
        assert made.confirm(findings, [False], now), "a refresh that failed leaves no gap"


def test_posts_that_are_no_longer_shown_are_told_until_one_is_shown_and_published() -> None:
    made = planner([busy("p1"), busy("p2"), busy("p3")])
    for now in (START, START + 180, START + 540):
        assert made.not_shown == {}
        answer(made, made.fetch_of(["p1", "p2", "p3"]), seen("p1"), now=now)
    assert made.not_shown == {"p2": START, "p3": START}
    answer(made, listing(made, START + 600), seen("p2", score=100), now=START + 600)
    assert made.not_shown == {"p3": START}


def test_a_changed_state_is_published_with_the_body_and_a_first_text_is_taken_as_known() -> None:
    made = planner([known("p1", START - 60)])
    assert answer(made, listing(made, START + 10), seen(), now=START + 10) == []
    assert made.posts["p1"].text == 1
    changed = seen()._replace(text=2)
    assert answer(made, listing(made, START + 20), changed, now=START + 20) == [Decision(0, False, True)]
    locked = changed._replace(state="locked")
    assert answer(made, listing(made, START + 30), locked, now=START + 30) == [Decision(0, False, True)]


def test_a_text_that_was_seen_but_not_published_is_not_forgotten() -> None:
    made = planner([known("p1", START - 60)])
    answer(made, listing(made, START + 10), seen(), now=START + 10)
    findings = made.judge(listing(made, START + 20), [seen()._replace(text=2)], None, START + 20)
    made.confirm(findings, [False], START + 20)
    assert made.posts["p1"].text == 1
    assert answer(made, listing(made, START + 30), seen()._replace(text=2), now=START + 30) == [
        Decision(0, False, True)
    ]


def test_a_listing_that_shows_a_rising_score_brings_the_refresh_forward_and_a_refresh_does_not() -> None:
    for is_listing in (True, False):
        made = planner([known("p1", START - 4000)._replace(published_at=START - 100)])
        before = made.posts["p1"].due
        fetch = listing(made, START + 10) if is_listing else made.fetch_of(["p1"])
        made.judge(fetch, [seen(created=START - 4000, score=5000)], None, START + 10)
        assert (made.posts["p1"].due < before) is is_listing


def test_a_successor_may_begin_from_a_complete_newest_page_only() -> None:
    made = planner([known("p1", START - 60)], [OPEN_GAP])
    page = [seen("p1")]
    for fetch, is_begin in ((listing(made, START + 3), True), (made.fetch_of(["p1"]), False)):
        findings = made.judge(fetch, page, None, START + 3)
        assert made.confirm(findings, [True] * len(findings.decisions), START + 3) is is_begin


# --- what is kept


def test_old_posts_are_forgotten_every_ten_minutes_unless_a_gap_is_open() -> None:
    made = planner([known("old", START - HORIZON - 1), known("edge", START + 600 - HORIZON)])
    made.next(START + 599, 1.0)
    assert set(made.posts) == {"old", "edge"}
    gap = made.gaps.open(("a",), [], START, has_upper_end=True)
    made.next(START + 600, 1.0)
    assert set(made.posts) == {"old", "edge"}, "the anchor of a gap may have them"
    made.gaps.close(gap, "proven")
    made.next(START + 600, 1.0)
    assert set(made.posts) == {"edge"}
    made.next(START + 1199, 1.0)
    assert set(made.posts) == {"edge"}
    made.next(START + 1200, 1.0)
    assert made.posts == {}


def test_posts_of_the_database_wait_for_their_refresh_unless_they_are_too_old() -> None:
    made = planner([busy("young", "A"), busy("old", age=HORIZON), busy("edge", age=HORIZON - 1)])
    fetch = made.next(START, 1.0)
    assert isinstance(fetch, RefreshFetch)
    assert set(fetch.ids) == {"young", "edge"}
    assert made.posts["young"].subreddit == "a"


def test_the_parts_of_a_gap_look_for_the_known_posts_of_their_subreddit() -> None:
    made = planner([known(f"{name}{number}", START - 900, name.upper()) for name in "ab" for number in range(3)])
    ids = frozenset({"a0", "a1", "a2", "b0", "b1", "forgotten"})
    gap = made.gaps.open(("a", "b"), [Anchor(ids, START - 900)], START, has_upper_end=True)
    made.gaps.split(gap, START)
    anchors = [part.anchors for part in made.gaps._gaps]
    assert anchors == [(Anchor(frozenset({"a0", "a1", "a2"}), START - 900),), (Anchor(frozenset(), START - 900),)]


def test_a_successor_polls_a_subreddit_that_lags_by_itself_against_its_own_posts() -> None:
    made = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    posts = [known(f"a{number}", START - 200) for number in range(3)] + [known("b1", START - 5000, "b")]
    made.start([Subreddit("a", 60, "fast", START - 5), Subreddit("b", 60, "fast", START - 1000)], posts, [], START)
    fetches = [listing(made, START), listing(made, START)]
    anchors = {fetch.names: fetch.group.anchors for fetch in fetches}
    assert anchors == {
        ("a",): (Anchor(frozenset({"a0", "a1", "a2"}), START - 125),),
        ("b",): (Anchor(frozenset({"b1"}), START - 1120),),
    }


@pytest.mark.parametrize("is_watched", [True, False])
def test_a_successor_goes_on_with_the_open_gaps_of_what_is_watched(is_watched: bool) -> None:
    made = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    made.start(fast("a" if is_watched else "b"), [], [OPEN_GAP], START)
    assert len(made.gaps) == is_watched


def test_the_rate_of_a_group_counts_each_new_post_that_was_confirmed_once() -> None:
    made = planner()
    (group,) = made.watchlist.groups
    answer(made, listing(made, START + 3), now=START + 3)
    items = [seen(f"p{number}", created=START + 10) for number in range(61)]
    findings = made.judge(listing(made, START + 33), items, None, START + 33)
    made.confirm(findings, [*[True] * 60, False], START + 33)
    # 2 posts a second for 30 seconds, of which 1 - exp(-30/200) counts.
    assert group.rate == pytest.approx(0.2785840, abs=1e-6)


def test_an_answer_of_the_brokers_for_another_number_of_posts_is_a_fault() -> None:
    made = planner()
    findings = made.judge(listing(made, START + 3), [seen("p1"), seen("p2")], None, START + 3)
    with pytest.raises(ValueError, match="shorter"):
        made.confirm(findings, [True], START + 3)


@pytest.mark.parametrize(("after", "gaps"), [(None, 0), ("t3_k2", 1)])
def test_a_quiet_listing_that_ends_with_its_page_proves_an_anchor_of_two_posts(after: str | None, gaps: int) -> None:
    made = planner()
    made.watchlist.groups[0].anchors = (Anchor(frozenset({"k1", "k2"}), START - 600),)
    answer(made, listing(made, START + 3), seen("n1"), seen("k1"), seen("k2"), now=START + 3, after=after)
    assert len(made.gaps) == gaps
