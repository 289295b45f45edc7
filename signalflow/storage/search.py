"""How the words of a search are looked up: in English, as they are written, or as a piece of text.

The index (migrations, 0011 and 0019) holds the folded words of title and body twice: by the rules of English, which
leave out stop words and endings, and as they are written. Scripts without spaces have no words for PostgreSQL, so each
of their characters is indexed as a word, and a run of them in a search is a phrase. docs/decisions/reading.md says why.
"""

import re
from typing import Literal

from signalflow.domain.search import UNSPACED, folded
from signalflow.storage.read_router import ReadRouter

SearchMode = Literal["english", "simple", "substring"]
# A piece of text has no index, so it is looked for in so many of the newest posts: about 0.2 s with bodies of 1 kB.
MOST_SEARCHED_POSTS = 20_000

_UNSPACED = re.compile(f"[{UNSPACED}]+")
_MODES = """
SELECT numnode(websearch_to_tsquery('pg_catalog.english', $1)) > 0 AS english,
    numnode(websearch_to_tsquery('pg_catalog.simple', $1)) > 0 AS simple
"""


async def search_mode(reads: ReadRouter, words: str) -> SearchMode:
    """How these words are looked up: in the first way in which any of them counts."""
    (row,) = await reads.fetch(_MODES, spaced(words))
    return "english" if row["english"] else "simple" if row["simple"] else "substring"


def spaced(words: str) -> str:
    """The search, folded as the indexed words are, with each run of a script without spaces as a phrase."""
    parts = folded(words).split('"')
    # Every second part stands between quotation marks and is a phrase already.
    for index, part in enumerate(parts):
        mark = "" if index % 2 else '"'
        parts[index] = _UNSPACED.sub(lambda run, mark=mark: _phrase(run, mark), part)  # type: ignore[misc]
    return '"'.join(parts)


def _phrase(run: re.Match[str], mark: str) -> str:
    # A minus before a phrase must touch it.
    before = "" if run.string[run.start() - 1 : run.start()] == "-" else " "
    return f"{before}{mark}{' '.join(run[0])}{mark} "
