"""A query as one condition of a statement, met by the same posts or comments as `condition_of(query)`.

Words are asked of the index of words (migration 0038), as much of a query at once as has nothing but words. Three
things differ: the index knows the first 20,000 characters of a body, takes an underscore for a blank, and has no signs
such as emoji, which are looked for in the text. Every value is bound.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

from signalflow.domain.queries.evaluate import HOST_PATTERN, condition_of, document_of
from signalflow.domain.queries.tree import (
    Adult,
    And,
    Author,
    Comparison,
    Domain,
    HasSignal,
    Kind,
    Not,
    Number,
    OfKind,
    Operator,
    Or,
    Piece,
    Query,
    Subreddit,
    Words,
)
from signalflow.domain.search import SHORTEST_BEGINNING

Bound = Callable[[object], str]
_NOTHING = document_of("post", subreddit="")
_OPPOSITE: Mapping[Operator, str] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>"}
# An age is greater when the time of creation is smaller.
_OF_TIMES = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
# PostgreSQL takes a word without any of these for a blank.
_INDEXED = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Where posts or comments have what queries ask for, as expressions. None: such documents never have it.

    `has_words` is the condition that the index of words answers, with a place for the words.
    """

    kind: Kind
    texts: tuple[str, ...]
    subreddit: str
    author: str
    created: str
    url: str | None = None
    flair: str | None = None
    over_18: str | None = None
    numbers: Mapping[Number, str]
    id_of_signals: str | None = None
    has_words: str


_POST = _Kind(
    kind="post",
    texts=("p.title", "p.body"),
    subreddit="p.subreddit",
    author="p.author",
    created="p.created_utc",
    url="p.url",
    flair="p.flair",
    over_18="p.over_18",
    numbers={
        "score": "p.current_score",
        "comments": "p.current_comments",
        "sentiment": "n.sentiment_score",
        "ratio": "p.current_ratio",
    },
    id_of_signals="p.id",
    has_words="p.id IN (SELECT post_id FROM post_words WHERE words @@ {})",
)
_COMMENT = _Kind(
    kind="comment",
    texts=("c.body",),
    subreddit="c.subreddit",
    author="c.author",
    created="c.created_utc",
    numbers={"score": "c.score", "sentiment": "c.sentiment_score"},
    has_words="(c.body IS NOT NULL AND search_words('', c.body) @@ {})",
)


def post_condition(query: Query, bound: Bound) -> str:
    """The condition on `posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id`.

    `bound` binds a value and returns its place. Ages are those at the beginning of the transaction.
    """
    return _Conditions(_POST, bound).of(query, True)


def comment_condition(query: Query, bound: Bound) -> str:
    """The condition on `comments AS c`, like `post_condition`."""
    return _Conditions(_COMMENT, bound).of(query, True)


@dataclass(frozen=True, slots=True)
class _Conditions:
    """Writes conditions about one kind.

    No condition that is written stands below a NOT, so what is unknown meets neither a condition nor its opposite.
    """

    kind: _Kind
    bound: Bound

    def of(self, query: Query, wanted: bool) -> str:
        """The condition, or its opposite, in parentheses where it needs them."""
        match query:
            case Not(part):
                return self.of(part, not wanted)
            case And(parts) | Or(parts):
                # Not all of them is one that is not.
                joined = " AND " if isinstance(query, And) == wanted else " OR "
                # One look-up for all that have nothing but words.
                words = tuple(part for part in parts if _lexemes(part) is not None)
                found = [self._looked_up(type(query)(words), wanted)] if words else []
                found += [self.of(part, wanted) for part in parts if part not in words]
                return f"({joined.join(found)})"
            case Comparison():
                return self._comparison(query, wanted)
            case Adult():
                return "false" if self.kind.over_18 is None else f"{'' if wanted else 'NOT '}{self.kind.over_18}"
            case _:
                return self._leaf(query, wanted)

    def _comparison(self, query: Comparison, wanted: bool) -> str:
        compared = query.operator if wanted else _OPPOSITE[query.operator]
        if query.number == "age":
            moment = f"now() - make_interval(secs => {self.bound(query.value)}::float8)"
            return f"{self.kind.created} {_OF_TIMES[compared]} {moment}"
        number = self.kind.numbers.get(query.number)
        return "false" if number is None else f"{number} {compared} {self.bound(query.value)}::float8"

    def _leaf(self, query: Words | Piece | Subreddit | Author | Domain | OfKind | HasSignal, wanted: bool) -> str:
        """What is missing is not unknown here: it meets the opposite."""
        is_equal, negation = ("=", "") if wanted else ("IS DISTINCT FROM", "NOT ")
        match query:
            case Words():
                return self._looked_up(query, wanted) if _lexemes(query) else negation + self._with_signs(query)
            case Piece(text):
                written = f"concat_ws(chr(10), {', '.join(self.kind.texts)})"
                return f"strpos({written}, {self.bound(text)}::text) {'>' if wanted else '='} 0"
            case Subreddit(name):
                return f"lower({self.kind.subreddit}) {is_equal} {self.bound(name)}::text"
            case Author(name):
                return f"lower({self.kind.author}) {is_equal} {self.bound(name)}::text"
            case Domain(name):
                if self.kind.url is None:
                    return str(not wanted).lower()
                host = f"lower(substring(COALESCE({self.kind.url}, '') from {self.bound(HOST_PATTERN)}::text))"
                ending = f"right('.' || {host}, {len(name) + 1})"
                return f"{ending} {is_equal} {self.bound(f'.{name}')}::text"
            case OfKind(kind):
                return str((kind == self.kind.kind) == wanted).lower()
            case HasSignal(signal):
                if self.kind.id_of_signals is None:
                    return str(not wanted).lower()
                return f"""{negation}EXISTS (
    SELECT FROM signals AS s WHERE s.subject_kind = 'post' AND s.subject = {self.kind.id_of_signals}
        AND s.kind = {self.bound(signal)}::text AND s.ended_at IS NULL)"""
            case _:
                assert_never(query)

    def _looked_up(self, query: Query, wanted: bool) -> str:
        """What the index of words answers. It has no text that has no word."""
        lexemes = _lexemes(query)
        is_met_by_nothing = condition_of(query)(_NOTHING)
        found = self._has(self.kind.has_words, f"!{lexemes}" if is_met_by_nothing else f"{lexemes}")
        return found if wanted != is_met_by_nothing else f"NOT {found}"

    def _with_signs(self, query: Words) -> str:
        """Words in the flair, or with signs that the index does not have."""
        has_words, texts = self.kind.has_words, self.kind.texts
        if query.in_flair:
            if self.kind.flair is None:
                return "false"
            has_words, texts = f"search_words('', COALESCE({self.kind.flair}, '')) @@ {{}}", (self.kind.flair,)
        signs = [word for word in query.words if not _INDEXED.search(word)]
        text = f"lower(concat_ws(chr(10), {', '.join(texts)}))"
        found = [f"strpos({text}, {self.bound(sign)}::text) > 0" for sign in signs]
        words = replace(query, words=tuple(word for word in query.words if word not in signs))
        if words.words:
            found.append(self._has(has_words, _phrase(words, " & " if signs else " <-> ")))
        return f"({' AND '.join(found)})"

    def _has(self, has_words: str, lexemes: str) -> str:
        return has_words.format(f"to_tsquery('pg_catalog.simple', {self.bound(lexemes)}::text)")


def _lexemes(query: Query) -> str | None:
    """What is asked of the index of words; None when the query has something else."""
    match query:
        case Not(part):
            found = _lexemes(part)
            return found and f"!{found}"
        case And(parts) | Or(parts):
            lexemes = [found for part in parts if (found := _lexemes(part))]
            return (
                f"({(' & ' if isinstance(query, And) else ' | ').join(lexemes)})"
                if len(lexemes) == len(parts)
                else None
            )
        case Words(words, in_flair=False):
            return _phrase(query, " <-> ") if all(map(_INDEXED.search, words)) else None
        case _:
            return None


def _phrase(query: Words, joined: str) -> str:
    """Words as they are written, which have the weight A. A longer one is a beginning."""
    *before, last = query.words
    terms = [_term(word, False) for word in before] + [_term(last, query.is_beginning)]
    return f"({joined.join(terms)})"


def _term(word: str, is_beginning: bool) -> str:
    return f"'{word}':{'*' if is_beginning or len(word) >= SHORTEST_BEGINNING else ''}A"
