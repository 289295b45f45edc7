"""Listings that show nothing: whether that can be, and which subreddit is the reason. Pure.

Reddit may answer 200 without any post by mistake, or whenever a listing names one certain subreddit. The same answer is
right when moderators have removed every post. The posts that are known tell that an empty answer is doubtful. Whether
a subreddit that shows nothing alone harms others is found out in its group: it is put back *on trial*. It is the reason
if the group shows nothing then. Otherwise it is believed to be empty, until a listing shows a post of it.
"""

from collections.abc import Collection, Iterable
from typing import Literal

from signalflow.domain.known import KnownPost

# Fewer posts may well be removed between two polls.
EXPECTED = 3
# An empty listing of one subreddit is believed when it is repeated so often while Reddit shows posts of others.
BELIEVED_AFTER = 3

Verdict = Literal["on_trial", "empty", "guilty"]


class EmptyListings:
    """What is known of subreddits that showed nothing when they were asked alone. Names are lower case."""

    def __init__(self) -> None:
        self._verdicts: dict[str, Verdict] = {}
        self._tries_before_trial = 0
        self.on_trial: str | None = None

    def is_doubtful(self, names: Collection[str], posts: Iterable[KnownPost]) -> bool:
        """Whether an empty listing of `names` counts as no answer: at least three of the known posts should be on it.

        The same holds for a single subreddit whose name was the reason that its group showed nothing.
        """
        expected = {name for name in names if self._verdicts.get(name, "guilty") == "guilty"}
        if len(names) == 1 and self.is_guilty(*names):
            return True
        known = (post for post in posts if post.subreddit in expected and post.not_shown_since is None)
        return sum(1 for _ in zip(range(EXPECTED), known, strict=False)) == EXPECTED

    def is_guilty(self, name: str) -> bool:
        """Whether the last listing of its group showed nothing because of this name."""
        return self._verdicts.get(name) == "guilty"

    def shown(self, names: Collection[str], shown: Iterable[str]) -> None:
        """A listing of `names` shows posts of the subreddits in `shown`."""
        if len(names) > 1 and self.on_trial in names:
            self.acquit()
        for name in shown:
            self._end(name)

    def put_on_trial(self, name: str, tries: int) -> bool:
        """Its group is to show whether the name does harm. False: another one is on trial, and would blur the result.

        `tries` is how often in a row it was set aside.
        """
        if self.on_trial not in (None, name):
            return False
        self.on_trial, self._tries_before_trial = name, tries
        self._verdicts[name] = "on_trial"
        return True

    def acquit(self) -> None:
        """The name on trial does no harm: its subreddit is empty."""
        if self.on_trial is not None:
            self.believe(self.on_trial)

    def convict(self) -> int:
        """The name on trial is the reason that its group showed nothing. Returns how often it was set aside before."""
        if self.on_trial is not None:
            self._verdicts[self.on_trial] = "guilty"
            self.on_trial = None
        return self._tries_before_trial

    def believe(self, name: str) -> None:
        """The subreddit is empty."""
        self._end(name)
        self._verdicts[name] = "empty"

    def keep(self, names: Collection[str]) -> None:
        """Forget all other names."""
        for name in self._verdicts.keys() - names:
            self._end(name)

    def _end(self, name: str) -> None:
        self._verdicts.pop(name, None)
        if name == self.on_trial:
            self.on_trial = None
