"""The query language: reads a text into a tree. docs/decisions/queries.md has its table and its reasons.

It continues the search of signalflow/domain/search.py: a text without fields, comparisons, parentheses, AND and NOT
means the same in both.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedToken

from signalflow.domain.queries.fields import FIELDS, WrongField, comparison_of, field_of
from signalflow.domain.queries.tree import NUMBERS, And, Not, Or, Piece, Query, Words
from signalflow.domain.search import INVISIBLE, LETTERS, SHORTEST_BEGINNING, SIGNS, words_of

# Of rules, of the API's `q` and of the live stream. A title has 300 characters at most.
LONGEST_QUERY = 500
# More than people write. Each is a condition of the statement, and is compared with each record.
MOST_TERMS = 100
# Parentheses within each other.
DEEPEST = 20

# `or` may stand in excess, as in a search. A minus belongs to what it touches. AND and NOT have large letters, because
# the small ones are words of titles. A name before a colon that touches a value is a field, so that a mistyped one is
# not taken for words; so is a name that is compared with a number.
_GRAMMAR = rf"""
?start: alternatives
alternatives: OR* alternative (OR+ alternative)* OR* | OR+
alternative: term (AND? term)*
?term: WORD -> word
    | PHRASE -> phrase
    | FIELD (VALUE | PHRASE) -> field
    | COMPARED VALUE -> comparison
    | "(" alternatives ")"
    | (NOT | MINUS) term -> negation
    | MINUS OR -> without_or

OR.3: /or(?![^\s"()])/i
AND.3: /AND(?![^\s"()])/
NOT.3: /NOT(?![^\s"()])/
MINUS.2: /-(?=["(])|-+(?=[^\s"()-])/
FIELD.2: /(?:{"|".join(FIELDS)}):|[a-z_]{{2,}}:(?=[^\s()])/i
COMPARED.2: /(?:(?:{"|".join(NUMBERS)})\s*|(?:{"|".join(FIELDS)}))(?:[<>]=?|=)|[a-z_]{{3,}}[<>]=?(?=[+-]?\d)/i
PHRASE: /"[^"]*"?/
WORD: /(?!(?:AND|NOT|(?i:OR))(?![^\s"()]))[^\s"()]+/
VALUE: /[^\s"()]+/
%ignore /\s+/
"""
_TERM_EXPECTED = "a word, a phrase, a field or ( is expected here"
_AS_WORD = "; to look for the word, write it in small letters"


class QueryError(ValueError):
    """A text is no query. `message` says what is wrong and what to do; `position` counts characters of the text from 0.

    As a text it is the message, the line around the place, and a line with a caret below the place.
    """

    def __init__(self, text: str, position: int, message: str) -> None:
        start = max(0, position - 60)
        line = "".join(char if char.isprintable() else " " for char in text[start : position + 40])
        super().__init__(f"{message}\n{line}\n{' ' * (position - start)}^")
        self.message = message
        self.position = position


class _Fault(Exception):
    """What is wrong at a place of the plain text."""

    def __init__(self, place: int | None, message: str) -> None:
        super().__init__(message)
        self.place = place or 0
        self.message = message


def parse(text: str) -> Query:
    """The tree of a query. Raises QueryError."""
    if len(text) > LONGEST_QUERY:
        message = f"a query has at most {LONGEST_QUERY} characters: leave out what begins here"
        raise QueryError(text, LONGEST_QUERY, message)
    plain, places = _plain(text)
    try:
        tree = _parsed(plain)
    except _Fault as fault:
        raise QueryError(text, places[fault.place], fault.message) from None
    return Piece(text.strip()) if tree is None else tree


def plain_of(text: str) -> str:
    """The text as `parse` reads it: with wide, curly and invisible signs made plain."""
    return _plain(text)[0]


def _plain(text: str) -> tuple[str, list[int]]:
    """The text with wide, curly and invisible signs made plain, and where each of its characters is in the text.

    The list ends with the end of the text. Words are folded later: that would lose AND and NOT, and the places.
    """
    characters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if not INVISIBLE.match(character):
            form = unicodedata.normalize("NFKC", SIGNS.sub(" ", character)).translate(LETTERS)
            characters.append(form if len(form) == 1 else " " if form[0].isspace() else character)
            places.append(place)
    return "".join(characters), [*places, len(text)]


def _parsed(plain: str) -> Query | None:
    """The tree; None when no term has a word. Raises _Fault."""
    if "\0" in plain:
        raise _Fault(plain.index("\0"), "a query has no NUL character: remove it")
    parser = _parser().parse_interactive(plain)
    last = Token("$BEGIN", "")
    try:
        for token in _limited(parser.iter_parse()):
            last = token
        tree: Query | None = parser.feed_eof()  # type: ignore[no-untyped-call]
    except UnexpectedToken as error:
        place = len(plain) if error.token.type == "$END" else error.token.start_pos
        accepted: set[str] = parser.accepts()  # type: ignore[no-untyped-call]
        raise _Fault(place, _expected(error.token, last, accepted)) from None
    return tree


def _limited(tokens: Iterable[Token]) -> Iterator[Token]:
    """The tokens. Raises _Fault at the first that is one too many."""
    terms, depth = 0, 0
    for token in tokens:
        terms += token.type in {"WORD", "PHRASE", "FIELD", "COMPARED"}
        depth += {"LPAR": 1, "RPAR": -1}.get(token.type, 0)
        if terms > MOST_TERMS:
            raise _Fault(token.start_pos, f"a query has at most {MOST_TERMS} terms: leave out what begins here")
        if depth > DEEPEST:
            raise _Fault(token.start_pos, f"at most {DEEPEST} parentheses are within each other: remove some")
        yield token


def _expected(token: Token, last: Token, accepted: set[str]) -> str:
    """What is wrong with a token behind the last one, and what to do about it."""
    if last.type == "FIELD":
        return f"a value must follow {last}"
    if last.type == "COMPARED":
        return f"a number must follow {last}"
    if token.type == "RPAR" and "$END" in accepted:
        return "no ( is open here: remove this ), or put it in quotation marks"
    if token.type == "$END" and "RPAR" in accepted:
        return "a ( is still open: close it with )"
    if token.type == "AND":
        return f"AND needs a term on both sides{_AS_WORD}"
    if last.type in {"AND", "NOT"}:
        return f"{_TERM_EXPECTED}, after {last}{_AS_WORD}"
    return _TERM_EXPECTED


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_Trees())


class _Trees(Transformer[Token, Query | None]):
    """Makes the tree from its leaves on. None is a term without a word: it says nothing and is left out."""

    def alternatives(self, children: list[Query | None]) -> Query | None:
        parts = _parts(children)
        # `or` without alternatives is a word.
        is_word = not parts and any(isinstance(child, Token) for child in children)
        return Words(("or",)) if is_word else _joined(Or, parts)

    def alternative(self, children: list[Query | None]) -> Query | None:
        return _joined(And, _parts(children))

    def negation(self, children: list[Query | None]) -> Query | None:
        part = children[1]
        return part.part if isinstance(part, Not) else part and Not(part)

    def without_or(self, _: list[Token]) -> Query:
        return Not(Words(("or",)))

    def word(self, children: list[Token]) -> Query | None:
        (token,) = children
        words = words_of(token).split()
        # A longer word is a beginning anyway.
        is_beginning = bool(words) and token.endswith("*") and len(words[-1]) < SHORTEST_BEGINNING
        return Words(tuple(words), is_beginning) if words else None

    def phrase(self, children: list[Token]) -> Query | None:
        words = words_of(children[0]).split()
        return Words(tuple(words)) if words else None

    def field(self, children: list[Token]) -> Query:
        name, value = children
        try:
            return field_of(name.lower().removesuffix(":"), value.strip('"'))
        except WrongField as error:
            raise _Fault(name.start_pos, str(error)) from None
        except ValueError as error:
            raise _Fault(value.start_pos, str(error)) from None

    def comparison(self, children: list[Token]) -> Query:
        compared, value = children
        name = compared.lower().rstrip("<>=")
        try:
            return comparison_of(name.strip(), compared[len(name) :], value)
        except WrongField as error:
            raise _Fault(compared.start_pos, str(error)) from None
        except ValueError as error:
            raise _Fault(value.start_pos, str(error)) from None


def _parts(children: list[Query | None]) -> tuple[Query, ...]:
    """What says something, without OR and AND."""
    return tuple(child for child in children if child is not None and not isinstance(child, Token))


def _joined(kind: type[And] | type[Or], parts: tuple[Query, ...]) -> Query | None:
    """One tree of these parts. Parts of the same kind give theirs."""
    if len(parts) < 2:
        return parts[0] if parts else None
    return kind(tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,))))
