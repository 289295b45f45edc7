"""Which posts of a cluster are the same thing posted again."""

from signalflow.domain.signals.same_posts import same_as

ORIGINAL = "https://www.reddit.com/r/news/comments/a1/genes/"


def test_an_equal_title_and_a_link_to_the_same_thing_lead_to_the_first_post() -> None:
    assert same_as(
        [
            ("a1", "Genes cannot be patented", "https://example.org/genes"),
            ("a2", "GENES cannot be patented!", None),
            ("a3", "Court rules on genes", "http://www.example.org/genes#top"),
            ("a4", "Another story of genes", "https://example.org/other"),
        ]
    ) == {"a1": None, "a2": "a1", "a3": "a1", "a4": None}


def test_a_crosspost_is_the_same_as_the_text_post_that_it_links_to() -> None:
    posts = [("a1", "What I think of it", ORIGINAL), ("b2", "Somebody thinks a lot", "/r/news/comments/a1/genes/")]
    assert same_as(posts)["b2"] is None
    assert same_as([posts[0], ("b2", "Somebody thinks a lot", "https://redd.it/comments/a1")])["b2"] == "a1"


def test_what_repeats_a_repetition_leads_to_the_first_of_all() -> None:
    posts = [
        ("a", "Genes cannot be patented", None),
        ("b", "Genes cannot be patented", "https://example.org/genes"),
        ("c", "Court rules on genes", "https://example.org/genes"),
    ]
    assert same_as(posts) == {"a": None, "b": "a", "c": "a"}


def test_a_title_of_two_words_and_a_link_to_a_whole_site_tell_nothing() -> None:
    posts = [("a", "Me irl", "https://example.org/"), ("b", "Me irl", "https://example.org/")]
    assert same_as(posts) == {"a": None, "b": None}
