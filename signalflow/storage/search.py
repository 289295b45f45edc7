"""How the words of a search are looked up: in English, as they are written, or as a piece of text.

The index (migrations, 0011 and 0038) holds the folded words of title and body twice: by the rules of English, which
leave out stop words and endings, and as they are written. Scripts without spaces have no words for PostgreSQL, so each
of their characters is indexed as a word, and a run of them in a search is a phrase. docs/decisions/reading.md says why.
"""

from typing import Literal

from signalflow.domain.search import Term, terms_of, words_of
from signalflow.storage.read_router import ReadRouter

SearchMode = Literal["english", "simple", "substring"]
# A piece of text has no index, so it is looked for in so many of the newest posts: about 0.2 s with bodies of 1 kB.
MOST_SEARCHED_POSTS = 20_000

_MODES = """
SELECT numnode(websearch_to_tsquery('pg_catalog.english', $1)) > 0 AS english,
    numnode(websearch_to_tsquery('pg_catalog.simple', $1)) > 0 AS simple
"""


async def search_mode(reads: ReadRouter, words: str) -> SearchMode:
    """How these words are looked up: in the first way in which any of them counts."""
    (row,) = await reads.fetch(_MODES, web_search(words))
    return "english" if row["english"] else "simple" if row["simple"] else "substring"


def web_search(words: str) -> str:
    """The search for PostgreSQL's parser, with its terms folded and read as the live stream reads them.

    By itself the parser takes each minus for a negation, and fails at 33 of them in a row.
    """
    return " or ".join(" ".join(map(_written, terms)) for terms in terms_of(words))


def _written(term: Term) -> str:
    """The term without signs: the index has blanks in their place."""
    words = " ".join(words_of(term.text).split())
    is_word = words not in ("", "or") and " " not in words and not term.is_phrase
    return ("-" if term.is_without else "") + (words if is_word else f'"{words}"')
