"""Whether a title meets a search, for posts that are not looked up in the database.

The search has the syntax of PostgreSQL's web search: words, "phrases", `or` between alternatives, `-` for without. Each
word must begin a word of the title; one of one or two characters must be a whole word. The database compares stems
instead, and bodies too. web/dashboard/static/parts/words.js decides the same way.

Texts are compared as `folded` writes them, so "Pokemon" finds "Pokémon", however a keyboard wrote its accent.
"""

import re
import unicodedata
from typing import NamedTuple

# What folding changes; search_words of migration 0038 and words.js have the same. Signs such as ™ and raised digits are
# no part of the word before them.
SIGNS = re.compile("[\u00aa\u00b2\u00b3\u00b9\u00ba\u2070-\u209f\u2100-\u214f]")
INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]")
# Accents of Latin and Greek letters. In other scripts a mark makes another letter: й is not и.
_ACCENTS = re.compile("(?<=[A-Za-z\u0370-\u03ff])[\u0300-\u036f]+")
LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "ς": "σ", "ß": "ss", "æ": "ae", "œ": "oe"}
    | dict.fromkeys("\u2018\u2019\u02bc", "'")
    | dict.fromkeys("\u201c\u201d\u201e", '"')
)
# Thai, Lao, Burmese, Khmer, symbols, kana, ideographs, Hangul, emoji. search_words of migration 0038 has the same.
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003134f"
)
# A shorter word begins too many others: "ai" also begins "aim" and "air".
SHORTEST_BEGINNING = 3

_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")
_TERM = re.compile(r'(-?)(?:"([^"]*)"?|([^\s"]+))')


def folded(text: str) -> str:
    """The text in small letters, without accents, invisible characters, and forms of letters and quotation marks."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", INVISIBLE.sub("", SIGNS.sub(" ", text)))
        text = unicodedata.normalize("NFKC", _ACCENTS.sub("", text)).lower().translate(LETTERS)
    return text.lower()


def words_of(text: str) -> str:
    """The words of a folded text, with a blank before and after each. Characters of UNSPACED are words."""
    return f" {' '.join(_WORD.findall(folded(text)))} "


class Term(NamedTuple):
    """A part of a search, which a title must have, or be without. A phrase stood between quotation marks."""

    text: str
    is_phrase: bool
    is_without: bool


def terms_of(search: str) -> list[list[Term]]:
    """The alternatives of a search, folded: terms, all of which a title must meet. None when it has no word.

    A minus belongs to what it touches, so the dash in "Ferry - a timetable" is none. `or` has alternatives on both
    sides; alone it is a word.
    """
    found: list[list[Term]] = [[]]
    for minus, phrase, word in _TERM.findall(folded(search)):
        if word == "or" and not minus:
            found.append([])
        elif _WORD.search(phrase or word):
            found[-1].append(Term(phrase or word, bool(phrase), bool(minus)))
    alternatives = [terms for terms in found if terms]
    return [[Term("or", True, False)]] if len(found) > 1 and not alternatives else alternatives


class Search:
    """A search prepared for many titles. Searches with equal `key` are met by the same titles."""

    def __init__(self, words: str) -> None:
        self._piece = words.strip().casefold()
        self._alternatives = tuple(
            tuple((_pattern(term.text), term.is_without) for term in terms) for terms in terms_of(words)
        )
        self.key = self._alternatives or self._piece

    def is_met(self, title: str, title_words: str) -> bool:
        """Whether the title, with these words (`words_of`), meets the search. A search without words is one piece."""
        if not self._alternatives:
            return self._piece in title.casefold()
        return any(
            all((part.search(title_words) is None) == is_without for part, is_without in terms)
            for terms in self._alternatives
        )


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile("".join(map(beginning_of, words_of(text).split())))


def beginning_of(word: str) -> str:
    """The pattern of a word that begins with this one, or is it, in words as `words_of` gives them."""
    return f" {re.escape(word)}" + ("[^ ]*" if len(word) >= SHORTEST_BEGINNING else "(?= )")
