"""What a title says: a pure function of its text, computed once a text in practice."""

from dataclasses import dataclass
from functools import lru_cache

from signalflow.domain.keywords import keywords
from signalflow.domain.sentiment import Label, label, polarity_scores

# Posts are looked at again for two days, in which 115 subreddits bring about 50,000 titles. About 1 kB each, so 64 MB at most.
MOST_CACHED_TITLES = 65_536


@dataclass(frozen=True, slots=True)
class Features:
    """Compound sentiment in -1..1 as VADER rounds it (4 digits), its label, keywords best first, and the topic cluster when one is known.

    The list is shared by all who ask for the same title: read it, do not change it.
    """

    sentiment_score: float
    sentiment_label: Label
    keywords: list[str]
    topic_cluster: str | None = None


@lru_cache(maxsize=MOST_CACHED_TITLES)
def text_features(title: str) -> Features:
    """The features of a title. The same title gives the same features in every process."""
    compound = polarity_scores(title)["compound"]
    return Features(compound, label(compound), keywords(title))
