"""Whether a text is English enough for a sentiment score: VADER knows English words only.

A text is not English when most of its letters are of another script than Latin, or when it has the small words of
another language and few of English. In a short text one small word of another language, or one letter with an accent,
is enough if no word shows that it is English. Without any sign a text counts as English. docs/decisions/sentiment.md
has the rates of error.
"""

import re
from functools import lru_cache
from importlib.resources import files

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from signalflow.domain.apostrophes import plain_apostrophes
from signalflow.domain.keywords import frozen_frequencies

ENGLISH = "english"
# Letters up to here are Latin: basic, with accents, and the extended blocks A and B.
LAST_LATIN = "\u024f"
# A single word of another language occurs in English titles: "Los Angeles", "Le Mans". Two different ones hardly do.
FEWEST_FOREIGN_WORDS = 2
# Shorter words occur in too many languages to show that a text is English.
SHORTEST_TELLING_WORD = 3

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@lru_cache(maxsize=1)
def function_words() -> dict[str, frozenset[str]]:
    """The small words of each language, in lower case."""
    lines = files("signalflow.data").joinpath("function_words.txt").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: frozenset(words.split()) for name, _, words in named}


@lru_cache(maxsize=1)
def _english_words() -> frozenset[str]:
    """Words of English titles, and words that VADER knows. "die" is none: it is a small word of another language."""
    known = {*frozen_frequencies().counts, *SentimentIntensityAnalyzer().lexicon}
    return frozenset(word for word in known - _foreign_words() if len(word) >= SHORTEST_TELLING_WORD)


@lru_cache(maxsize=1)
def _foreign_words() -> frozenset[str]:
    return frozenset(word for name, words in function_words().items() if name != ENGLISH for word in words)


def is_english(text: str) -> bool:
    """Whether nothing shows that the text is in another language."""
    if not text.isascii():
        letters = [char for char in text if char.isalpha()]
        if 2 * sum(char > LAST_LATIN for char in letters) > len(letters):
            return False
    words = _WORD.findall(plain_apostrophes(text.lower()))
    languages = function_words()
    english = sum(word in languages[ENGLISH] for word in words)
    for name, known in languages.items():
        found = [word for word in words if word in known]
        if name != ENGLISH and len(found) > 2 * english and len(set(found)) >= FEWEST_FOREIGN_WORDS:
            return False
    if english or (_foreign_words().isdisjoint(words) and all(map(str.isascii, words))):
        return True
    # "river's" is the river; the French "l'eau" begins with no word.
    return not _english_words().isdisjoint([*words, *(word.partition("'")[0] for word in words)])
