"""Keywords of a title: the phrases of one to three words that say most, by how rare their words are in titles.

Stop words and punctuation split a title into sequences of words, and a phrase lies within one sequence. The weight of a
word is its inverse document frequency, raised for names and for words with digits, minus the weight of a common word.
The weight of a phrase is the sum over its words, so a rare word brings its neighbours in ("stable diffusion 3"), and a
common word stays out. The document frequencies are frozen in a file of the project, made by
scripts/make_document_frequencies.py: the same title gives the same keywords, on every worker and at any time.
"""

import gzip
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import chain, islice
from operator import itemgetter

from signalflow.domain.apostrophes import plain_apostrophes

MOST_KEYWORDS = 5
LONGEST_PHRASE = 3
# Bounds for the work on hostile input. Reddit's titles have at most 300 characters, about 50 words.
MOST_WORDS = 80
LONGEST_WORD = 40
# 42,000 real titles have 550,000 tokens. 85,000 of them are different, and most of these occur once. With 16,384 tokens
# in each half the cache takes 12 MB at most, and 78 % of the tokens are found in it.
MOST_RECENT_TOKENS = 16_384
# A word that is in more than one of 100 titles lowers the weight of a phrase.
COMMON_SHARE = 0.01
_COMMON = math.log(COMMON_SHARE)
# Names and versions ("Verstappen", "1.31") say more than their rarity does.
EMPHASIS = 1.25

# Marks of letters, which \w leaves out: accents that stand alone, points of Hebrew and Arabic, vowels of scripts from
# India to Cambodia (their blocks without punctuation), and the joiners between letters.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed"
    "\u0900-\u0963\u0966-\u0df3\u0e30-\u0e4e\u0eb0-\u0ece\u0f18-\u0fbc\u102b-\u1049\u1780-\u17d3\u200c\u200d"
)
# A word begins with a letter or digit, may contain single apostrophes, hyphens and dots, and may end as "C++" and "F#".
_WORD = re.compile(rf"[^\W_][\w{_MARKS}]*(?:['’.\-][\w{_MARKS}]+)*(?:\+\+|#)?")
# They only say where a line may break.
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
# Where an address begins. One without this has a path, as "example.org/maps"; "Amazon.com" is a name.
_ADDRESS = re.compile(r"(?<![a-z0-9+.\-])[a-z][a-z0-9+.\-]*://|https?:/|mailto:|magnet:\?|www\.", re.IGNORECASE)
# In "Node.js/Express" there are two names: these are endings of files, and not of hosts.
_FILES = "(?:c|cpp|css|csv|exe|go|h|html?|java|jpe?g|js|json|jsx|pdf|php|png|ts|tsx|txt|xml|ya?ml)"
_NAME_OF_HOST = rf"[\w-]+(?:\.[\w-]+)*\.(?!{_FILES}\b)[^\W\d_]{{2,}}"
_HOST = re.compile(rf"[^\w]*(?:(?:{_NAME_OF_HOST}|localhost)(?::\d+)?|\d+(?:\.\d+){{3}}:\d+)", re.IGNORECASE)
_HOST_OF_MAIL = re.compile(_NAME_OF_HOST, re.IGNORECASE)
# The longest name of a host in the Domain Name System.
_LONGEST_HOST = 253
# What stands for an address: it is no word, and no phrase goes across it.
_NO_WORD = "|"
_DIGIT = re.compile(r"\d")
_STOP_WORD_LIST = """
    a about after again all also am an and any anybody anyone anything are aren't arent around as ask at away back be
    became because been before being best between both but by came can can't cant come could couldn't day did didn't
    didnt do does doesn't doesnt doing don't done dont down during each else even ever every everyone everything few
    first for from get gets getting give go goes going gone got guy guys had has hasn't have haven't having he he'd
    he'll her here hers him his how i i'd i'll i'm i've if im in into is isn't isnt it it'd it'll its just keep know
    last let like little look looking lot made make makes making many may maybe me might mine more most much must my
    myself need never new next no nobody none nor not nothing now of off ok old on once one ones only or other others
    our ours out over own people please put quite rather really said same saw say says see seen she she'd she'll should
    shouldn't since so some somebody someone something still such take tell than thank thanks that the their theirs them
    then there these they they'd they'll they're they've thing things think this those though through til till time to
    today together too took tried try trying two u under until up upon us use used using very via want wanted wants was
    wasn't wasnt way we we'd we'll we're we've well went were weren't what when where whether which while who whom whose
    why will with without won't wont would wouldn't year years yes yet you you'd you'll you're you've your yours
"""
STOP_WORDS = frozenset(_STOP_WORD_LIST.split())


@dataclass(frozen=True, slots=True)
class Frequencies:
    """How many of `documents` titles contain each term. The file leaves rare terms out; they count as one title."""

    documents: int
    counts: dict[str, int]


@lru_cache(maxsize=1)
def frozen_frequencies() -> Frequencies:
    """The document frequencies that the project ships, from real titles. The file's first lines say which."""
    packed = files(__package__).joinpath("document_frequencies.tsv.gz").read_bytes()
    return parse_frequencies(gzip.decompress(packed).decode())


def parse_frequencies(text: str) -> Frequencies:
    """Read lines of `term<TAB>count`. A line that begins with `#` is a remark; `# documents: N` is needed."""
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
    """The words of a title that can be keywords, as they are counted: lower case, without a possessive s."""
    for match in _WORD.finditer(title):
        word = _term(match[0])
        if word not in STOP_WORDS and len(word) <= LONGEST_WORD:
            yield word


def _without_addresses(title: str) -> str:
    if "/" not in title and "@" not in title and "www." not in title.lower() and "magnet:" not in title.lower():
        return title
    return " ".join(map(_without_address, title.split()))


def _without_address(token: str) -> str:
    """The text between two spaces, up to where an address of the web or of mail begins."""
    if begin := _ADDRESS.search(token):
        return f"{token[: begin.start()]} {_NO_WORD}"
    host, slash, _ = token.lstrip("/").partition("/")
    if slash and len(host) <= _LONGEST_HOST and _HOST.fullmatch(host):
        return _NO_WORD
    account, _, rest = token.partition("@")
    return _NO_WORD if account and _HOST_OF_MAIL.match(rest[:_LONGEST_HOST]) else token


def _term(word: str) -> str:
    term = word.lower()
    if "’" in term:
        term = term.replace("’", "'")
    return term.removesuffix("'s")


# A term, its weight (negative for the most common words), and whether it can be a keyword by itself, as a term with a
# letter can.
_Term = tuple[str, float, bool]
# Terms in their order, and None where a phrase must end.
_Terms = tuple[_Term | None, ...]
# The text between two spaces: how many more of its words begin with a small letter than with a capital, its terms with
# their own weights, and its terms with the weights that they have where a capital marks a name.
_Token = tuple[int, _Terms, _Terms]

_balance, _by_themselves, _as_names = itemgetter(0), itemgetter(1), itemgetter(2)


class _Tokens(dict[str, _Token]):
    """Tokens as written, with their terms and weights. A cache of two halves.

    When the newer half is full, it replaces the older one. A token that is found in the older half moves to the newer.
    """

    def __init__(self, frequencies: Frequencies) -> None:
        super().__init__()
        self._frequencies = frequencies
        self._second_life: dict[str, _Token] = {}

    def __missing__(self, written: str) -> _Token:
        token = self._second_life.get(written) or self._read(written)
        if len(written) <= LONGEST_WORD:
            if len(self) >= MOST_RECENT_TOKENS:
                self._second_life = dict(self)
                self.clear()
            self[written] = token
        return token

    def _read(self, written: str) -> _Token:
        if written.isalpha():
            by_itself, as_name = self._weighed(written)
            return -1 if written[0].isupper() else 1, (by_itself,), (as_name,)
        balance = end = 0
        by_themselves: list[_Term | None] = []
        as_names: list[_Term | None] = []
        for match in _WORD.finditer(written):
            if match.start() > 0:
                by_themselves.append(None)
                as_names.append(None)
            word, end = match[0], match.end()
            balance += -1 if word[0].isupper() else 1
            by_itself, as_name = self._weighed(word)
            by_themselves.append(by_itself)
            as_names.append(as_name)
        if end < len(written):
            by_themselves.append(None)
            as_names.append(None)
        return balance, tuple(by_themselves), tuple(as_names)

    def _weighed(self, word: str) -> tuple[_Term | None, _Term | None]:
        """The term of a word with its own weight, and with the weight that it has where a capital marks a name."""
        text = _term(word)
        if text in STOP_WORDS or len(text) > LONGEST_WORD:
            return None, None
        digits, named = False, len(text) > 1
        if not text.isalpha():
            digits, named = bool(_DIGIT.search(text)), not text.replace(".", "").isdigit()
        rarity = math.log(self._frequencies.documents / self._frequencies.counts.get(text, 1))
        plain, emphasised = (text, rarity + _COMMON, named), (text, rarity * EMPHASIS + _COMMON, named)
        return emphasised if digits else plain, plain if word.islower() and not digits else emphasised


@lru_cache(maxsize=1)
def _shared_tokens() -> _Tokens:
    return _Tokens(frozen_frequencies())


def keywords(title: str, frequencies: Frequencies | None = None) -> list[str]:
    """At most five phrases in lower case, best first. They do not overlap, and none occurs twice."""
    tokens = _shared_tokens() if frequencies is None else _Tokens(frequencies)
    found, candidates = _candidates(_weighed(title, tokens))
    candidates.sort()
    taken = 0
    chosen: list[str] = []
    for negative_weight, start, end in candidates:
        if negative_weight >= 0 and chosen:
            break
        indexes = (1 << end) - (1 << start)
        if taken & indexes:
            continue
        phrase = " ".join(found[start:end])
        if phrase not in chosen:
            chosen.append(phrase)
            if len(chosen) == MOST_KEYWORDS:
                break
            taken |= indexes
    return chosen


def _weighed(title: str, tokens: _Tokens) -> list[_Term | None]:
    """The first 80 words of a title as terms, and None where a phrase must end."""
    title = plain_apostrophes(_without_addresses(title))
    if not title.isascii():
        title = unicodedata.normalize("NFC", _INVISIBLE.sub("", title))
    # A word and what separates it from the next word take at least two characters.
    if len(title) >= 2 * MOST_WORDS:
        title = _first_words(title)
    read = [*map(tokens.__getitem__, title.split())]
    # A capital does not mark a name if most words begin with one, or if the whole title is in capitals.
    if sum(map(_balance, read)) < 0:
        return [*chain.from_iterable(map(_by_themselves, read))]
    weighed = [*chain.from_iterable(map(_as_names, read))]
    if read and not title[0].isspace():
        # The first word of a title begins with a capital whether it is a name or not.
        weighed[0] = read[0][1][0]
    return weighed


def _first_words(title: str) -> str:
    end = 0
    for match in islice(_WORD.finditer(title), MOST_WORDS):
        end = match.end()
    return title[:end]


def _candidates(weighed: Iterable[_Term | None]) -> tuple[list[str], list[tuple[float, int, int]]]:
    """The terms of a title, and its phrases as (negative weight, index of the first term, index after the last term).

    Sorting puts the phrase of the highest weight first, and of equal ones the first in the title.
    """
    found: list[str] = []
    candidates: list[tuple[float, int, int]] = []
    index = length = 0
    # Negative weights of the term before and of the two terms before, and whether one of these terms can be a keyword
    # by itself.
    one = two = 0.0
    one_named = two_named = False
    for term in weighed:
        if term is None:
            length = 0
            continue
        text, weight, named = term
        found.append(text)
        end = index + 1
        if named:
            candidates.append((-weight, index, end))
        if length:
            pair = one - weight
            if named or one_named:
                candidates.append((pair, index - 1, end))
            if length > 1 and (named or two_named):
                candidates.append((two - weight, index - 2, end))
            two = pair
        one, one_named, two_named = -weight, named, one_named
        index = end
        length += 1
    return found, candidates
