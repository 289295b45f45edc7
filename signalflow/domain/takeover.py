"""What a poller takes over from the one before it: how far each subreddit is known to be complete. Pure; times in epoch seconds."""

import heapq
from collections import defaultdict
from collections.abc import Iterable

from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import ANCHOR_SIZE, UNSETTLED, Anchor
from signalflow.domain.watchlist import Subreddit


class Inheritance:
    """The posts that the database knows, and when each subreddit was last listed with everything confirmed.

    Posts alone prove nothing for a subreddit that shares its listings: the newest may all be of another one, polled later.
    """

    def __init__(self, subreddits: Iterable[Subreddit], remembered: Iterable[StoredPost]) -> None:
        self._posts: dict[str, list[StoredPost]] = defaultdict(list)
        for post in remembered:
            self._posts[post.subreddit.lower()].append(post)
        # Never reported, but there are posts: the poller before died young, and its listing had at least these.
        self._complete_until = {name: max(post.created for post in posts) for name, posts in self._posts.items()}
        self._complete_until |= {
            subreddit.name.lower(): subreddit.polled_at for subreddit in subreddits if subreddit.polled_at is not None
        }

    def left_behind(self, names: Iterable[str]) -> list[str]:
        """Those of a group whose last look is much older than the group's latest: proving them all together would read the others' posts again."""
        until = {name: self._complete_until[name] for name in names if name in self._complete_until}
        latest = max(until.values(), default=0.0)
        return [name for name, at in until.items() if at < latest - UNSETTLED]

    def anchors(self, names: Iterable[str]) -> tuple[Anchor, ...]:
        """What the first page of these together must reach: none of them is older than it was at its own last look. Empty for a first look."""
        known = [name for name in names if name in self._complete_until]
        if not known:
            return ()
        since = min(self._complete_until[name] for name in known) - UNSETTLED
        settled = (post for name in known for post in self._posts.get(name, ()) if post.created <= since)
        newest = heapq.nlargest(ANCHOR_SIZE, settled, key=lambda post: post.created)
        return (Anchor(frozenset(post.id for post in newest), since),)
