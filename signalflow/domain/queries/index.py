"""Which of many rules a document meets, without a look at each.

A document meets most queries only if it has one of a few things: a word, a subreddit, an author. These are the needs of
the query. The index finds rules by what a document has, and evaluates only these. Rules that need
none of these (`score>100`) are always evaluated.
"""

from bisect import bisect_left
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Generic, Literal, TypeAlias, TypeVar

from signalflow.domain.keywords import STOP_WORDS, frozen_frequencies
from signalflow.domain.queries.evaluate import Condition, Document, condition_of
from signalflow.domain.queries.tree import (
    And,
    Author,
    Domain,
    HasSignal,
    Not,
    Or,
    Query,
    Subreddit,
    Words,
)
from signalflow.domain.search import SHORTEST_BEGINNING

Place = Literal["word", "beginning", "flair word", "flair beginning", "subreddit", "author", "domain", "signal", "any"]
Need: TypeAlias = tuple[Place, str]
RuleT = TypeVar("RuleT", bound=Hashable)
# Every document has it. It is the need of a query that has no other.
ANYTHING: Need = ("any", "")
# Of a longer word the first characters are needed. So a word of a document has at most so many beginnings.
LONGEST_BEGINNING = 12
# Shares of documents that have a need. They only choose between needs: the right order is enough.
_USUAL_SHARE: dict[Place, float] = {
    "author": 0.0001,
    "subreddit": 0.005,
    "domain": 0.005,
    "signal": 0.02,
    "flair word": 0.02,
    "flair beginning": 0.02,
}
_SHARE_OF_STOP_WORD = 0.1


@dataclass(frozen=True, slots=True)
class Needs:
    """A document that meets the query has one of these. `share`: of documents that have one, as far as known."""

    needs: frozenset[Need]
    share: float


def needs_of(query: Query) -> frozenset[Need]:
    """The rarest needs of a query. A document that meets it has one of them."""
    found = _needs(query, True)
    return found.needs if found else frozenset([ANYTHING])


def _needs(query: Query, wanted: bool) -> Needs | None:
    match query:
        case Not(part):
            return _needs(part, not wanted)
        case And(parts) | Or(parts):
            found = [_needs(part, wanted) for part in parts]
            known = [one for one in found if one]
            if isinstance(query, And) == wanted:
                return min(known, key=lambda one: one.share, default=None)
            if len(known) < len(found):
                return None
            return Needs(frozenset().union(*(one.needs for one in known)), sum(one.share for one in known))
        case _ if not wanted:
            return None
        case Words():
            return min(map(_one, _of_words(query)), key=lambda one: one.share)
        case Subreddit(name):
            return _one(("subreddit", name))
        case Author(name):
            return _one(("author", name))
        case Domain(name):
            return _one(("domain", name))
        case HasSignal(signal):
            return _one(("signal", signal))
        case _:
            return None


def _of_words(query: Words) -> Iterator[Need]:
    for number, word in enumerate(query.words, 1):
        is_last = number == len(query.words)
        if len(word) >= SHORTEST_BEGINNING or (is_last and query.is_beginning):
            yield "flair beginning" if query.in_flair else "beginning", word[:LONGEST_BEGINNING]
        else:
            yield "flair word" if query.in_flair else "word", word


def _one(need: Need) -> Needs:
    place, text = need
    share = _USUAL_SHARE.get(place)
    return Needs(frozenset([need]), _share_of_titles(text, place == "beginning") if share is None else share)


def _share_of_titles(word: str, is_beginning: bool) -> float:
    """The share of titles that have a word, or one that begins with it. Titles with two of these count twice."""
    words, sums = _frequencies()
    start = bisect_left(words, word)
    end = bisect_left(words, word + ("\U0010ffff" if is_beginning else " "))
    return sums[end] - sums[start]


@lru_cache(maxsize=1)
def _frequencies() -> tuple[list[str], list[float]]:
    """Words in order, and for each the sum of the shares of the words before it, up to the sum of all."""
    frequencies = frozen_frequencies()
    shares = {word: count / frequencies.documents for word, count in frequencies.counts.items()}
    shares |= dict.fromkeys(STOP_WORDS, _SHARE_OF_STOP_WORD)
    words = sorted(shares)
    return words, list(accumulate((shares[word] for word in words), initial=0.0))


@dataclass(slots=True, eq=False)
class _Entry(Generic[RuleT]):
    """One query and the rules that have it."""

    condition: Condition
    needs: frozenset[Need]
    rules: set[RuleT] = field(default_factory=set)


class RuleIndex(Generic[RuleT]):
    """Rules by what they need. A rule is named by any value that can be a key."""

    def __init__(self) -> None:
        self._queries: dict[RuleT, Query] = {}
        self._entries: dict[Query, _Entry[RuleT]] = {}
        self._at: dict[Need, set[_Entry[RuleT]]] = {}

    def __len__(self) -> int:
        return len(self._queries)

    def add(self, rule: RuleT, query: Query) -> None:
        """Add a rule. One of the same name is replaced."""
        self.remove(rule)
        entry = self._entries.get(query)
        if entry is None:
            entry = self._entries[query] = _Entry(condition_of(query), needs_of(query))
            for need in entry.needs:
                self._at.setdefault(need, set()).add(entry)
        entry.rules.add(rule)
        self._queries[rule] = query

    def remove(self, rule: RuleT) -> None:
        """Remove a rule; one that is not here is no error."""
        query = self._queries.pop(rule, None)
        if query is None:
            return
        entry = self._entries[query]
        entry.rules.discard(rule)
        if entry.rules:
            return
        del self._entries[query]
        for need in entry.needs:
            bucket = self._at[need]
            bucket.discard(entry)
            if not bucket:
                del self._at[need]

    def matches(self, document: Document) -> set[RuleT]:
        """The rules whose query the document meets."""
        found: set[_Entry[RuleT]] = set()
        for need in _had_by(document):
            found.update(self._at.get(need, ()))
        return {rule for entry in found if entry.condition(document) for rule in entry.rules}


def _had_by(document: Document) -> Iterator[Need]:
    """All that a document has and a query may need."""
    yield ANYTHING
    yield "subreddit", document.subreddit
    yield "author", document.author
    labels = document.domain.split(".")
    yield from (("domain", ".".join(labels[first:])) for first in range(len(labels)))
    yield from (("signal", signal) for signal in document.signals)
    yield from _words_had("word", "beginning", document.words)
    yield from _words_had("flair word", "flair beginning", document.flair_words)


def _words_had(whole: Place, beginning: Place, words: str) -> Iterator[Need]:
    for word in set(words.split()):
        yield whole, word
        yield from ((beginning, word[:length]) for length in range(1, min(len(word), LONGEST_BEGINNING) + 1))
