"""What the rules of VADER need to know about each token of a text; cached, so a token takes one dictionary lookup.

The rules distinguish a fixed set of words, about 15,000 including their forms in capitals. Each is one object, however
it is written.
"""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE

_Read = TypeVar("_Read")

# Longer tokens are links and noise that do not occur again. The bounds keep a cache below 10 MB whatever people write.
_LONGEST_CACHED_TOKEN = 64
_MOST_CACHED_TOKENS = 32_768

_NEGATIONS = frozenset(NEGATE)
# Any word that contains these letters negates.
_NEGATING_PART = "n't"
# Words that change the valence of a lexicon word after them, and are neither boosters, negations nor in idioms.
_RULE_WORDS = frozenset({"no", "least", "this"})
# One word of every phrase of SPECIAL_CASES and of every booster of two words, chosen to be rare elsewhere. If the first
# word of a phrase has a valence itself, it is the one chosen: only then does a phrase change the word it begins with.
IDIOM_MARKS = frozenset({"shit", "bomb", "bad", "bus", "yeah", "kiss", "die", "beating", "enough", "sort", "kind"})
# Words that matter to the rules only beside another word: "no fun or joy", "at least", "sort of".
_COMPANIONS = frozenset({"or", "at", "doubt"})
_COMPANIONS |= {"the", "ass", "stop", "right", "of", "death", "to", "for", "heart", "just"}
BUT = "but"


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """What the rules need to know about one token."""

    lower: str
    upper: bool = False  # in capitals
    valence: float | None = None  # from the lexicon; None when the word is not in it
    booster: float | None = None
    negates: bool = False
    idiomatic: bool = False  # one of IDIOM_MARKS
    active: bool = False  # in front of a lexicon word it may change that word's valence
    scored: bool = False  # has a valence of its own in the result
    own_valence: float = 0.0  # that valence
    special: bool = False  # in capitals, active or "but"; otherwise only its own valence matters


# Stands for a token that no rule asks for.
PLAIN = Word("")
# Stands for a word if the rules only need to know that it is in the lexicon: they skip it in front of another word.
# They skip the places before the first token too.
IN_LEXICON = Word("", valence=0.0)


class Cache(dict[str, _Read]):
    """What was read from each token, by the token as it is written. Emptied when it is full."""

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
    """Two views of a token.

    `in_text` is the token's word if that word has a valence, may change one, or is "but"; None otherwise. `beside` is
    what a word near the token needs to know about it. For most tokens it is PLAIN or IN_LEXICON, so that few different
    windows occur.
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
        # Without its punctuation an emoticon has at most two characters: keep the punctuation.
        text = token if len(stripped) <= 2 else stripped
        lower = text.lower()
        if lower not in self._names:
            if _NEGATING_PART not in lower:
                return PLAIN
            lower = _NEGATING_PART
        key = lower, text.isupper()
        word = self._known.get(key)
        if word is None:
            word = self._known[key] = self._new_word(*key)
        return word

    def _new_word(self, lower: str, upper: bool) -> Word:
        valence = self._lexicon.get(lower)
        booster = BOOSTER_DICT.get(lower)
        negates = lower in _NEGATIONS or _NEGATING_PART in lower
        idiomatic = lower in IDIOM_MARKS
        active = booster is not None or negates or idiomatic or lower in _RULE_WORDS
        scored = valence is not None and booster is None
        own_valence = valence if valence is not None and scored else 0.0
        special = upper or active or lower == BUT
        return Word(lower, upper, valence, booster, negates, idiomatic, active, scored, own_valence, special)
