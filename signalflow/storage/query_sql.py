r"""A query as one condition of a statement, met by the same posts or comments as `condition_of(query)`.

Two conditions stand beside each other. One asks the index of words for what may meet the query, as far as the query
needs words. The other is exact: it compares the words of the text, folded and parted as `words_of` does it. Every value
is bound.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import assert_never

from signalflow.domain.queries.evaluate import HOST_PATTERN
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
from signalflow.domain.search import SHORTEST_BEGINNING, UNSPACED

Bound = Callable[[object], str]
_OPPOSITE: Mapping[Operator, str] = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "<>"}
# An age is greater when the time of creation is smaller.
_OF_TIMES = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
# Of other words the index has nothing, or not always: PostgreSQL takes a sign that is no letter and no digit for a
# blank, and what follows a minus for a negative number.
_INDEXED = re.compile(r"\w*[^\W\d_]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """Where posts or comments have what queries ask for, as expressions. None: such documents never have it.

    `index` is the condition that the index of words answers, with a place for the words.
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
    index: str


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
    index="p.id IN (SELECT post_id FROM post_words WHERE words @@ {})",
)
_COMMENT = _Kind(
    kind="comment",
    texts=("c.body",),
    subreddit="c.subreddit",
    author="c.author",
    created="c.created_utc",
    numbers={"score": "c.score", "sentiment": "c.sentiment_score"},
    index="c.body IS NOT NULL AND search_words('', c.body) @@ {}",
)

# The text {0} folded as `folded` does it. The first branch is for most texts: folding takes ten times as long.
_WORDS = r"""' ' || CASE WHEN octet_length({0}) = length({0})
    THEN regexp_replace(lower({0}), '[^a-z0-9_]+', ' ', 'g')
    ELSE regexp_replace(regexp_replace(replace(replace(replace(translate(
        lower(normalize(regexp_replace(normalize(regexp_replace(regexp_replace({0},
            '[\u00aa\u00b2\u00b3\u00b9\u00ba\u2070-\u209f\u2100-\u214f]', ' ', 'g'),
            '[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]', '', 'g'), NFKD),
            '([A-Za-z\u0370-\u03ff])[\u0300-\u036f]+', '\1', 'g'), NFKC)),
        U&'\00f8\0142\0111\0131\03c2\2018\2019\02bc\201c\201d\201e', U&'oldi\03c3\0027\0027\0027\0022\0022\0022'),
        'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'),
        {1}, ' \1 ', 'g'), {2}, ' ', 'g')
    END || ' '"""


def post_condition(query: Query, bound: Bound) -> str:
    """The condition on `posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id`.

    `bound` binds a value and returns its place. Ages are those at the beginning of the transaction.
    """
    return _Conditions(_POST, bound).of(query)


def comment_condition(query: Query, bound: Bound) -> str:
    """The condition on `comments AS c`, like `post_condition`."""
    return _Conditions(_COMMENT, bound).of(query)


@dataclass(frozen=True, slots=True)
class _Conditions:
    """Writes conditions about one kind.

    No condition that is written stands below a NOT, so what is unknown meets neither a condition nor its opposite.
    """

    kind: _Kind
    bound: Bound

    def of(self, query: Query) -> str:
        parts = query.parts if isinstance(query, And) else (query,)
        looked_up = _lexemes(query, True)
        found = [] if looked_up is None else [self._looked_up(looked_up)]
        # What the planner can find an index for comes by itself. The words of a text are made once for all others.
        found += [self._plain(part, True) for part in parts if not _has_words(part)]
        with_words = [self._plain(part, True) for part in parts if _has_words(part)]
        if with_words:
            of_text = " AND ".join(with_words)
            found.append(f"(SELECT {of_text} FROM (SELECT {self._words()} OFFSET 0) AS t)")  # noqa: S608, bound values
        return f"({' AND '.join(found)})"

    def _looked_up(self, lexemes: str) -> str:
        return self.kind.index.format(f"to_tsquery('pg_catalog.simple', {self.bound(lexemes)})")

    def _words(self) -> str:
        """The columns `words` and `flair` with the words of the text and of the flair."""
        spaced, others = self.bound(f"([{UNSPACED}])"), self.bound(f"[^{_word_characters()}]+")

        def words(expression: str) -> str:
            return _WORDS.format(f"COALESCE({expression}, '')", f"{spaced}::text", f"{others}::text")

        return f"{' || '.join(map(words, self.kind.texts))} AS words, {words(self.kind.flair or 'NULL')} AS flair"

    def _plain(self, query: Query, wanted: bool) -> str:
        match query:
            case Not(part):
                return self._plain(part, not wanted)
            case And(parts) | Or(parts):
                # Not all of them is one that is not.
                joined = " AND " if isinstance(query, And) == wanted else " OR "
                return f"({joined.join(self._plain(part, wanted) for part in parts)})"
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
                return negation + self._has(query)
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

    def _has(self, query: Words) -> str:
        words_in = "t.flair" if query.in_flair else "t.words"
        *before, last = query.words
        is_beginning = query.is_beginning or len(last) >= SHORTEST_BEGINNING
        end = last if is_beginning else f"{last} "
        if all(len(word) < SHORTEST_BEGINNING for word in before):
            return f"(strpos({words_in}, {self.bound(' '.join(['', *before, end]))}::text) > 0)"
        # Words have no sign that means something in a pattern.
        pattern = "".join(f" {word}" + ("[^ ]*" if len(word) >= SHORTEST_BEGINNING else "") for word in before)
        return f"({words_in} ~ {self.bound(f'{pattern} {end}')}::text)"


def _has_words(query: Query) -> bool:
    match query:
        case Not(part):
            return _has_words(part)
        case And(parts) | Or(parts):
            return any(map(_has_words, parts))
        case _:
            return isinstance(query, Words)


def _lexemes(query: Query, wanted: bool) -> str | None:
    """What the index of words must find so that the query can be met; None when it can be met without any word."""
    match query:
        case Not(part):
            return _lexemes(part, not wanted)
        case And(parts) | Or(parts):
            found = [_lexemes(part, wanted) for part in parts]
            known = [part for part in found if part is not None]
            if isinstance(query, And) == wanted:
                return f"({' & '.join(known)})" if known else None
            return f"({' | '.join(known)})" if len(known) == len(found) else None
        case Words(words, is_beginning, in_flair=False) if wanted:
            terms = [
                f"'{word}'"
                + (":*" if len(word) >= SHORTEST_BEGINNING or (is_beginning and place == len(words)) else "")
                for place, word in enumerate(words, 1)
                if _INDEXED.fullmatch(word)
            ]
            return f"({' & '.join(terms)})" if terms else None
        case _:
            return None


@lru_cache(maxsize=1)
def _word_characters() -> str:
    r"""What may stand in a word, for brackets of a pattern: Python's \w and UNSPACED. PostgreSQL's \w is another."""
    is_word = re.compile(rf"[\w{UNSPACED}]").match
    ranges = []
    for matches, group in groupby(range(sys.maxunicode + 1), lambda code: is_word(chr(code)) is not None):
        if matches:
            codes = list(group)
            ranges.append(f"{chr(codes[0])}-{chr(codes[-1])}")
    return "".join(ranges)
