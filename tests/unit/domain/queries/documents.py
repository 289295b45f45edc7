"""Random queries and documents out of few words, so that they often meet."""

from hypothesis import strategies as st

from signalflow.domain.queries.evaluate import Document, document_of
from signalflow.domain.queries.tree import (
    KINDS,
    NUMBERS,
    SIGNALS,
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

WORDS = ("a", "ai", "aim", "rock", "rocket", "the", "猫", "immunotherapy", "immunotherapies")
NAMES = ("mars", "moon")
HOSTS = ("example.com", "news.example.com", "com", "myexample.com", "org")


def _words() -> st.SearchStrategy[Words]:
    return st.builds(
        Words,
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(tuple),
        is_beginning=st.booleans(),
        in_flair=st.booleans(),
    )


def leaves() -> st.SearchStrategy[Query]:
    """Queries of one term."""
    return st.one_of(
        _words(),
        st.builds(Piece, st.sampled_from(["rock", "!!"])),
        st.builds(Subreddit, st.sampled_from(NAMES)),
        st.builds(Author, st.sampled_from(NAMES)),
        st.builds(Domain, st.sampled_from(HOSTS)),
        st.builds(OfKind, st.sampled_from(KINDS)),
        st.builds(HasSignal, st.sampled_from(SIGNALS)),
        st.just(Adult()),
        st.builds(
            Comparison, st.sampled_from(NUMBERS), st.sampled_from(["<", "<=", ">", ">=", "="]), st.sampled_from([0, 1])
        ),
    )


def queries() -> st.SearchStrategy[Query]:
    """Queries of up to some ten terms."""
    return st.recursive(
        leaves(),
        lambda inner: st.one_of(
            st.builds(Not, inner),
            st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
            st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        ),
        max_leaves=8,
    )


def documents() -> st.SearchStrategy[Document]:
    """Posts and comments, with unknown numbers."""
    text = st.lists(st.sampled_from([*WORDS, "rocketry", "!!"]), max_size=6).map(" ".join)
    number = st.sampled_from([None, 0, 1])
    return st.builds(
        lambda kind, texts, **rest: document_of(kind, *texts, **rest),
        st.sampled_from(KINDS),
        st.lists(text, min_size=1, max_size=2),
        subreddit=st.sampled_from(NAMES),
        author=st.sampled_from([None, *NAMES]),
        domain=st.sampled_from([None, *HOSTS]),
        flair=st.one_of(st.none(), text),
        over_18=st.sampled_from([None, True, False]),
        score=number,
        comments=number,
        sentiment=number,
        ratio=number,
        age=number,
        signals=st.sets(st.sampled_from(SIGNALS)),
    )
