"""Pages of a listing, compared with a slow and obvious model."""

from random import Random

import pytest

from signalflow.simulator.listings import PageQuery, page_of, page_query

THINGS = [f"t3_{n:02}" for n in range(40)]


@pytest.mark.parametrize("seed", range(200))
def test_a_page_is_a_slice_next_to_its_anchor(seed: int) -> None:
    rng = Random(seed)
    things = THINGS[: rng.choice((0, 1, 5, 40))]
    anchor = rng.choice([*things, "t3_gone"])
    limit = rng.randint(1, 30)
    at = things.index(anchor) if anchor in things else None
    after = page_of(things, str, PageQuery(limit=limit, after=anchor))
    before = page_of(things, str, PageQuery(limit=limit, before=anchor))
    assert after.things == ([] if at is None else things[at + 1 : at + 1 + limit])
    assert before.things == ([] if at is None else things[max(at - limit, 0) : at])
    more = at is not None and at + 1 + limit < len(things)
    assert after.after == (after.things[-1] if more else None)
    assert (before.after, before.before) == (None, None)


@pytest.mark.parametrize("limit", [1, 7, 39, 40, 41])
def test_following_after_visits_everything_once(limit: int) -> None:
    seen: list[str] = []
    after = None
    while True:
        page = page_of(THINGS, str, PageQuery(limit=limit, after=after))
        seen += page.things
        after = page.after
        if after is None:
            break
    assert seen == THINGS


def test_neighbours_are_filled_with_a_count() -> None:
    """With count, Reddit fills both after and before; PRAW then makes one request that finds nothing (praw#887)."""
    down = page_of(THINGS, str, PageQuery(limit=5, after="t3_09", count=10))
    up = page_of(THINGS, str, PageQuery(limit=5, before="t3_20", count=20))
    top = page_of(THINGS, str, PageQuery(limit=5, before="t3_05", count=6))
    assert (down.before, down.after) == ("t3_10", "t3_14")
    assert (up.before, up.after) == ("t3_15", "t3_19")
    assert top.before is None


def test_nonsense_in_a_query_is_ignored() -> None:
    assert page_query({"limit": "-3", "after": "", "count": "many"}) == PageQuery(limit=1)
    assert page_query({"limit": "²"}) == PageQuery()
