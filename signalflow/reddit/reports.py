"""Reports of the poller to the configuration: when each subreddit was last polled, and whether Reddit shows it."""

from collections.abc import Sequence
from datetime import datetime

from signalflow.events import Post
from signalflow.reddit.ports import ConfigSource


class Reports:
    """Collects what the configuration has not been told yet, and sends it. Names are lower case."""

    def __init__(self, config: ConfigSource) -> None:
        self._config = config
        self._polled: dict[str, datetime] = {}
        self._comments_polled: dict[str, datetime] = {}
        self._states: dict[str, str] = {}
        self._readable: set[str] = set()

    def answered(
        self, names: Sequence[str], posts: Sequence[Post], observed_at: datetime, *, is_complete: bool
    ) -> None:
        """A listing of `names` was answered with `posts`. `is_complete`: a successor may begin from this answer."""
        shown = {post.subreddit.lower() for post in posts}
        for name in names:
            if is_complete:
                self._polled[name] = observed_at
            # A combined listing silently leaves out subreddits that Reddit refuses. Only a post of a subreddit, or an
            # answer to its name alone, shows that it is readable.
            if name not in self._readable and (len(names) == 1 or name.lower() in shown):
                self._readable.add(name)
                self._states[name] = "ok"

    def answered_comments(self, names: Sequence[str], observed_at: datetime) -> None:
        """A listing of the comments of `names` was answered, and a successor may begin from this answer."""
        self._comments_polled |= dict.fromkeys(names, observed_at)

    def refused(self, names: Sequence[str], reason: str) -> None:
        """Reddit refused a listing of `names`. With several names, nobody knows which one is the reason."""
        if len(names) == 1:
            self._readable.discard(names[0])
            self._states[names[0]] = reason

    async def send(self, *, with_polls: bool, with_comment_polls: bool) -> None:
        """Report what is new; times of polls only with leave. The next call repeats what an error has stopped."""
        polled = dict(self._polled) if with_polls else {}
        comments_polled = dict(self._comments_polled) if with_comment_polls else {}
        states = dict(self._states)
        await self._config.report(polled, states, comments_polled)
        # Keep what changed while the report was under way.
        self._polled = {name: at for name, at in self._polled.items() if polled.get(name) != at}
        self._comments_polled = {
            name: at for name, at in self._comments_polled.items() if comments_polled.get(name) != at
        }
        self._states = {name: state for name, state in self._states.items() if states.get(name) != state}
