"""What a search box asks: a search stays one, and the language says more."""

import pytest
from hypothesis import given, settings

from signalflow.domain.queries.asked import Asked, asked
from signalflow.domain.queries.language import QueryError
from signalflow.domain.queries.tree import And, Comparison, Not, Or, Subreddit, Words
from signalflow.domain.search import Search, words_of
from tests.searches import ONLY_ONE_WAY, SEARCHES
from tests.unit.domain.queries.test_evaluate import PLAIN

SCORE = Comparison("score", ">", 100)
MARS, MOON = Words(("mars",)), Words(("moon",))


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> None:
    """Ask the code: an answer that is kept would be that of an earlier test, also in a mutant of it."""
    asked.cache_clear()


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(PLAIN.filter(lambda text: not text.isspace()))
def test_a_plain_text_stays_the_same_search(text: str) -> None:
    found = asked(text)
    assert found.rest is None
    assert found.words is not None
    assert Search(found.words).key == Search(text).key


@pytest.mark.parametrize(("search", "title", "is_met"), [*SEARCHES, *ONLY_ONE_WAY])
def test_a_search_finds_what_it_found(search: str, title: str, is_met: bool) -> None:
    found = asked(search)
    assert found.rest is None
    assert Search(found.words or "").is_met(title, words_of(title)) is is_met


@pytest.mark.parametrize(
    ("text", "words", "rest"),
    [
        ("rocket score>100", "rocket", SCORE),
        ("engines -toy gpt-5 score>100", 'engines -toy "gpt 5"', SCORE),
        ("score>100", None, SCORE),
        ("subreddit:python score>100", None, And((Subreddit("python"), SCORE))),
        ("rocket AND engine", "rocket engine", None),
        ("NOT toy", "-toy", None),
        ('"or" score>100', '"or"', SCORE),
        ("mars OR (moon NOT toy)", "mars or moon -toy", None),
        ("(mars OR moon) score>100", "mars or moon", SCORE),
        ("rocket (mars OR moon)", "rocket", Or((MARS, MOON))),
        ("(mars OR moon) (red OR blue)", None, And((Or((MARS, MOON)), Or((Words(("red",)), Words(("blue",))))))),
        ("mars OR score>100", None, Or((MARS, SCORE))),
        ("NOT (mars moon)", None, Not(And((MARS, MOON)))),
        ("ai*", None, Words(("ai",), is_beginning=True)),
        ("flair:news mars", "mars", Words(("news",), in_flair=True)),
    ],
)
def test_what_a_search_can_say_is_looked_up_as_one(text: str, words: str | None, rest: object) -> None:
    assert asked(text) == Asked(words, rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "mars)",
        "(mars",
        "Mars (2019",
        "rocket AND",
        "https://example.com/a",
        "TIL:something",
        "Update:the end",
        "note:a b",
        "year>2000",
        "site:example.com",
        "()",
        '"my score>x" )',
        "NOT",
        "my_score:5",
        "x" * 501,
    ],
)
def test_a_text_that_is_no_query_is_a_search_for_its_words(text: str) -> None:
    assert asked(text) == Asked(text, None)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("subreddit:", 10),
        ("mars score>x", 11),
        ("mars) score>100", 4),
        ("(mars score>100", 15),
        ("score:100", 0),
        ("mars subredit:python", 5),
        ("scores>100", 0),
        ("-auther:someone", 1),
        ("age<2 mars", 4),
        ("kind:pots", 5),
        ("\u201cmars\u201d (kind:post", 17),
    ],
)
def test_a_wrong_query_is_told_with_its_place(text: str, position: int) -> None:
    with pytest.raises(QueryError) as raised:
        asked(text)
    assert raised.value.position == position
