"""How queries are read: precedence, fields, errors and their places, limits."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from signalflow.domain.queries.evaluate import document_of
from signalflow.domain.queries.fields import FIELDS
from signalflow.domain.queries.index import RuleIndex
from signalflow.domain.queries.language import DEEPEST, LONGEST_QUERY, MOST_TERMS, QueryError, parse
from signalflow.domain.queries.tree import (
    NUMBERS,
    Adult,
    And,
    Author,
    Comparison,
    Domain,
    HasSignal,
    Not,
    OfKind,
    Or,
    Piece,
    Query,
    Subreddit,
    Words,
)

A, B, C, D = (Words((letter,)) for letter in "abcd")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a b", And((A, B))),
        ("a AND b", And((A, B))),
        ("a b OR c d", Or((And((A, B)), And((C, D))))),
        ("a OR b AND c", Or((A, And((B, C))))),
        ("a (b OR c) d", And((A, Or((B, C)), D))),
        ("NOT a b", And((Not(A), B))),
        ("NOT (a OR b)", Not(Or((A, B)))),
        ("-(a b) c", And((Not(And((A, B))), C))),
        ("NOT NOT a", A),
        ("-NOT a", A),
        ("((a))(b)", And((A, B))),
        ("(a b) (c d)", And((A, B, C, D))),
        ("(a OR b) OR c", Or((A, B, C))),
        ("a and b not", And((A, Words(("and",)), B, Words(("not",))))),
        ('"AND" "NOT a"', And((Words(("and",)), Words(("not", "a"))))),
        ("ANDY NOTE ORB", And((Words(("andy",)), Words(("note",)), Words(("orb",))))),
        ("a or or b or", Or((A, B))),
        ("or", Words(("or",))),
        ("a (or)", And((A, Words(("or",))))),
        ("-or a", And((Not(Words(("or",))), A))),
        ('NOT "or"', Not(Words(("or",)))),
        ("gpt-5", Words(("gpt", "5"))),
        ("rock*", Words(("rock",))),
        ("ai*", Words(("ai",), is_beginning=True)),
        ("c-a*", Words(("c", "a"), is_beginning=True)),
        ("???", Piece("???")),
        (" (???) ", Piece("(???)")),
        ("??? a", A),
        ("“Good News”", Words(("good", "news"))),
        ("（ａ　ＯＲ　ｂ）　ｓｃｏｒｅ＞５", And((Or((A, B)), Comparison("score", ">", 5)))),
        ("\u200b-\u00ada", Not(A)),
        # Signs that count as blanks.
        ("a¨b", And((A, B))),
        ("a™b", And((A, B))),
    ],
)
def test_precedence_and_words(text: str, tree: Query) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("subreddit:Python", Subreddit("python")),
        ("SUBREDDIT:r/python", Subreddit("python")),
        ("subreddit: python", Subreddit("python")),
        ("-subreddit:u_someone-else", Not(Subreddit("u_someone-else"))),
        ("author:u/Some_One", Author("some_one")),
        ('author:"Some_One"', Author("some_one")),
        ("domain:www.Example.com", Domain("example.com")),
        ("domain:bücher.example", Domain("bücher.example")),
        ("flair:News", Words(("news",), in_flair=True)),
        ('flair:"Breaking News"', Words(("breaking", "news"), in_flair=True)),
        ("kind:comment", OfKind("comment")),
        ("signal:unusual_here", HasSignal("unusual_here")),
        ("is:nsfw", Adult()),
        ("score>100", Comparison("score", ">", 100)),
        ("Score >= 100", Comparison("score", ">=", 100)),
        ("score=-5", Comparison("score", "=", -5)),
        ("comments<=50", Comparison("comments", "<=", 50)),
        ("sentiment<-0.3", Comparison("sentiment", "<", -0.3)),
        ("ratio<0.6", Comparison("ratio", "<", 0.6)),
        ("age<2h", Comparison("age", "<", 7200)),
        ("age>1.5d", Comparison("age", ">", 129_600)),
        ("age<90S", Comparison("age", "<", 90)),
        # No fields: the time, a colon before a blank, a comparison with a word, and names that only end so.
        ("12:30", Words(("12", "30"))),
        ("re: a", And((Words(("re",)), A))),
        ("score: a", And((Words(("score",)), A))),
        ("a>b", Words(("a", "b"))),
        ("i<3", Words(("i", "3"))),
        ('"score>5"', Words(("score", "5"))),
    ],
)
def test_fields(text: str, tree: Query) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("", 0, "a word, a phrase, a field or ( is expected here"),
        ("  ", 2, "a word, a phrase, a field or ( is expected here"),
        ("()", 1, "a word, a phrase, a field or ( is expected here"),
        ("a (b OR c", 9, "a ( is still open: close it with )"),
        ("a OR b) c", 6, "no ( is open here: remove this ), or put it in quotation marks"),
        ("a AND", 5, "is expected here, after AND; to look for the word, write it in small letters"),
        ("a NOT", 5, "is expected here, after NOT; to look for the word, write it in small letters"),
        ("(NOT) a", 4, "is expected here, after NOT"),
        ("a AND or b", 6, "is expected here, after AND"),
        ("NOT OR a", 4, "is expected here, after NOT"),
        ("AND a", 0, "AND needs a term on both sides; to look for the word, write it in small letters"),
        ("a AND AND b", 6, "AND needs a term on both sides"),
        ("a subreddit:", 12, "a value must follow subreddit:"),
        ("(flair:) a", 7, "a value must follow flair:"),
        ("flair:(a OR b)", 6, "a value must follow flair:"),
        ("score>", 6, "a number must follow score>"),
        ('score>"5"', 6, "a number must follow score>"),
        (
            "a foo:bar",
            2,
            "there is no field foo: the fields are subreddit:, author:, domain:, flair:, kind:, signal:, ",
        ),
        ("subredit:python", 0, "there is no field subredit (did you mean subreddit?)"),
        ("scores>5", 0, "there is no field scores (did you mean score?)"),
        ("https://example.com", 0, "to look for the text, put it in quotation marks"),
        ("a score:5", 2, "score is a number: compare it, as in score>100"),
        ("author=bob", 0, "author is no number: write author:bob"),
        ("score>lots", 6, "lots is no number: write digits, as in score>100"),
        ("score>1e9", 6, "1e9 is no number"),
        ("sentiment<-3", 10, "sentiment is between -1 and 1: write such a number, as in sentiment<-0.3"),
        ("ratio>60", 6, "ratio is between 0 and 1: write such a number, as in ratio<0.6"),
        ("age<2", 4, "2 is no age: write a number and s, m, h or d, as in age<2h"),
        ("subreddit:a,b", 10, "a,b is no name of a subreddit: write it as in subreddit:python, one in each field"),
        ("author:a,b", 7, "a,b is no name of an account: write it as in author:someone, one in each field"),
        ("domain:https://a.b/", 7, "write it as in domain:example.com, without https:// and path"),
        ("flair:???", 6, "??? has no word: write one, as in flair:news"),
        ("kind:video", 5, "there is no kind:video: write kind:post or kind:comment"),
        ("signal:hot", 7, "write signal:viral or signal:unusual_here or signal:burst"),
        ("is:new", 3, "there is no is:new: write is:nsfw"),
        ("a\0b", 1, "a query has no NUL character: remove it"),
        ("\u200b\u200ba )", 4, "no ( is open here"),
        ("😀 مرحبا )", 8, "no ( is open here"),
        ("a" * (LONGEST_QUERY + 1), LONGEST_QUERY, f"a query has at most {LONGEST_QUERY} characters"),
        ("a " * (MOST_TERMS + 1), 2 * MOST_TERMS, f"a query has at most {MOST_TERMS} terms"),
        ("(" * 500, DEEPEST, f"at most {DEEPEST} parentheses are within each other: remove some"),
    ],
)
def test_an_error_names_the_place_and_the_remedy(text: str, position: int, message: str) -> None:
    with pytest.raises(QueryError) as raised:
        parse(text)
    assert (raised.value.position, message in raised.value.message) == (position, True), raised.value


def test_an_error_shows_the_place_below_the_text() -> None:
    with pytest.raises(QueryError) as raised:
        parse("rocket\n(engine")
    assert str(raised.value).split("\n")[1:] == ["rocket (engine", " " * 14 + "^"]


def test_an_error_shows_a_part_of_a_long_text() -> None:
    with pytest.raises(QueryError) as raised:
        parse("x" * 100 + ") " + "y" * 100)
    assert str(raised.value).split("\n")[1:] == ["x" * 60 + ") " + "y" * 38, " " * 60 + "^"]


def test_queries_at_the_limits_are_read() -> None:
    assert parse("a" * LONGEST_QUERY) == Words(("a" * LONGEST_QUERY,))
    assert parse("a " * MOST_TERMS) == And((A,) * MOST_TERMS)
    assert parse("(a) " * 2 * DEEPEST) == And((A,) * 2 * DEEPEST)
    assert parse("(" * DEEPEST + "a" + ")" * DEEPEST) == A
    assert parse("NOT " * 124 + "a") == A


DOCUMENT = document_of("post", "A title", "a" * 1000, subreddit="a", author="a", score=5, comments=5, age=5)
# What has a meaning in the language, and characters that break parsers elsewhere.
PIECES = st.lists(
    st.sampled_from(
        [*'()"-*:<>= \n\0\u202e\u200b😀é\u0301ﬁ（¨\ud800', "AND", "OR", "NOT", "or", "a", "2h", "5", "مرحبا"]
        + [f"{name}:" for name in FIELDS]
        + [f"{name}>" for name in NUMBERS]
    ),
    max_size=200,
)


def outcome(text: str) -> int | None:
    """The place of the error of a text; None of one that is a query, which is also compared with a document."""
    index: RuleIndex[str] = RuleIndex()
    try:
        index.add(text, parse(text))
    except QueryError as error:
        return error.position
    assert index.matches(DOCUMENT) <= {text}
    return None


@settings(deadline=None)
@given(st.one_of(st.text(max_size=600), PIECES.map(" ".join), PIECES.map("".join)))
@example("-(" * 250)
@example("NOT " * 125)
@example("(a OR " * 20 + ")" * 20)
@example("score>" * 80)
@example('"' * 500)
@example("subreddit:" + "9" * 480)
def test_any_text_is_a_query_or_a_query_error_with_a_place_in_it(text: str) -> None:
    position = outcome(text)
    assert position is None or 0 <= position <= len(text)
