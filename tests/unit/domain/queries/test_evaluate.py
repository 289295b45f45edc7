"""Which documents meet a query."""

import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signalflow.domain.queries.evaluate import Document, condition_of, document_of, host_of
from signalflow.domain.queries.language import parse
from signalflow.domain.queries.tree import Adult, And, Comparison, Not, Or, Query, Words
from signalflow.domain.search import Search, words_of
from tests.searches import ONLY_ONE_WAY, SEARCHES
from tests.unit.domain.queries.documents import documents, queries


def a_post() -> Document:
    return document_of(
        "post",
        "New rocket engines of Köln",
        "An AI said: the Who.",
        subreddit="SpaceX",
        author="Some_One",
        domain="News.Example.com",
        flair="Breaking News 🚀",
        over_18=False,
        score=100,
        comments=50,
        sentiment=-0.3,
        ratio=0.6,
        age=7200,
        signals=["viral"],
    )


POST = a_post()
UNKNOWN = document_of("comment", "", subreddit="spacex")


def test_a_document_has_all_that_reddit_tells_in_small_letters_and_words() -> None:
    assert (
        Document(
            kind="post",
            text="New rocket engines of Köln\nAn AI said: the Who.",
            words=" new rocket engines of koln  an ai said the who ",
            subreddit="spacex",
            author="some_one",
            domain="news.example.com",
            flair_words=" breaking news 🚀 ",
            over_18=False,
            score=100,
            comments=50,
            sentiment=-0.3,
            ratio=0.6,
            age=7200,
            signals=frozenset({"viral"}),
        )
        == a_post()
    )
    nothing = document_of("comment", "", subreddit="spacex")
    assert (
        Document(kind="comment", text="", words=words_of(""), subreddit="spacex", flair_words=words_of("")) == nothing
    )


def test_a_word_of_three_letters_within_a_phrase_is_met_by_words_that_begin_with_it() -> None:
    document = document_of("post", "Two cars engines", subreddit="cars")
    assert condition_of(Words(("car", "engine")))(document)
    assert not condition_of(Words(("ca", "engine")))(document)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://News.Example.com/a?b#c", "news.example.com"),
        ("http://user:word@example.com:8080/", "example.com"),
        ("https://example.com?query", "example.com"),
        ("/r/python/comments/abc/", ""),
        ("no link", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_host_of_a_link(url: str | None, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("koln", True),
        ('"engines of" ai', True),
        # No phrase goes from the title into the body.
        ('"koln an"', False),
        ('"köln" "an"', True),
        ('"the who"', True),
        ("wh", False),
        ("wh*", True),
        ('"the wh"', False),
        ('"an ai s"', False),
        ("an-ai-s*", True),
        ('"an ai sai"', True),
        ("ne-ro*", False),
        ("rocket-en*", True),
        ("rocket-en", False),
        ("ngines", False),
        ("subreddit:spacex", True),
        ("subreddit:space", False),
        ("author:some_one", True),
        ("author:some", False),
        ("domain:news.example.com", True),
        ("domain:example.com", True),
        ("domain:www.example.com", True),
        ("domain:ws.example.com", False),
        ("domain:a.news.example.com", False),
        ("flair:news", True),
        ("flair:breaking flair:🚀", True),
        ('flair:"news breaking"', False),
        ("flair:rocket", False),
        ("breaking", False),
        ("kind:post", True),
        ("kind:comment", False),
        ("signal:viral", True),
        ("signal:burst", False),
        ("is:nsfw", False),
        ("-is:nsfw", True),
        ("score>99", True),
        ("score>100", False),
        ("score>=100", True),
        ("score<100", False),
        ("score<=100", True),
        ("score=100", True),
        ("NOT score=100", False),
        ("comments<51", True),
        ("sentiment<-0.2", True),
        ("ratio>0.5", True),
        ("age<2h", False),
        ("age<2.1h", True),
        ("rocket (mars OR score>50) -toy", True),
        ("rocket NOT (mars OR score>50)", False),
        ("???", False),
    ],
)
def test_a_post_meets_a_query(text: str, is_met: bool) -> None:
    assert condition_of(parse(text))(POST) is is_met


@pytest.mark.parametrize("name", ["score", "comments", "sentiment", "ratio"])
@pytest.mark.parametrize("compared", ["<1", "<=1", ">0", ">=0", "=1"])
def test_an_unknown_number_meets_neither_a_comparison_nor_its_opposite(name: str, compared: str) -> None:
    assert not condition_of(parse(f"{name}{compared}"))(UNKNOWN)
    assert not condition_of(parse(f"NOT {name}{compared}"))(UNKNOWN)
    assert condition_of(parse(f"NOT ({name}{compared} kind:post)"))(UNKNOWN)


def test_whether_a_document_is_for_adults_may_be_unknown() -> None:
    assert not condition_of(parse("is:nsfw"))(UNKNOWN)
    assert not condition_of(parse("-is:nsfw"))(UNKNOWN)


@pytest.mark.parametrize("text", ["-author:someone", "-domain:example.com", "-flair:news", "-signal:viral"])
def test_what_a_document_lacks_is_not_what_a_query_leaves_out(text: str) -> None:
    assert condition_of(parse(text))(UNKNOWN)


@pytest.mark.parametrize(("search", "title", "is_met"), [*SEARCHES, *ONLY_ONE_WAY])
def test_a_search_means_what_it_meant(search: str, title: str, is_met: bool) -> None:
    assert condition_of(parse(search))(document_of("post", title, subreddit="a")) is is_met


PLAIN = st.lists(
    st.sampled_from(
        ["a", "ab", "abc", "abcd", "or", "OR", "and", "not", '"', "“", "-", " ", "  ", "é", "猫", "'", "!"]
    ),
    min_size=1,
    max_size=12,
).map("".join)


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(PLAIN.filter(lambda text: not text.isspace()), st.lists(st.sampled_from(["a", "abc", "or", "é", "猫", "!"])))
def test_a_plain_text_means_the_same_as_in_a_search(text: str, words: list[str]) -> None:
    title = " ".join(words)
    assert condition_of(parse(text))(document_of("post", title, subreddit="a")) is Search(text).is_met(
        title, words_of(title)
    )


COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}


def truth(query: Query, document: Document) -> bool | None:
    """The value in the logic of SQL, after its tables of truth; None is unknown."""
    match query:
        case Not(part):
            value = truth(part, document)
            return None if value is None else not value
        case And(parts):
            values = [truth(part, document) for part in parts]
            return False if False in values else None if None in values else True
        case Or(parts):
            values = [truth(part, document) for part in parts]
            return True if True in values else None if None in values else False
        case Comparison(number, compared, value):
            known = getattr(document, number)
            return None if known is None else COMPARE[compared](known, value)
        case Adult():
            return document.over_18
        case _:
            return condition_of(query)(document)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(queries(), documents())
def test_a_query_is_met_where_sql_would_find_it_true(query: Query, document: Document) -> None:
    assert condition_of(query)(document) is (truth(query, document) is True)
