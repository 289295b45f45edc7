"""Details of the planner of posts that hardly change what is found: what it remembers, and when exactly it asks."""

import math
from collections.abc import Sequence

import pytest

from signalflow.domain.fetches import GapFetch, ListingFetch, ReappearanceFetch, RefreshFetch, SilenceFetch
from signalflow.domain.first_look import FirstLookFetch
from signalflow.domain.gaps import PAGE_RETRY, GapRecord
from signalflow.domain.known import HORIZON, StoredPost
from signalflow.domain.planner import MAX_EXPECTED_AFTER_A_TURN, SCARCE_SPACING, SHOWN_LATELY, SWEEP_EVERY, Planner
from signalflow.domain.ranked_fetches import RankedFetch
from signalflow.domain.ranked_listings import EVERY
from signalflow.domain.silence import ASK_AGAIN
from signalflow.domain.subreddits import Subreddit
from tests.unit.domain.listing_world import START, fast, known
from tests.unit.domain.test_planner_turns import OPEN_GAP, answer, busy, listing, seen
from tests.unit.domain.test_ranked_listings import by_rank

OLD_OF_B = known("b1", START - 5000, "b")
OF_A = [known(f"a{number}", START - 200) for number in range(3)]
PAGE_OF_A = [seen(f"a{number}", created=START - 200) for number in range(3)]


def started(
    subreddits: Sequence[Subreddit],
    posts: Sequence[StoredPost] = (),
    gaps: Sequence[GapRecord] = (),
    *,
    refresh_ids_per_minute: float = 0.0,
    answers_ids: bool = True,
    first_look_seconds: float = 0.0,
) -> Planner:
    made = Planner(
        listing_per_minute=20,
        refresh_ids_per_minute=refresh_ids_per_minute,
        answers_ids=answers_ids,
        first_look_seconds=first_look_seconds,
    )
    made.start(subreddits, posts, gaps, START)
    return made


def polled(*names: str) -> list[Subreddit]:
    """Subreddits that an earlier poller polled until ten seconds ago."""
    return [Subreddit(name, 60, "fast", START - 10) for name in names]


def rest(made: Planner) -> None:
    """No listing is due any more."""
    for group in made.watchlist.groups:
        group.due = math.inf


# --- configuration


def test_where_ids_are_not_answered_no_known_post_is_refreshed() -> None:
    made = started(fast("a"), [busy("p1")], refresh_ids_per_minute=6000, answers_ids=False)
    listing(made, START)
    rest(made)
    assert made.next(START + 1, 1.0) is None
    assert made.wake(START) == math.inf


def test_another_pace_changes_listings_at_once() -> None:
    made = started([*fast("a"), Subreddit("s", 600, "slow")])
    made.set_listing_pace(4, START + 5)
    assert [(group.names, group.interval, group.due) for group in made.watchlist.groups] == [
        (("a", "s"), 15, START + 5)
    ]


def test_whether_a_configuration_changed_anything_is_told() -> None:
    made = started(fast("a"))
    assert made.configure(fast("a", "b"), START)
    assert not made.configure(fast("a", "b"), START)


def test_subreddits_that_join_others_are_first_polled_alone_if_they_were_polled_before() -> None:
    def medium(*names: str) -> list[Subreddit]:
        return [Subreddit(name, 180, "medium") for name in names]

    made = started([*fast("a"), *medium("m")])
    posts = [known("b1", START - 5000, "b"), known("n1", START - 5000, "n")]
    made.configure([*fast("a", "b", "fresh"), *medium("m", "n")], START, posts)
    assert made.watchlist.excluded == {"b", "n"}
    assert [group.names for group in made.watchlist.groups] == [("a", "fresh"), ("m",)]


def test_posts_of_an_arriving_subreddit_are_known_though_others_were_known_before() -> None:
    made = started(fast("a"), [known("a1", START - 60)])
    made.configure(fast("a", "b"), START, [known("a1", START - 60), known("b1", START - 60, "b")])
    assert set(made.posts) == {"a1", "b1"}


# --- answers


def test_an_item_that_cannot_be_read_is_not_missing() -> None:
    made = started(fast("a"), [busy("p1"), busy("p2"), busy("p3")], refresh_ids_per_minute=6000)
    findings = made.judge(made.fetch_of(["p1", "p2", "p3"]), [seen("p1")], None, START, {"p2"})
    made.confirm(findings, [True] * len(findings.decisions), START)
    assert [made.posts[id_].absences for id_ in ("p1", "p2", "p3")] == [0, 0, 1]


def test_an_answer_of_the_brokers_for_another_number_of_ranks_is_a_fault() -> None:
    made = started(by_rank("a"))
    listing(made, START)
    fetch = made.next(START + 1, 1.0)
    assert isinstance(fetch, RankedFetch)
    findings = made.judge(fetch, [seen("p1"), seen("p2")], None, START + 1)
    with pytest.raises(ValueError, match="shorter"):
        made.confirm(findings, [True], START + 1)


@pytest.mark.parametrize(("after", "is_read_alone"), [("t3_a2", True), (None, False)])
def test_a_subreddit_that_the_database_knows_is_read_back_when_it_reappears_unless_the_page_shows_all(
    after: str | None, is_read_alone: bool
) -> None:
    made = started(polled("a", "b"), [*OF_A, OLD_OF_B])
    answer(made, listing(made, START), seen("b2", subreddit="b"), *PAGE_OF_A, after=after)
    fetch = made.next(START + 1, 1.0)
    assert isinstance(fetch, ReappearanceFetch) == is_read_alone
    assert not isinstance(fetch, ReappearanceFetch) or fetch.name == "b"


def test_a_reappeared_subreddit_is_read_once_its_new_post_was_confirmed() -> None:
    made = started(polled("a", "b"), [*OF_A, OLD_OF_B])
    for now, is_sent in ((START, False), (START + 10, True)):
        fetch = listing(made, now)
        findings = made.judge(fetch, [seen("b2", subreddit="b"), *PAGE_OF_A], "t3_a2", now)
        made.confirm(findings, [is_sent] * len(findings.decisions), now)
        assert isinstance(made.next(now + 1, 1.0), ReappearanceFetch) == is_sent


def test_a_subreddit_that_was_polled_by_itself_is_asked_alone_as_soon_as_it_is_silent_in_a_group() -> None:
    """Only pages of several subreddits tell who is silent."""
    made = started(fast("a"))
    answer(made, listing(made, START), seen("a1", created=START - 300), after="t3_a1")
    made.configure(fast("a", "b"), START)
    answer(made, listing(made, START + 10), seen("b1", subreddit="b"), now=START + 10, after="t3_b1")
    fetch = made.next(START + 11, 1.0)
    assert isinstance(fetch, SilenceFetch)
    assert fetch.name == "a"


@pytest.mark.parametrize("reason", ["wanted", "excluded", "on trial"])
def test_a_silent_subreddit_that_its_own_listing_or_its_group_tells_of_is_not_asked_alone(reason: str) -> None:
    made = started(fast("a", "b"))
    answer(made, listing(made, START), seen("a1"))
    if reason == "excluded":
        made.watchlist.poll_alone({"b": ()}, math.inf)
    elif reason == "on trial":
        made.watchlist.empty_listings.put_on_trial("b", 1)
    rest(made)
    assert isinstance(made.next(START + 1, 1.0), SilenceFetch) == (reason == "wanted")


# --- turns


def test_after_a_reappearance_refreshes_have_the_turn() -> None:
    posts = [busy(f"p{number}") for number in range(300)]
    made = started(polled("a", "b"), [*OF_A, OLD_OF_B, *posts], [OPEN_GAP], refresh_ids_per_minute=6000)
    answer(made, listing(made, START), seen("b2", subreddit="b"), *PAGE_OF_A, after="t3_a2")
    rest(made)
    fetches = [made.next(START + second, 1.0) for second in range(1, 4)]
    assert [type(fetch) for fetch in fetches] == [RefreshFetch, ReappearanceFetch, RefreshFetch]


@pytest.mark.parametrize(
    ("spacing", "expected", "is_gap"),
    [
        (SCARCE_SPACING, 0.0, True),
        (SCARCE_SPACING - 0.1, 0.0, False),
        (SCARCE_SPACING, MAX_EXPECTED_AFTER_A_TURN, True),
        (SCARCE_SPACING, MAX_EXPECTED_AFTER_A_TURN + 0.1, False),
    ],
)
def test_a_listing_gives_a_turn_to_a_gap_where_requests_are_few_and_its_next_page_will_reach_back(
    spacing: float, expected: float, is_gap: bool
) -> None:
    made = started(fast("a"), (), [OPEN_GAP])
    (group,) = made.watchlist.groups
    group.polled_at, now = START, START + 70 - spacing
    group.latest_rate = expected / 70
    assert isinstance(made.next(now, spacing), GapFetch if is_gap else ListingFetch)


@pytest.mark.parametrize(("later", "is_gap"), [(0.0, False), (0.1, True)])
def test_a_gap_has_no_second_turn_before_a_page_of_the_listing_was_answered(later: float, is_gap: bool) -> None:
    made = started(fast("a"), (), [OPEN_GAP])
    (group,) = made.watchlist.groups
    group.polled_at, group.latest_rate = START - 60, 0.0
    fetch = made.next(START, 60.0)
    assert isinstance(fetch, GapFetch)
    fetch.gap.not_before, group.polled_at = START, START + later
    assert isinstance(made.next(START + 1, 60.0), GapFetch) == is_gap


# --- waiting


def test_it_wakes_for_a_silent_subreddit() -> None:
    made = started(fast("a", "b"))
    answer(made, listing(made, START), seen("a1"))
    fetch = made.next(START + 1, 1.0)
    assert isinstance(fetch, SilenceFetch)
    made.confirm(made.judge(fetch, [], None, START + 1), [], START + 1)
    rest(made)
    assert made.wake(START + 1) == ASK_AGAIN


def test_it_wakes_for_a_listing_by_rank() -> None:
    made = started(by_rank("a"))
    listing(made, START)
    rest(made)
    assert isinstance(made.next(START + 1, 1.0), RankedFetch)
    assert made.wake(START + 1) == EVERY["hot"]


def test_it_wakes_for_a_first_look() -> None:
    made = started(fast("a"), first_look_seconds=3600.0)
    answer(made, listing(made, START), seen("a1"), after="t3_a1")
    made.first_looks.gaps.recorded(1)
    rest(made)
    (gap,) = made.first_looks.gaps
    gap.not_before = START + 40
    assert made.wake(START) == 40


def test_a_first_look_that_has_no_answer_is_asked_again() -> None:
    made = started(fast("a"), first_look_seconds=3600.0)
    answer(made, listing(made, START), seen("a1"), after="t3_a1")
    made.first_looks.gaps.recorded(1)
    rest(made)
    fetch = made.next(START + 1, 1.0)
    assert isinstance(fetch, FirstLookFetch)
    assert not fetch.unanswered(START + 2)
    assert made.next(START + 2 + PAGE_RETRY - 0.1, 1.0) is None
    assert isinstance(made.next(START + 2 + PAGE_RETRY, 1.0), FirstLookFetch)


def test_unless_it_is_asked_for_there_is_no_first_look() -> None:
    made = Planner(listing_per_minute=20, refresh_ids_per_minute=0)
    made.start(fast("a"), (), (), START)
    answer(made, listing(made, START), seen("a1"), after="t3_a1")
    assert not made.first_looks.gaps


@pytest.mark.parametrize(
    ("older", "shown_before", "is_known"),
    [(0.0, 2 * SHOWN_LATELY, True), (1.0, SHOWN_LATELY, True), (1.0, SHOWN_LATELY + 1, False)],
)
def test_a_post_is_forgotten_when_it_is_too_old_and_no_listing_showed_it_lately(
    older: float, shown_before: float, is_known: bool
) -> None:
    now = START + SWEEP_EVERY
    old = StoredPost("p1", "a", now - HORIZON - older, now - shown_before, 1, 0, True)
    made = started(fast("a"), [old])
    made.next(now - 1, 1.0)
    assert made.posts.keys() == {"p1"}
    made.next(now, 1.0)
    assert bool(made.posts) is is_known


@pytest.mark.parametrize(("younger", "is_refreshed"), [(0.0, False), (1.0, True)])
def test_a_post_that_is_found_two_days_after_its_creation_is_not_refreshed(younger: float, is_refreshed: bool) -> None:
    before = [known(f"k{number}", START - HORIZON - 1000) for number in range(3)]
    made = started([Subreddit("a", 60, "fast", START - HORIZON - 600)], before, refresh_ids_per_minute=6000)
    found = seen("p1", created=START - HORIZON + younger)
    decisions = answer(made, listing(made, START), found, *(seen(post.id, created=post.created) for post in before))
    assert decisions[0].is_new
    rest(made)
    assert isinstance(made.next(START + 300, 1.0), RefreshFetch) is is_refreshed


def test_a_post_that_changes_two_days_after_its_creation_is_not_refreshed() -> None:
    made = started(fast("a"), [known("p1", START - HORIZON)], refresh_ids_per_minute=6000)
    assert answer(made, listing(made, START), seen("p1", created=START - HORIZON, score=900))
    rest(made)
    assert not isinstance(made.next(START + 300, 1.0), RefreshFetch)
