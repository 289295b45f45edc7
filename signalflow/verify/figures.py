"""The computed numbers of an observation, by their definitions: velocities, sentiment, trending."""

import gzip
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


@dataclass(frozen=True)
class Rules:
    """The settings that the numbers depend on. Velocities are in score per second.

    `ahead_minutes`: how much later than its record an observation may be. `trend_window` is in seconds.
    """

    velocity_high: float = 50.0
    velocity_low: float = 10.0
    sentiment: float = 0.5
    comments: int = 100
    threshold: float = 0.5
    state_hours: float = 48.0
    fold_apostrophes: bool = True
    ahead_minutes: float = 10.0
    trend_window: int = 300


def per_second(before: int, after: int, since: datetime, until: datetime) -> float:
    """Change per second. A time of less than a second counts as one second."""
    return (after - before) / max(1.0, (until - since).total_seconds())


def without_noise(before: int, after: int) -> int:
    """The score `after`, or `before` where Reddit's noise explains the difference: 2 points, or 2 % of the larger."""
    noise = max(Decimal(2), Decimal("0.02") * max(abs(before), abs(after)))
    return before if abs(after - before) <= noise else after


@lru_cache(maxsize=1)
def _stock() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


@lru_cache(maxsize=1)
def _small_words() -> dict[str, set[str]]:
    text = files("signalflow.data").joinpath("function_words.txt").read_text(encoding="utf-8")
    found = re.findall(r"^(\w+): (.*)$", text, re.MULTILINE)
    return {language: set(words.split()) for language, words in found}


@lru_cache(maxsize=1)
def _known_english() -> set[str]:
    """The words of the file of frequencies and of VADER's lexicon, without the small words of other languages."""
    packed = files("signalflow.domain").joinpath("document_frequencies.tsv.gz").read_bytes()
    frequent = re.findall(r"^([^#\t][^\t]*)\t", gzip.decompress(packed).decode(), re.MULTILINE)
    foreign = set().union(*(words for language, words in _small_words().items() if language != "english"))
    return {word for word in set(frequent) | set(_stock().lexicon) if word[2:]} - foreign


def _plain(title: str) -> str:
    """With ' in place of each \u2019, and of each sign that people take for it where letters are on both sides."""
    signs = {0x60, 0xB4, 0x2BB, 0x2BC, 0x2018, 0x201B, 0x2032, 0xFF07}
    around = zip(" " + title, title, title[1:] + " ", strict=False)
    letters = (
        "'" if char == "\u2019" or (ord(char) in signs and _is_letter(before) and _is_letter(after)) else char
        for before, char, after in around
    )
    return "".join(letters)


def _is_letter(char: str) -> bool:
    return re.fullmatch(r"(?!\d|_)\w", char.replace("\u2019", "'")) is not None


@lru_cache(maxsize=65_536)
def is_english(title: str) -> bool:
    """Whether most letters are Latin and no other language has two of its small words and twice as many as English.

    And whether an English word stands beside the small word of another language or the accent that there may be.
    """
    latin = sum(1 for char in title if char.isalpha() and ord(char) < 0x250)
    if latin < sum(map(str.isalpha, title)) - latin:
        return False
    plain = _plain(title.lower())
    counts = Counter(re.findall(r"(?:(?!\d|_)\w)+(?:'(?:(?!\d|_)\w)+)?", plain))
    shares = {name: [counts[word] for word in counts.keys() & words] for name, words in _small_words().items()}
    english = sum(shares.pop("english"))
    if any(len(share) > 1 and sum(share) > 2 * english for share in shares.values()):
        return False
    accent = any(ord(char) > 127 for word in counts for char in word)
    if english > 0 or not (accent or any(shares.values())):
        return True
    nouns = {word.split("'")[0] for word in counts}
    return bool(_known_english() & (nouns | counts.keys()))


@lru_cache(maxsize=65_536)
def sentiment(title: str, basis: str) -> tuple[float | None, str | None]:
    """Compound score and label, from the original library and its authors' threshold (0.05).

    Both are None for the basis `not_english`.
    """
    if basis == "not_english":
        return None, None
    scored = _plain(title) if basis == "folded_apostrophes" else title
    compound = float(_stock().polarity_scores(scored)["compound"])
    return compound, "positive" if compound >= 0.05 else "negative" if compound <= -0.05 else "neutral"


def sentiment_of_text(text: str, basis: str) -> tuple[float | None, str | None]:
    """Score and label of the text of a comment, computed from what `basis` says; an English text is always judged."""
    if basis == "not_english" and is_english.__wrapped__(text):
        basis = "as_written"
    # Texts are long and differ, so none is kept in memory.
    return sentiment.__wrapped__(text, basis)


def sentiment_basis(title: str, fold_apostrophes: bool) -> str:
    """What the sentiment of a title is computed from, with this setting."""
    if not is_english(title):
        return "not_english"
    return "folded_apostrophes" if fold_apostrophes and _plain(title) != title else "as_written"


def trending(rules: Rules, velocity: float | None, feeling: float | None, comments: int | None) -> tuple[float, bool]:
    """The trending score in decimal arithmetic, and whether it reaches the threshold."""
    score = Decimal(0)
    if velocity is not None and velocity > rules.velocity_low:
        score += Decimal("0.4") if velocity > rules.velocity_high else Decimal("0.2")
    score += Decimal("0.2") * ((abs(feeling or 0.0) > rules.sentiment) + ((comments or 0) > rules.comments))
    return float(score), score >= Decimal(str(rules.threshold))
