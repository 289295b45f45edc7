"""Titles of planted stories."""

from random import Random

from signalflow.simulator.subreddits import Subreddit
from signalflow.simulator.text import MAX_TITLE, expand
from signalflow.simulator.vocabulary import COMMON, STORY_TITLES, THEMES, terms_of


class Headlines:
    """Titles of one story. All tell who did what, each in other words."""

    def __init__(self, lead: Subreddit, rng: Random) -> None:
        theme = THEMES[lead.theme]
        words = COMMON | {"term": terms_of(lead.name)}
        self._rng = rng
        self._patterns = rng.sample(STORY_TITLES, len(STORY_TITLES))
        self._words = words | {
            "actor": (expand(rng.choice(theme.actors), words, rng),),
            "event": (_lower_first(expand(rng.choice(theme.events), words, rng)),),
        }

    def next(self) -> str:
        """The next title of the story. Wordings are used again when all have been used."""
        pattern = self._patterns.pop()
        self._patterns.insert(0, pattern)
        return expand(pattern, self._words, self._rng)[:MAX_TITLE]


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
