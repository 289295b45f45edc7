"""What a poller takes over from the one before it: how far each subreddit is known to be complete. Pure.

Times are in epoch seconds.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable

from signalflow.domain.known import StoredPost
from signalflow.domain.overlap import ANCHOR_SIZE, UNSETTLED, Anchor
from signalflow.domain.subreddits import Subreddit


class Takeover:
    """The posts that the database knows, and when each subreddit was last polled with every new post confirmed.

    The newest posts alone do not show how far a group of subreddits is complete: they may all be of one subreddit that
    was polled later than the others.
    """

    def __init__(self, subreddits: Iterable[Subreddit], known_posts: Iterable[StoredPost]) -> None:
        self._posts: dict[str, list[StoredPost]] = defaultdict(list)
        for post in known_posts:
            self._posts[post.subreddit.lower()].append(post)
        # A subreddit has posts, but was never reported: the earlier poller stopped before its first report. It had
        # published at least these posts.
        self._complete_until = {name: max(post.created for post in posts) for name, posts in self._posts.items()}
        self._complete_until |= {
            subreddit.name.lower(): subreddit.polled_at for subreddit in subreddits if subreddit.polled_at is not None
        }

    def lagging(self, names: Iterable[str]) -> list[str]:
        """The names of a group that were last polled much earlier than its newest one.

        With them in the group, its first page would have to reach further back, past known posts of the others.
        """
        until = {name: self._complete_until[name] for name in names if name in self._complete_until}
        latest = max(until.values(), default=0.0)
        return [name for name, at in until.items() if at < latest - UNSETTLED]

    def anchors(self, names: Iterable[str]) -> tuple[Anchor, ...]:
        """What the first page of these subreddits together must reach: the earliest of their last polls.

        Empty when none of them was polled before.
        """
        known = [name for name in names if name in self._complete_until]
        if not known:
            return ()
        since = min(self._complete_until[name] for name in known) - UNSETTLED
        settled = (post for name in known for post in self._posts.get(name, ()) if post.created <= since)
        newest = heapq.nlargest(ANCHOR_SIZE, settled, key=lambda post: post.created)
        return (Anchor(frozenset(post.id for post in newest), since),)
