"""Words that say nothing about a subject: "far", "read", "thought", "finally".

The list was counted, not chosen: these words occur in titles of as many different subreddits as if titles were dealt
out at random. A word with a subject ("python", "court") stays with its subreddits.
"""

from functools import lru_cache
from importlib.resources import files


@lru_cache(maxsize=1)
def general_words() -> frozenset[str]:
    """The words that the project ships, made by scripts/make_general_words.py. Lines with `#` are remarks."""
    lines = files(__package__).joinpath("general_words.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
