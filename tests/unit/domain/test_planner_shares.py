"""How the kinds of requests that are not urgent share what listings leave: exactly, turn by turn."""

from itertools import pairwise

from signalflow.domain.fetches import ListingFetch
from signalflow.domain.planner import TURNS_BETWEEN_RANKS, Planner
from signalflow.domain.ranked_listings import OTHERS_FOR_ONE
from signalflow.domain.silence import SPACING
from tests.unit.domain.listing_world import START, World, fast
from tests.unit.domain.test_planner_details import rest, started
from tests.unit.domain.test_planner_few_requests import SlowHarness
from tests.unit.domain.test_planner_turns import answer, busy, listing, planner, seen
from tests.unit.domain.test_ranked_listings import by_rank


def kinds(made: Planner, count: int, step: float) -> list[str]:
    """The kinds of the next fetches, `step` seconds apart, none of which is answered."""
    fetches = [made.next(START + step * turn, 0.0) for turn in range(1, count + 1)]
    return ["none" if fetch is None else fetch.kind for fetch in fetches]


def test_where_requests_are_few_ranks_have_one_turn_in_fifteen_and_popular_has_none() -> None:
    made = Planner(listing_per_minute=1, refresh_ids_per_minute=0, answers_ids=False, discover_every=900.0)
    made.start(by_rank("a"), (), (), START)
    found = SlowHarness(World(), made).turns(70, posts=1)
    turns = [turn for turn, kind in enumerate(found) if kind == "ranked"]
    assert len(turns) >= 4
    assert {after - before for before, after in pairwise(turns)} == {TURNS_BETWEEN_RANKS}
    assert set(found) == {"listing", "ranked"}


def test_while_refreshes_wait_every_tenth_request_is_for_ranks() -> None:
    made = started(
        by_rank("a", sorts=("new", "hot", "rising")),
        [busy(f"p{number}", age=60.0) for number in range(3_000)],
        refresh_ids_per_minute=60 * 6000,
    )
    assert isinstance(made.next(START, 0.0), ListingFetch)
    # A batch of 100 posts takes a sixtieth of a second of their allowance.
    found = kinds(made, 3 * OTHERS_FOR_ONE, 0.02)
    # The listing was one of the others.
    ranked = [OTHERS_FOR_ONE - 1, 2 * OTHERS_FOR_ONE]
    assert [turn for turn, kind in enumerate(found) if kind == "ranked"] == ranked
    assert set(found) == {"refresh", "ranked"}


def test_there_is_room_for_a_request_that_ends_when_a_listing_is_due() -> None:
    made = planner()
    assert made.has_room(START, 3.0)
    assert not made.has_room(START, 3.1)
    assert not made.has_room(START + 0.1, 3.0)


def test_a_silent_subreddit_and_a_first_look_take_turns() -> None:
    made = started(fast("a", "b", "c", "d"), first_look_seconds=3600.0)
    answer(made, listing(made, START), seen("a1"), after="t3_a1")
    for number in range(1, 5):
        made.first_looks.gaps.recorded(number)
    rest(made)
    assert kinds(made, 7, SPACING) == ["silence", "first_look"] * 3 + ["first_look"]
