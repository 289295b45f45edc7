"""Keywords of a title: the phrases of one to three words that say most, by how rare their words are in titles.

A title is split into runs of words at stop words and punctuation. A phrase is worth the sum of what its words tell (inverse document
frequency, raised for names and for words with digits) above what a common word tells, so that a rare word draws its companions in
("stable diffusion 3") and a common one stays out. The document frequencies are frozen in a file of the project, made by
scripts/make_document_frequencies.py: the same title gives the same keywords, on every worker and at any time.
"""

import gzip
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

MOST_KEYWORDS = 5
LONGEST_PHRASE = 3
# What bounds the work on hostile input: Reddit's titles have 300 characters, 50 words or so.
MOST_WORDS = 80
LONGEST_WORD = 40
# A word in more than one title of 100 makes a phrase worse, not better.
COMMON_SHARE = 0.01
_COMMON = math.log(COMMON_SHARE)
# Names and versions ("Verstappen", "1.31") say more than their rarity does.
EMPHASIS = 1.25

# A word begins with a letter or digit; single apostrophes, hyphens and dots stand within it; it may end as "C++" and "F#" do.
_WORD = re.compile(r"[^\W_]\w*(?:['’.\-]\w+)*(?:\+\+|#)?")
_DIGIT = re.compile(r"\d")
_STOP_WORD_LIST = """
    a about after again all also am an and any anybody anyone anything are aren't arent around as ask at away back be became because been
    before being best between both but by came can can't cant come could couldn't day did didn't didnt do does doesn't doesnt doing don't done dont down
    during each else even ever every everyone everything few first for from get gets getting give go goes going gone got guy guys had
    has hasn't have haven't having he he'd he'll her here hers him his how i i'd i'll i'm i've if im in into is isn't isnt it it'd it'll its
    just keep know last let like little look looking lot made make makes making many may maybe me might mine more most much must my
    myself need never new next no nobody none nor not nothing now of off ok old on once one ones only or other others our ours out
    over own people please put quite rather really said same saw say says see seen she she'd she'll should shouldn't since so some
    somebody someone something still such take tell than thank thanks that the their theirs them then there these they they'd they'll
    they're they've thing things think this those though through til till time to today together too took tried try trying two u under
    until up upon us use used using very via want wanted wants was wasn't wasnt way we we'd we'll we're we've well went were weren't what
    when where whether which while who whom whose why will with without won't wont would wouldn't year years yes yet you you'd you'll you're
    you've your yours
"""
_STOP_WORDS = frozenset(_STOP_WORD_LIST.split())


@dataclass(frozen=True, slots=True)
class Frequencies:
    """In how many of `documents` titles each term stood. Rare terms are left out of the file; they count as one title."""

    documents: int
    counts: dict[str, int]


@lru_cache(maxsize=1)
def frozen_frequencies() -> Frequencies:
    """The document frequencies that the project ships (made from real titles; origin in the file's first lines)."""
    packed = files(__package__).joinpath("document_frequencies.tsv.gz").read_bytes()
    return parse_frequencies(gzip.decompress(packed).decode())


def parse_frequencies(text: str) -> Frequencies:
    """Read lines of `term<TAB>count`; lines from `#` on are remarks, of which `# documents: N` is needed."""
    documents = 0
    counts: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            name, _, value = line[1:].partition(":")
            if name.strip() == "documents":
                documents = int(value)
            continue
        term, _, count = line.partition("\t")
        counts[term] = int(count)
    return Frequencies(documents, counts)


def terms(title: str) -> Iterator[str]:
    """The words of a title that can be keywords, as they are counted: in lower case, without a possessive s."""
    for match in _WORD.finditer(title):
        word = _term(match[0])
        if word not in _STOP_WORDS and len(word) <= LONGEST_WORD:
            yield word


def _term(word: str) -> str:
    term = word.lower()
    if "’" in term:
        term = term.replace("’", "'")
    return term.removesuffix("'s")


def keywords(title: str, frequencies: Frequencies | None = None) -> list[str]:
    """At most five phrases in lower case, best first; the ones that do not overlap, each once."""
    words = _weighed(title, frequencies or frozen_frequencies())
    # Negative worth, then place: sorted, the best come first, and of equals the first in the title.
    candidates: list[tuple[float, int, int]] = []
    for start, first in enumerate(words):
        if first is None:
            continue
        worth = 0.0
        for end in range(start, min(start + LONGEST_PHRASE, len(words))):
            word = words[end]
            if word is None:
                break
            worth -= word[1]
            if first[2] or word[2]:
                candidates.append((worth, start, end + 1))
    candidates.sort()
    taken = 0
    chosen: list[str] = []
    for negative_worth, start, end in candidates:
        if len(chosen) == MOST_KEYWORDS or (negative_worth >= 0 and chosen):
            break
        places = (1 << end) - (1 << start)
        if taken & places:
            continue
        phrase = " ".join([word[0] for word in words[start:end] if word])
        if phrase not in chosen:
            chosen.append(phrase)
            taken |= places
    return chosen


def _weighed(title: str, frequencies: Frequencies) -> list[tuple[str, float, bool] | None]:
    """The words of a title: text, worth, and whether it has a letter and so can stand alone. None stands where a phrase must end."""
    matches = [match for _, match in zip(range(MOST_WORDS), _WORD.finditer(title), strict=False)]
    capitals = [match[0][0].isupper() for match in matches].count(True)
    # Where most words begin with a capital, or all of it is in capitals, a capital does not mark a name.
    telling_capitals = capitals * 2 <= len(matches) or len(matches) == 1
    words: list[tuple[str, float, bool] | None] = []
    last_end = 0
    for match in matches:
        written = match[0]
        start, end = match.span()
        gap = title[last_end:start]
        if gap != " " and not gap.isspace():
            words.append(None)
        last_end = end
        text = _term(written)
        if text in _STOP_WORDS or len(text) > LONGEST_WORD:
            words.append(None)
            continue
        digits, named = False, len(text) > 1
        if not text.isalpha():
            digits, named = bool(_DIGIT.search(text)), not text.replace(".", "").isdigit()
        emphasised = digits or (telling_capitals and start > 0 and not written.islower())
        words.append((text, _worth(text, emphasised, frequencies), named))
    return words


def _worth(term: str, emphasised: bool, frequencies: Frequencies) -> float:
    """How much more a term tells than a common word; negative for the most common ones."""
    rarity = math.log(frequencies.documents / frequencies.counts.get(term, 1))
    return (rarity * EMPHASIS if emphasised else rarity) + _COMMON
