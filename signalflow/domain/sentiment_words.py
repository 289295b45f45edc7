"""Reading the tokens of a text as the rules of VADER see them. What is read is kept, so that a token costs one look into a dictionary.

All words that the rules tell apart are known beforehand, some 15,000 with those in capitals; each is one object, however it is written.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE

_Read = TypeVar("_Read")

# Longer tokens are links and noise that do not come back; the bound keeps a cache under 10 MB whatever people write.
_LONGEST_CACHED_TOKEN = 64
_MOST_CACHED_TOKENS = 32_768

_NEGATIONS = frozenset(NEGATE)
# Any word with these letters negates.
_NEGATING_PART = "n't"
# Words that change the valence of a lexicon word after them, beside boosters, negations and idioms.
_RULE_WORDS = frozenset({"no", "least", "this"})
# One word of every phrase of SPECIAL_CASES and of every booster of two words, as seldom in other places as can be. Where the first
# word of the phrase has a valence itself, it is that one, because only then does a phrase change the word that it begins with.
IDIOM_MARKS = frozenset({"shit", "bomb", "bad", "bus", "yeah", "kiss", "die", "beating", "enough", "sort", "kind"})
# Words without a meaning to the rules unless another one stands beside them: "no fun or joy", "at least", "sort of".
_COMPANIONS = frozenset({"or", "at", "doubt"})
_COMPANIONS |= {"the", "ass", "stop", "right", "of", "death", "to", "for", "heart", "just"}
BUT = "but"


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """What the rules want to know of one token."""

    lower: str
    upper: bool = False  # in capitals
    valence: float | None = None  # of the lexicon; None when it is not in there
    booster: float | None = None
    negates: bool = False
    idiomatic: bool = False  # one of IDIOM_MARKS
    active: bool = False  # some rule asks for it in front of a lexicon word
    scored: bool = False  # has a valence of its own in the result
    own_valence: float = 0.0  # that valence
    special: bool = False  # not just a word of the lexicon: in capitals, active or "but"


# Stands for tokens that no rule asks for.
PLAIN = Word("")
# Stands for words of which only counts that they are in the lexicon: the rules skip those in front of a word. The places before the
# first token are skipped too.
IN_LEXICON = Word("", valence=0.0)


class Cache(dict[str, _Read]):
    """Tokens as they stand in a text -> what was read. Emptied when it is full."""

    def __init__(self, read: Callable[[str], _Read]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, token: str) -> _Read:
        read = self._read(token)
        if len(token) < _LONGEST_CACHED_TOKEN:
            if len(self) >= _MOST_CACHED_TOKENS:
                self.clear()
            self[token] = read
        return read


class Words:
    """The two ways to see a token.

    `in_text` has the words to look at in a text: those with a valence, those that may change one, and "but"; None for the others.
    `beside` has what a token is to a word near it; few things, so that surroundings come back: PLAIN and IN_LEXICON for most.
    """

    def __init__(self, lexicon: dict[str, float]) -> None:
        self._lexicon = lexicon
        self._names = frozenset({*lexicon, *BOOSTER_DICT, *_NEGATIONS, *_RULE_WORDS, *IDIOM_MARKS, *_COMPANIONS, BUT})
        self._known: dict[tuple[str, bool], Word] = {}
        self.in_text: Cache[Word | None] = Cache(self._in_text)
        self.beside: Cache[Word] = Cache(self._beside)

    def _in_text(self, token: str) -> Word | None:
        word = self._word(token)
        return word if word.scored or word.active or word.lower == BUT else None

    def _beside(self, token: str) -> Word:
        word = self._word(token)
        if word.active or word.lower in _COMPANIONS:
            return word
        return PLAIN if word.valence is None else IN_LEXICON

    def _word(self, token: str) -> Word:
        stripped = token.strip(string.punctuation)
        # Two characters or fewer are left of an emoticon; it keeps its punctuation.
        text = token if len(stripped) <= 2 else stripped
        lower = text.lower()
        if lower not in self._names:
            if _NEGATING_PART not in lower:
                return PLAIN
            lower = _NEGATING_PART
        key = lower, text.isupper()
        word = self._known.get(key)
        if word is None:
            word = self._known[key] = self._made(*key)
        return word

    def _made(self, lower: str, upper: bool) -> Word:
        valence = self._lexicon.get(lower)
        booster = BOOSTER_DICT.get(lower)
        negates = lower in _NEGATIONS or _NEGATING_PART in lower
        idiomatic = lower in IDIOM_MARKS
        active = booster is not None or negates or idiomatic or lower in _RULE_WORDS
        scored = valence is not None and booster is None
        own_valence = valence if valence is not None and scored else 0.0
        special = upper or active or lower == BUT
        return Word(lower, upper, valence, booster, negates, idiomatic, active, scored, own_valence, special)
