"""Text features of a title: a pure function of its text, in practice computed once per text."""

from dataclasses import dataclass
from functools import lru_cache

from signalflow.domain.apostrophes import plain_apostrophes
from signalflow.domain.keywords import keywords
from signalflow.domain.language import is_english
from signalflow.domain.sentiment import label, polarity_scores
from signalflow.domain.words import SentimentBasis, SentimentLabel

# Posts are refreshed for two days, in which 115 subreddits bring about 50,000 titles. An entry takes about 1 kB, so the
# cache takes 64 MB at most.
MOST_CACHED_TITLES = 65_536


@dataclass(frozen=True, slots=True)
class Features:
    """Compound sentiment in -1..1 as VADER rounds it (4 digits), its label, keywords best first, and the topic cluster.

    Score and label are None for a title that is not English, which `sentiment_basis` says. The topic cluster is None
    when it is unknown. All callers that ask for the same title share the list of keywords: do not change it.
    """

    sentiment_score: float | None
    sentiment_label: SentimentLabel | None
    sentiment_basis: SentimentBasis
    keywords: list[str]
    topic_cluster: str | None = None


@lru_cache(maxsize=MOST_CACHED_TITLES)
def text_features(title: str, fold_apostrophes: bool = True) -> Features:
    """The features of a title. The same title gives the same features in every process.

    VADER knows "isn't" with a plain apostrophe only. `fold_apostrophes` shows it a typographic one as such.
    """
    if not is_english(title):
        return Features(None, None, "not_english", keywords(title))
    scored = plain_apostrophes(title) if fold_apostrophes else title
    compound = polarity_scores(scored)["compound"]
    basis: SentimentBasis = "as_written" if scored == title else "folded_apostrophes"
    return Features(compound, label(compound), basis, keywords(title))
