"""What a search box, the API's `q` and the live stream are asked: words as in every search, and what else a query says.

A text that is no query is a search for its words, as always, because people paste titles. It is an error only when it
names a field or a number of the language, or nearly: then it would mean something else.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache

from signalflow.domain.queries.fields import FIELDS
from signalflow.domain.queries.language import QueryError, parse, plain_of
from signalflow.domain.queries.tree import NUMBERS, And, Not, Or, Piece, Query, Words

# What is written like a field or a comparison, outside of quotation marks.
_PHRASE = re.compile(r'"[^"]*"?')
_NAME = re.compile(r"(?<![^\s()-])([a-z_]{2,})(?::(?![\s()])|[<>]=?[+-]?\d)", re.IGNORECASE)
_KNOWN = re.compile(rf"(?<![^\s()-])(?:(?:{'|'.join(FIELDS)}):|(?:{'|'.join(NUMBERS)})\s*[<>=])", re.IGNORECASE)
# "subredit" and "scores" are as alike; "site", "note" and "https" are not.
_ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Asked:
    """Both must be met. `words` is a search (signalflow/domain/search.py), `rest` what a search cannot say."""

    words: str | None
    rest: Query | None


@lru_cache(maxsize=1024)
def asked(text: str) -> Asked:
    """What a text asks. Raises QueryError for a wrong query that is meant to be one."""
    try:
        query = parse(text)
    except QueryError:
        if _is_meant(_PHRASE.sub(" ", plain_of(text))):
            raise
        return Asked(text, None)
    if isinstance(query, Piece):
        return Asked(text, None)
    whole = _alternatives(query)
    if whole is not None:
        return Asked(whole, None)
    parts = query.parts if isinstance(query, And) else (query,)
    said = [(part, _term(part)) for part in parts]
    words = " ".join(term for _, term in said if term)
    others = tuple(part for part, term in said if not term)
    if not words:
        # One part with alternatives: (mars OR moon) score>100.
        found = [(part, alternatives) for part in others if (alternatives := _alternatives(part))]
        if len(found) == 1:
            ((part, words),) = found
            others = tuple(other for other in others if other is not part)
    return Asked(words or None, others[0] if len(others) == 1 else And(others))


def _is_meant(text: str) -> bool:
    names = (name.lower() for name in _NAME.findall(text))
    known = (*FIELDS, *NUMBERS)
    return bool(_KNOWN.search(text)) or any(get_close_matches(name, known, n=1, cutoff=_ALIKE) for name in names)


def _alternatives(query: Query) -> str | None:
    """The query as a search; None when a search cannot say it."""
    found: list[str] = []
    for alternative in query.parts if isinstance(query, Or) else (query,):
        terms = [_term(part) for part in (alternative.parts if isinstance(alternative, And) else (alternative,))]
        if None in terms:
            return None
        found.append(" ".join(term for term in terms if term))
    return " or ".join(found)


def _term(query: Query) -> str | None:
    """Words, or what is without them, as a term of a search."""
    if isinstance(query, Not):
        term = _term(query.part) if isinstance(query.part, Words) else None
        return term and f"-{term}"
    if not isinstance(query, Words) or query.is_beginning or query.in_flair:
        return None
    words = " ".join(query.words)
    return words if len(query.words) == 1 and words != "or" else f'"{words}"'
