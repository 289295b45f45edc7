"""What proves that no post was missed between two pages, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signalflow.domain.known import Seen
from signalflow.domain.overlap import Anchor, Gap, Proof, proves

SINCE = 10_000.0
OF_IDS = Anchor(frozenset({"k1", "k2", "k3", "k4"}), SINCE)
QUIET = Anchor(frozenset({"k1", "k2"}), SINCE)


def posts(*ids: str, created: float = SINCE + 500) -> list[Seen]:
    return [Seen(id_, "a", created, 1, 0) for id_ in ids]


def old(count: int, created: float = SINCE) -> list[Seen]:
    return posts(*(f"o{number}" for number in range(count)), created=created)


def test_an_anchor_has_the_fifty_newest_ids_of_a_page() -> None:
    anchor = Anchor.of_page(posts(*(f"p{number}" for number in range(60))), SINCE)
    assert anchor.ids == {f"p{number}" for number in range(50)}


def test_an_anchor_is_complete_until_two_minutes_before_the_answer_or_its_newest_post() -> None:
    quiet = posts("p1", created=SINCE - 500) + posts("p2", created=SINCE - 600)
    assert Anchor.of_page(quiet, SINCE).since == SINCE - 120
    assert Anchor.of_page([], SINCE).since == SINCE - 120
    busy = posts("p1", created=SINCE - 50) + posts("p2", created=SINCE - 20)
    assert Anchor.of_page(busy, SINCE).since == SINCE - 20


def test_three_ids_of_the_anchor_prove_the_overlap_and_two_do_not() -> None:
    assert proves([OF_IDS], posts("n1", "k1", "k2", "k4"), is_whole=False)
    assert not proves([OF_IDS], posts("n1", "k1", "k2"), is_whole=False)


def test_old_posts_prove_nothing_where_ids_are_known() -> None:
    assert not proves([OF_IDS], old(10), is_whole=False)
    assert not proves([OF_IDS], [*old(10), *posts("k1", "k2")], is_whole=True)


def test_three_posts_as_old_as_the_anchor_prove_it_where_it_has_fewer_ids() -> None:
    for anchor in (QUIET, Anchor(frozenset(), SINCE)):
        assert proves([anchor], old(3), is_whole=False)
        assert not proves([anchor], old(2), is_whole=False)
        assert not proves([anchor], old(5, created=SINCE + 0.1), is_whole=False)


def test_a_listing_that_ends_proves_an_anchor_of_few_ids_if_it_shows_them_all() -> None:
    assert proves([QUIET], posts("n1", "k1", "k2"), is_whole=True)
    assert not proves([QUIET], posts("n1", "k1", "k2"), is_whole=False)
    assert not proves([QUIET], posts("n1", "k1"), is_whole=True)
    assert proves([Anchor(frozenset(), SINCE)], posts("n1"), is_whole=True)


def test_a_listing_that_ends_does_not_prove_an_anchor_of_three_ids_or_more() -> None:
    assert not proves([OF_IDS], posts("n1"), is_whole=True)


def test_every_anchor_must_be_reached_wherever_it_stands() -> None:
    other = Anchor(frozenset({"x1", "x2", "x3"}), SINCE)
    assert proves([], [], is_whole=False)
    assert proves([OF_IDS, other], posts("k1", "k2", "k3", "x1", "x2", "x3"), is_whole=False)
    for anchors in ([OF_IDS, other], [other, OF_IDS]):
        assert not proves(anchors, posts("k1", "k2", "k3"), is_whole=False)
        assert not proves(anchors, posts("x1", "x2", "x3"), is_whole=False)


def test_a_proof_adds_up_what_several_pages_show() -> None:
    proof = Proof(OF_IDS)
    proof.read([*posts("k1", "n1"), *old(1)])
    proof.read([*posts("k2", "k3"), *old(2), *old(1, created=SINCE + 1)])
    assert (proof.found, proof.older, proof.holds) == (3, 3, True)


def test_a_gap_is_read_when_its_pages_reached_every_anchor() -> None:
    other = Anchor(frozenset({"x1", "x2", "x3"}), SINCE - 60)
    gap = Gap(("a",), (OF_IDS, other), SINCE)
    assert (gap.since, gap.anchor_ids) == (SINCE - 60, ["k1", "k2", "k3", "k4", "x1", "x2", "x3"])
    assert not gap.read(posts("k1", "k2", "k3"))
    assert not gap.read(posts("x1", "x2"))
    assert gap.read(posts("x3"))
    assert gap.pages == 3


@given(
    st.lists(st.sampled_from(["k1", "k2", "k3", "k4", "n1", "n2"]), unique=True),
    st.integers(0, 5),
    st.sampled_from([OF_IDS, QUIET, Anchor(frozenset(), SINCE)]),
    st.booleans(),
)
def test_more_posts_on_a_page_never_take_a_proof_away(
    shown: list[str], older: int, anchor: Anchor, is_whole: bool
) -> None:
    page = [*posts(*shown), *old(older)]
    proven = [proves([anchor], page[:length], is_whole=is_whole) for length in range(len(page) + 1)]
    assert proven == sorted(proven)


@pytest.mark.parametrize("anchor", [OF_IDS, QUIET])
def test_for_other_subreddits_only_the_time_of_an_anchor_counts(anchor: Anchor) -> None:
    assert anchor.by_time() == Anchor(frozenset(), SINCE)
