"""Titles of planted stories."""

from random import Random

from signalflow.simulator.text import compose


class Headlines:
    """Titles of one story: the same subject in other words each time."""

    def __init__(self, theme: str, rng: Random) -> None:
        self._theme = theme
        self._rng = rng

    def next(self) -> str:
        """Another title of the story."""
        return compose(self._theme, self._rng)
