"""Whether a title meets a search, for posts that are not looked up in the database.

The search has the syntax of PostgreSQL's web search: words, "phrases", `or` between alternatives, `-` for without. Each
word must begin a word of the title; one of one or two characters must be a whole word. The database compares stems
instead, and bodies too. web/dashboard/static/parts/words.js decides the same way.
"""

import re

# Thai, Lao, Burmese, Khmer, symbols, kana, ideographs, Hangul, emoji. search_words of migration 0011 has the same.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003134f"
)
# A shorter word begins too many others: "ai" also begins "aim" and "air".
SHORTEST_BEGINNING = 3

_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


def words_of(text: str) -> str:
    """The words of a text in small letters, with a blank before and after each. Characters of UNSPACED are words."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "


class Search:
    """A search prepared for many titles. Searches with equal `key` are met by the same titles."""

    def __init__(self, words: str) -> None:
        self._piece = words.strip().casefold()
        self._alternatives = _alternatives(words)
        self.key = self._alternatives or self._piece

    def is_met(self, title: str, title_words: str) -> bool:
        """Whether the title, with these words (`words_of`), meets the search. A search without words is one piece."""
        if not self._alternatives:
            return self._piece in title.casefold()
        return any(
            all((part.search(title_words) is None) == is_without for part, is_without in terms)
            for terms in self._alternatives
        )


def _alternatives(words: str) -> tuple[tuple[tuple[re.Pattern[str], bool], ...], ...]:
    """The alternatives of a search: terms, all of which a title must meet, and whether it must be without the term."""
    found: list[list[tuple[re.Pattern[str], bool]]] = [[]]
    for minus, phrase, word in _TERM.findall(words):
        if word.casefold() == "or" and not minus:
            found.append([])
        elif parts := words_of(phrase or word).split():
            found[-1].append((re.compile("".join(map(_beginning, parts))), bool(minus)))
    return tuple(tuple(terms) for terms in found if terms)


def _beginning(word: str) -> str:
    """The pattern of a word that begins with this one, or is it."""
    return f" {re.escape(word)}" + ("[^ ]*" if len(word) >= SHORTEST_BEGINNING else "(?= )")
