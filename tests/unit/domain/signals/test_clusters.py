"""Topic clusters of posts."""

from collections.abc import Iterable
from math import log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.keywords import Frequencies
from signalflow.domain.signals import clusters as module
from signalflow.domain.signals.cluster_codec import decode, encode
from signalflow.domain.signals.clusters import (
    MOST_KEYS,
    MOST_POSTINGS,
    MOST_POSTS,
    MOST_TERMS,
    Assignment,
    Cluster,
    Clusters,
    Told,
    label_of,
    link_key,
    title_key,
    title_vector,
)

START = 1_700_000_000_000_000
# "common" is in three of 100 titles, which is too many; "rare" and all other words in one.
FREQUENCIES = Frequencies(100, {"common": 3, "known": 2, "rare": 1})


def clusters(living: Iterable[Cluster] = ()) -> Clusters:
    return Clusters(living, FREQUENCIES)


def add(found: Clusters, post: str, title: str, url: str | None = None, hour: float = 0) -> Assignment:
    return found.add(post, title, url, START + round(hour * 3_600_000_000))


def test_a_title_is_a_unit_vector_of_its_words_by_their_rarity() -> None:
    vector = title_vector("A known, rare and common word", FREQUENCIES)
    known, other = log(50), log(100)
    norm = sqrt(known**2 + 2 * other**2)
    assert vector == pytest.approx({"known": known / norm, "rare": other / norm, "word": other / norm})


def test_a_paraphrase_joins_the_story() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour, ferries cancelled")
    joined = add(found, "b", "Ferries in Lisbon cancelled because of a storm")
    assert joined.cluster is not None
    assert (joined.cluster.id, joined.how, joined.cluster.size) == ("a", "similar", 2)
    # Four words of equal weight in common; the titles have six and four of them.
    assert joined.similarity == pytest.approx(4 / sqrt(6 * 4))


def test_another_story_begins_a_cluster_of_its_own() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour, ferries cancelled")
    other = add(found, "b", "Library opens in Oslo")
    assert (other.how, other.similarity, len(found)) == ("first", None, 2)


def test_one_word_in_common_is_not_enough() -> None:
    found = clusters()
    add(found, "a", "Lisbon")
    assert add(found, "b", "Lisbon!").how == "first"


def test_common_words_say_nothing() -> None:
    found = clusters()
    assert add(found, "a", "Common common").cluster is None
    assert len(found) == 0


def test_of_equally_similar_clusters_the_oldest_is_joined() -> None:
    found = clusters()
    add(found, "a", "alpha beta gamma delta")
    add(found, "b", "epsilon zeta eta theta")
    joined = add(found, "c", "alpha beta epsilon zeta")
    assert joined.cluster is not None
    assert joined.cluster.id == "a"


def test_the_most_similar_cluster_is_joined() -> None:
    found = clusters()
    add(found, "a", "alpha beta gamma delta")
    add(found, "b", "epsilon zeta eta theta")
    joined = add(found, "c", "alpha beta epsilon zeta eta")
    assert joined.cluster is not None
    assert joined.cluster.id == "b"


def test_an_equal_title_joins_whatever_its_punctuation() -> None:
    found = clusters()
    add(found, "a", "Common common common!")
    add(found, "b", "It's 'Czechs': we're not Chechens")
    joined = add(found, "c", "IT'S Czechs, we're not CHECHENS.")
    assert (joined.how, joined.cluster and joined.cluster.id) == ("title", "b")


def test_titles_of_two_words_are_not_the_same_post() -> None:
    assert title_key("Me irl") is None
    assert title_key("Me too irl") == title_key("me, too: IRL")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://www.example.org/a/b/", "http://example.org/a/b#top"),
        ("https://Example.org/a?v=1", "https://example.org/a?v=1"),
        ("https://www.reddit.com/r/news/comments/abc1/a_title/", "https://old.reddit.com/r/other/comments/abc1"),
        ("https://redd.it/comments/abc1", "https://www.reddit.com/comments/abc1/"),
    ],
)
def test_links_to_the_same_thing_are_equal(one: str, other: str) -> None:
    assert link_key(one) == link_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.org/a?v=1", "https://example.org/a?v=2"),
        ("https://example.org/a", "https://example.org/A"),
        ("https://www.reddit.com/r/news/comments/abc1/", "https://www.reddit.com/r/news/comments/abc2/"),
        ("https://notreddit.com/comments/abc1/x", "https://www.reddit.com/comments/abc1/"),
    ],
)
def test_links_to_different_things_differ(one: str, other: str) -> None:
    assert link_key(one) != link_key(other)


def test_a_link_without_a_path_says_nothing() -> None:
    assert link_key("https://www.example.org/") is None


def test_a_crosspost_joins_the_original() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon", "https://www.reddit.com/r/news/comments/a/storm/")
    joined = add(found, "b", "My ferry will not sail", "https://reddit.com/r/news/comments/a/storm")
    assert (joined.how, joined.cluster and joined.cluster.posts) == ("link", ["a", "b"])


def test_a_post_that_comes_again_changes_nothing() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    again = add(found, "a", "Storm hits Lisbon harbour", hour=1)
    assert again.cluster is not None
    assert (again.how, again.cluster.size, again.cluster.joined_us) == ("again", 1, START)


def test_the_label_is_the_three_heaviest_words() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    joined = add(found, "b", "Lisbon storm: Lisbon ferries in the harbour")
    assert joined.cluster is not None
    assert joined.cluster.label == ("harbour", "lisbon", "storm")


def test_a_cluster_that_nobody_joins_for_two_days_ends() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    add(found, "b", "Library opens in Oslo", hour=1)
    add(found, "c", "Library in Oslo opens", hour=47)
    assert add(found, "d", "Unrelated", hour=47.9).ended == ()
    assert add(found, "e", "Storm hits Lisbon again", hour=48).ended == ("a",)
    assert {cluster.id for cluster in found} == {"b", "d", "e"}


def test_an_observation_from_earlier_does_not_turn_back_the_time() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour", hour=40)
    late = add(found, "b", "Library opens in Oslo", hour=0)
    assert late.cluster is not None
    assert late.cluster.joined_us == START + 40 * 3_600_000_000


def test_the_cluster_that_was_joined_longest_ago_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLUSTERS", 2)
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    add(found, "b", "Library opens in Oslo")
    add(found, "c", "Storm in Lisbon")
    assert add(found, "d", "Quake near Bergen").ended == ("b",)
    assert len(found) == 2


def test_what_has_ended_leaves_nothing_behind() -> None:
    """Neither its words, nor its titles, links and posts can be found any more."""
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour", "https://example.org/storm")
    add(found, "b", "Unrelated", hour=48)
    assert add(found, "c", "Storm hits Lisbon harbour", "https://example.org/storm", hour=48).how == "first"
    assert add(found, "a", "Storm hits Lisbon harbour", hour=48).how == "title"


def test_the_order_in_which_clusters_were_joined_is_stored_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CLUSTERS", 2)
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    add(found, "b", "Library opens in Oslo")
    add(found, "c", "Storm in Lisbon")
    restored = clusters(decode(encode(cluster)) for cluster in found)
    assert add(restored, "d", "Quake near Bergen").ended == ("b",)


def test_a_word_that_left_the_centre_leads_nowhere_after_the_end() -> None:
    found = clusters()
    add(found, "a", "storm lisbon early words e1 e2 e3 e4")
    for number in range(5):
        add(found, f"p{number}", f"storm lisbon first{number} second{number}")
    (cluster,) = found
    assert not {"early", "words"} & set(cluster.centre)
    assert add(found, "x", "early words", hour=48).how == "first"


def test_a_cluster_is_bounded() -> None:
    found = clusters()
    for number in range(MOST_POSTS + 10):
        words = " ".join(f"w{number}x{other}" for other in range(3))
        add(found, f"p{number}", f"Storm hits Lisbon harbour {words}", f"https://example.org/{number}")
    (cluster,) = found
    assert cluster.size == MOST_POSTS + 10
    assert cluster.posts == [f"p{number}" for number in range(10, MOST_POSTS + 10)]
    assert (len(cluster.centre), len(cluster.keys)) == (MOST_TERMS, MOST_KEYS)
    assert cluster.label == ("harbour", "hits", "lisbon")
    assert len(encode(cluster)) < 2_000


def test_a_word_of_too_many_clusters_finds_none() -> None:
    found = clusters()
    for number in range(MOST_POSTINGS):
        add(found, f"p{number}", f"storm a{number} b{number} c{number} d{number} e{number} f{number}")
    assert add(found, "x", "storm a7 z").how == "similar"
    add(found, "y", "storm more of other things here")
    assert len(found) == MOST_POSTINGS + 1
    assert add(found, "z", "storm a8 q").how == "first"


WORDS = ("storm", "lisbon", "ferry", "oslo", "library", "known", "harbour", "rare", "quake", "memo")
POSTS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
        st.one_of(st.none(), st.sampled_from([f"https://example.org/{number}" for number in range(5)])),
        st.floats(0, 30),
    ),
    max_size=40,
)


@settings(max_examples=50)
@given(POSTS, st.integers(0, 40))
def test_clusters_that_are_stored_and_restored_go_on_as_before(
    posts: list[tuple[int, str, str | None, float]], stop: int
) -> None:
    whole, hour, told, stored = clusters(), 0.0, [], {}
    restored = None
    for place, (number, title, url, gap) in enumerate(posts):
        if place == stop:
            restored = clusters(decode(value) for value in sorted(stored.values()))
        hour += gap
        one = add(whole, f"p{number}", title, url, hour)
        for ended in one.ended:
            del stored[ended]
        if one.cluster is not None:
            stored[one.cluster.id] = encode(one.cluster)
        told.append((one.cluster and one.cluster.id, one.how, one.similarity, one.ended))
        if restored is not None:
            other = add(restored, f"p{number}", title, url, hour)
            assert (other.cluster and other.cluster.id, other.how, other.similarity, other.ended) == told[-1]
    assert sorted(stored.values()) == sorted(map(encode, whole))


@pytest.mark.parametrize("value", [b"", b"\x02" + bytes(60)])
def test_a_cluster_of_another_version_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="version"):
        decode(value)


def test_the_bytes_of_a_cluster_are_all_of_it() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour", "https://example.org/storm")
    add(found, "b", "Storm in Lisbon", "https://example.org/2", hour=1)
    (cluster,) = found
    again = decode(encode(cluster))
    assert (again, again.size, len(again.posts), len(again.keys)) == (cluster, 2, 2, 4)


def test_another_version_is_named_with_what_it_is_of() -> None:
    with pytest.raises(ValueError, match="a cluster"):
        decode(b"\x02" + bytes(60))


def test_clusters_are_numbered_in_their_order_and_posts_in_theirs() -> None:
    found = clusters()
    told = [
        add(found, post, title).cluster
        for post, title in (
            ("a", "Storm hits Lisbon"),
            ("b", "Library opens in Oslo"),
            ("c", "Lisbon storm"),
            ("d", "Quake near Bergen"),
        )
    ]
    assert [cluster and (cluster.id, cluster.number, cluster.turn) for cluster in told] == [
        ("a", 1, 3), ("b", 2, 2), ("a", 1, 3), ("d", 3, 4),
    ]  # fmt: skip


def test_a_title_that_says_nothing_still_tells_what_ended() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    assert add(found, "b", "Common common", hour=48) == Assignment(None, "first", None, ("a",))


def test_restored_clusters_know_their_posts_titles_and_links() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour", "https://example.org/storm")
    add(found, "b", "Library opens in Oslo", "https://example.org/library")
    restored = clusters(decode(encode(cluster)) for cluster in found)
    assert add(restored, "a", "Storm hits Lisbon harbour").how == "again"
    assert add(restored, "c", "Storm hits Lisbon harbour!").how == "title"
    linked = add(restored, "d", "Quake near Bergen", "https://example.org/library")
    assert (linked.how, linked.cluster and linked.cluster.id) == ("link", "b")
    restored.retell("b", 0, [])
    assert [cluster.id for cluster in restored] == ["a"]


def test_the_centre_is_the_sum_of_its_titles() -> None:
    found = clusters()
    add(found, "a", "storm lisbon")
    joined = add(found, "b", "storm lisbon harbour ferry")
    assert joined.cluster is not None
    both, one = 1 / sqrt(2) + 1 / sqrt(4), 1 / sqrt(4)
    assert joined.cluster.centre == pytest.approx({"storm": both, "lisbon": both, "harbour": one, "ferry": one})
    # The cosine of the next title is taken with the whole length of that sum.
    third = add(found, "c", "storm lisbon quake")
    length = sqrt(2 * both**2 + 2 * one**2)
    assert third.similarity == pytest.approx(2 * both / sqrt(3) / length)


def test_a_title_as_similar_as_is_asked_for_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    found = clusters()
    add(found, "a", "alpha beta gamma delta")
    similarity = add(clusters(decode(encode(one)) for one in found), "b", "alpha beta epsilon").similarity
    assert similarity is not None
    monkeypatch.setattr(module, "LEAST_SIMILARITY", similarity)
    assert add(found, "b", "alpha beta epsilon").how == "similar"


def test_a_cluster_with_one_word_in_common_hides_no_other_one() -> None:
    found = clusters()
    add(found, "a", "alpha one two")
    add(found, "b", "beta gamma delta")
    joined = add(found, "c", "alpha beta gamma")
    assert (joined.how, joined.cluster and joined.cluster.id) == ("similar", "b")


def test_an_older_cluster_that_is_less_similar_is_not_joined() -> None:
    """Whichever of them is looked at first: words are taken in the order of the alphabet."""
    found = clusters()
    add(found, "a", "mm nn xx yy")
    add(found, "b", "aa bb cc zz")
    joined = add(found, "c", "aa bb cc mm nn")
    assert joined.cluster is not None
    assert joined.cluster.id == "b"


def test_the_oldest_title_of_a_cluster_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 2)
    found = clusters()
    for post, words in (("a", "one"), ("b", "two"), ("c", "three")):
        add(found, post, f"Storm hits Lisbon harbour {words}")
    assert add(found, "d", "storm, hits, lisbon, harbour: two").how == "title"
    assert add(found, "e", "storm, hits, lisbon, harbour: one").how == "similar"


def test_a_title_has_its_heaviest_words_only() -> None:
    vector = title_vector(" ".join(f"w{number}" for number in range(MOST_TERMS + 5)), FREQUENCIES)
    assert len(vector) == MOST_TERMS


def test_three_words_are_a_title() -> None:
    assert title_key("Me too irl") is not None


def test_keys_are_the_same_in_every_version() -> None:
    """Changelogs hold them."""
    assert title_key("Storm hits Lisbon") == 10138929027545371113
    assert link_key("https://Example.org/a?v=1") == 12652286560930810754
    assert link_key("https://www.reddit.com/r/news/comments/abc1/") == 8643745117439534563


def test_only_slashes_at_the_end_of_a_link_say_nothing() -> None:
    assert link_key("https://example.org/annX") != link_key("https://example.org/ann")
    assert link_key("https://example.org/ann/") == link_key("https://example.org/ann")


def test_nothing_of_a_post_stays_in_the_cluster_that_it_left() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour", "https://example.org/storm")
    add(found, "b", "Storm hits Lisbon, ferries cancelled", "https://example.org/ferries", hour=1)
    before = next(iter(found)).turn
    cluster = found.retell("a", 1, [Told("b", "Storm hits Lisbon, ferries cancelled", "https://example.org/ferries")])
    assert cluster is not None
    assert (cluster.id, cluster.turn, cluster.size, cluster.posts) == ("a", before, 1, ["b"])
    assert cluster.centre == title_vector("Storm hits Lisbon, ferries cancelled", FREQUENCIES)
    assert b"harbour" not in encode(cluster)
    # Neither its words nor its link lead there any more, and what is left does.
    assert add(found, "c", "Harbour nearby", "https://example.org/storm", hour=1).how == "first"
    assert add(found, "d", "Ferries cancelled", hour=1).how == "similar"
    assert add(found, "e", "Quake near Bergen", "https://example.org/ferries", hour=1).how == "link"


def test_a_post_that_began_a_cluster_and_left_it_comes_back_to_it() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour")
    add(found, "b", "Lisbon storm", hour=1)
    found.retell("a", 1, [Told("b", "Lisbon storm", None)])
    again = add(found, "a", "Another title with other words", hour=2)
    assert (again.how, again.cluster and again.cluster.id, len(found)) == ("first", "a", 1)
    assert again.cluster is not None
    assert again.cluster.posts == ["b", "a"]


def test_a_cluster_that_all_posts_have_left_is_gone() -> None:
    found = clusters()
    add(found, "a", "Storm hits Lisbon harbour", "https://example.org/storm")
    assert found.retell("a", 0, []) is None
    assert len(found) == 0
    assert found._postings == {}
    assert add(found, "b", "Storm hits Lisbon harbour", "https://example.org/storm").how == "first"


def test_a_cluster_that_does_not_live_is_not_made_anew() -> None:
    assert clusters().retell("a", 1, [Told("b", "Storm in Lisbon", None)]) is None


def test_a_label_is_that_of_the_cluster_of_these_titles() -> None:
    found = clusters()
    titles = ["Storm hits Lisbon harbour", "Known storm in Lisbon", "Lisbon known harbour"]
    for number, title in enumerate(titles):
        joined = add(found, f"p{number}", title).cluster
    assert joined is not None
    assert joined.size == 3
    assert label_of(titles, FREQUENCIES) == joined.label
    # Without frequencies of their own both take those that are shipped.
    assert label_of(titles[:1]) == Clusters([]).add("a", titles[0], None, START).cluster.label  # type: ignore[union-attr]


def test_what_was_seen_two_days_before_the_newest_post_has_passed() -> None:
    found = clusters()
    assert not found.has_passed(START)
    add(found, "a", "Storm hits Lisbon harbour", hour=48)
    assert found.has_passed(START)
    assert not found.has_passed(START + 1)
