"""Whether a text is English enough for a sentiment score: VADER knows English words only.

A text is not English when most of its letters are of another script than Latin, or when it has the small words of
another language and few of English. A short text without such words counts as English: VADER finds no word in it that
it knows, and calls it neutral. docs/decisions/sentiment.md has the rates of error.
"""

import re
from functools import lru_cache
from importlib.resources import files

ENGLISH = "english"
# Letters up to here are Latin: basic, with accents, and the extended blocks A and B.
LAST_LATIN = "\u024f"
# A single word of another language occurs in English titles: "Los Angeles", "Le Mans". Two different ones hardly do.
FEWEST_FOREIGN_WORDS = 2

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


@lru_cache(maxsize=1)
def function_words() -> dict[str, frozenset[str]]:
    """The small words of each language, in lower case."""
    lines = files("signalflow.data").joinpath("function_words.txt").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: frozenset(words.split()) for name, _, words in named}


def is_english(text: str) -> bool:
    """Whether nothing shows that the text is in another language."""
    if not text.isascii():
        letters = [char for char in text if char.isalpha()]
        if 2 * sum(char > LAST_LATIN for char in letters) > len(letters):
            return False
    words = _WORD.findall(text.lower().replace("’", "'"))
    languages = function_words()
    english = sum(word in languages[ENGLISH] for word in words)
    for name, known in languages.items():
        found = [word for word in words if word in known]
        if name != ENGLISH and len(found) > 2 * english and len(set(found)) >= FEWEST_FOREIGN_WORDS:
            return False
    return True
