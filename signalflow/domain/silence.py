"""Subreddits of which combined listings show nothing. Pure.

Reddit leaves a subreddit that is misspelt, private or banned out of a combined listing without a word, so it looks like
a quiet one. Only an answer to its name alone tells which it is. A subreddit of which a page shows nothing is asked
alone: as soon as possible when it never had an answer of its own, or when posts that the page should show are missing;
otherwise now and then, and later after each refusal. It stays in its group, which shows at once that it is back.
"""

import math
from collections.abc import Callable, Iterable

from signalflow.domain.backoff import Backoff

# Seconds between two requests of one silent subreddit, and between two such requests at all. So 30 silent subreddits
# are asked within five minutes, with a tenth of the usual budget.
ASK_AGAIN = 300.0
SPACING = 10.0
# Waits until a subreddit that was refused, or that is the reason why it has no answer, is asked again.
REFUSALS = Backoff(first=ASK_AGAIN, most=3600.0)
# A request that had no answer is repeated after this many seconds.
REPEAT = 30.0


class Silences:
    """The silent subreddits, and when each of them was last asked alone. Names are lower case."""

    def __init__(self) -> None:
        self._asked_at: dict[str, float] = {}
        self._failed_at: dict[str, float] = {}
        self._refusals: dict[str, int] = {}
        self._silent: set[str] = set()
        self._vanished: set[str] = set()
        self._not_before = -math.inf

    def read_page(self, names: Iterable[str], shown: set[str], missing: set[str], now: float) -> None:
        """A combined listing of `names` shows posts of those in `shown`, and should show some of those in `missing`."""
        for name in names:
            if name in shown:
                self._silent.discard(name)
                self._vanished.discard(name)
                self._refusals.pop(name, None)
                # Its posts are the answer. When it falls silent, it is asked a while later, like the others.
                self._asked_at[name] = max(now, self._asked_at.get(name, now))
            elif name not in self._silent:
                self._silent.add(name)
                self._vanished |= {name} & missing

    def take(self, is_wanted: Callable[[str], bool], now: float) -> str | None:
        """The subreddit to ask alone now; None when there is none."""
        if now < self._not_before:
            return None
        for unwanted in [name for name in self._silent if not is_wanted(name)]:
            self._forget(unwanted)
        # The order of a set differs from process to process, and equal worlds should be polled alike.
        name = min(self._silent, key=lambda each: (self._due(each), each), default=None)
        if name is None or self._due(name) > now:
            return None
        self._vanished.discard(name)
        self._asked_at[name] = now
        self._not_before = now + SPACING
        return name

    def next_due(self) -> float:
        """When the next subreddit is to be asked alone; inf without one."""
        return max(min(map(self._due, self._silent), default=math.inf), self._not_before)

    @property
    def refused_names(self) -> frozenset[str]:
        """The silent subreddits that Reddit refuses, or does not answer for."""
        return frozenset(self._refusals)

    def answered(self, name: str) -> None:
        """It can be read."""
        self._failed_at.pop(name, None)
        self._refusals.pop(name, None)

    def refused(self, name: str, now: float) -> int:
        """Reddit refuses it, or does not answer requests that name it. Returns how often in a row."""
        self._asked_at[name] = now
        self._refusals[name] = self._refusals.get(name, 0) + 1
        return self._refusals[name]

    def failed(self, name: str, now: float) -> float:
        """There was no answer: ask again soon. Returns when the request before failed; inf if it was answered."""
        self._asked_at[name] = now + REPEAT - ASK_AGAIN
        before = self._failed_at.get(name, math.inf)
        self._failed_at[name] = now
        return before

    def _due(self, name: str) -> float:
        """Subreddits that never had an answer come first, then those whose posts are missing."""
        asked_at = self._asked_at.get(name, -math.inf)
        if name in self._refusals:
            return asked_at + REFUSALS.after(self._refusals[name])
        return asked_at + (SPACING if name in self._vanished else ASK_AGAIN)

    def _forget(self, name: str) -> None:
        self._silent.discard(name)
        self._vanished.discard(name)
        self._asked_at.pop(name, None)
        self._failed_at.pop(name, None)
        self._refusals.pop(name, None)
