"""Whether a post or a comment meets a query."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TypeAlias, assert_never

from signalflow.domain.queries.tree import (
    Adult,
    And,
    Author,
    Comparison,
    Domain,
    HasSignal,
    Kind,
    Not,
    OfKind,
    Operator,
    Or,
    Piece,
    Query,
    Signal,
    Subreddit,
    Words,
)
from signalflow.domain.search import SHORTEST_BEGINNING, beginning_of, words_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A post or a comment as queries see it. `document_of` makes one from what Reddit tells.

    `text`: the title and below it the body. `words` are theirs, as `words_of` gives them. `subreddit`,
    `author` and `domain` are in small letters. A post without author, link or flair has "" or no words there. `age` is
    in seconds. Unknown numbers, and an unknown `over_18`, are None.
    """

    kind: Kind
    text: str
    words: str
    subreddit: str
    author: str = ""
    domain: str = ""
    flair_words: str = ""
    over_18: bool | None = None
    score: int | None = None
    comments: int | None = None
    sentiment: float | None = None
    ratio: float | None = None
    age: float | None = None
    signals: frozenset[Signal] = frozenset()


Condition: TypeAlias = Callable[[Document], bool]
# A pattern of Python and of PostgreSQL.
HOST_PATTERN = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@:]+)"
_COMPARE: Mapping[Operator, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_OPPOSITE: Mapping[Operator, Callable[[float, float], bool]] = {
    "<": operator.ge,
    "<=": operator.gt,
    ">": operator.le,
    ">=": operator.lt,
    "=": operator.ne,
}


def document_of(
    kind: Kind,
    *texts: str,
    subreddit: str,
    author: str | None = None,
    domain: str | None = None,
    flair: str | None = None,
    over_18: bool | None = None,
    score: int | None = None,
    comments: int | None = None,
    sentiment: float | None = None,
    ratio: float | None = None,
    age: float | None = None,
    signals: Iterable[Signal] = (),
) -> Document:
    """A document of what Reddit tells, however it is written. A post's `texts` are title and body.

    A phrase does not go across two texts: there are two blanks between their words.
    """
    return Document(
        kind=kind,
        text="\n".join(texts),
        words="".join(map(words_of, texts)),
        subreddit=subreddit.lower(),
        author=(author or "").lower(),
        domain=(domain or "").lower(),
        flair_words=words_of(flair or ""),
        over_18=over_18,
        score=score,
        comments=comments,
        sentiment=sentiment,
        ratio=ratio,
        age=age,
        signals=frozenset(signals),
    )


def host_of(url: str | None) -> str:
    """The host that a link names, as `domain` of a document; "" without one."""
    found = re.match(HOST_PATTERN, url or "")
    return found[1].lower() if found else ""


def condition_of(query: Query) -> Condition:
    """A function that says whether a document meets the query.

    NOT of a comparison is the opposite comparison. So an unknown number meets neither, as in SQL.
    """
    return _condition(query, True)


def _condition(query: Query, wanted: bool) -> Condition:
    match query:
        case Not(part):
            return _condition(part, not wanted)
        case And(parts) | Or(parts):
            # Not all of them is one that is not.
            conditions = tuple(_condition(part, wanted) for part in parts)
            return partial(_every if isinstance(query, And) == wanted else _any, conditions)
        case Comparison(number, compared, value):
            compare = (_COMPARE if wanted else _OPPOSITE)[compared]
            return partial(_compares, attrgetter(number), compare, value)
        case Adult():
            return lambda document: document.over_18 is wanted
        case _:
            condition = _leaf(query)
            return condition if wanted else lambda document: not condition(document)


def _leaf(query: Words | Piece | Subreddit | Author | Domain | OfKind | HasSignal) -> Condition:
    match query:
        case Words():
            return _words(query)
        case Piece(text):
            return lambda document: text in document.text
        case Subreddit(name):
            return lambda document: document.subreddit == name
        case Author(name):
            return lambda document: document.author == name
        case Domain(name):
            return lambda document: document.domain == name or document.domain.endswith(f".{name}")
        case OfKind(kind):
            return lambda document: document.kind == kind
        case HasSignal(signal):
            return lambda document: signal in document.signals
        case _:
            assert_never(query)


def _every(conditions: Sequence[Condition], document: Document) -> bool:
    for condition in conditions:  # noqa: SIM110, a generator takes twice as long
        if not condition(document):
            return False
    return True


def _any(conditions: Sequence[Condition], document: Document) -> bool:
    for condition in conditions:  # noqa: SIM110, as above
        if condition(document):
            return True
    return False


def _compares(
    number: Callable[[Document], float | None],
    compare: Callable[[float, float], bool],
    value: float,
    document: Document,
) -> bool:
    known = number(document)
    return known is not None and compare(known, value)


def _words(query: Words) -> Condition:
    words_in: Callable[[Document], str] = attrgetter("flair_words" if query.in_flair else "words")
    *before, last = query.words
    if all(len(word) < SHORTEST_BEGINNING for word in before):
        # A pattern would take 0.1 s for 480 characters of Chinese in a text of 40,000.
        is_whole = len(last) < SHORTEST_BEGINNING and not query.is_beginning
        piece = f" {' '.join(query.words)}{' ' if is_whole else ''}"
        return lambda document: piece in words_in(document)
    patterns = [*map(beginning_of, before), f" {re.escape(last)}" if query.is_beginning else beginning_of(last)]
    search = re.compile("".join(patterns)).search
    return lambda document: search(words_in(document)) is not None
