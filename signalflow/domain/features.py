"""Text features of a title, and the sentiment of any text: pure functions of the text."""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from signalflow.domain.apostrophes import plain_apostrophes
from signalflow.domain.keywords import keywords
from signalflow.domain.language import is_english
from signalflow.domain.sentiment import label, polarity_scores
from signalflow.domain.words import SentimentBasis, SentimentLabel

# Posts are refreshed for two days, in which 115 subreddits bring about 50,000 titles. An entry takes about 1 kB, so the
# cache takes 64 MB at most.
MOST_CACHED_TITLES = 65_536


class Sentiment(NamedTuple):
    """Compound sentiment, its label, and what they were computed from, as in Features."""

    score: float | None
    label: SentimentLabel | None
    basis: SentimentBasis


@dataclass(frozen=True, slots=True)
class Features:
    """Compound sentiment in -1..1 as VADER rounds it (4 digits), its label, and keywords best first.

    Score and label are None for a title that is not English, which `sentiment_basis` says. All callers that ask for the
    same title share the list of keywords: do not change it.
    """

    sentiment_score: float | None
    sentiment_label: SentimentLabel | None
    sentiment_basis: SentimentBasis
    keywords: list[str]


@lru_cache(maxsize=MOST_CACHED_TITLES)
def text_features(title: str, fold_apostrophes: bool = True) -> Features:
    """The features of a title. The same title gives the same features in every process.

    VADER knows "isn't" with a plain apostrophe only. `fold_apostrophes` shows it a typographic one as such.
    """
    return Features(*sentiment_of(title, fold_apostrophes), keywords(title))


def sentiment_of(text: str, fold_apostrophes: bool = True) -> Sentiment:
    """The sentiment of a text, as `text_features` has it; computed anew each time."""
    if not is_english(text):
        return Sentiment(None, None, "not_english")
    scored = plain_apostrophes(text) if fold_apostrophes else text
    compound = polarity_scores(scored)["compound"]
    return Sentiment(compound, label(compound), "as_written" if scored == text else "folded_apostrophes")
