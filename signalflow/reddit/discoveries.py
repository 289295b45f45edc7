"""Collects what r/popular shows of subreddits that are not watched, and reports it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from signalflow.domain.discovery import RisingPost
from signalflow.domain.fetch import Fetch, Findings
from signalflow.events import Post
from signalflow.reddit.ports import DiscoverySink

# The pages of an hour. While the database is away, the newest are kept.
MOST_WAITING = 1_000


class Discoveries:
    """What was not reported yet."""

    def __init__(self, sink: DiscoverySink, is_watched: Callable[[str], bool]) -> None:
        self._sink, self._is_watched = sink, is_watched
        self._waiting: dict[tuple[str, str], RisingPost] = {}

    def take(self, fetch: Fetch, findings: Findings, posts: Sequence[Post], observed_at: datetime) -> None:
        """Note the posts of an answer that shows other subreddits than the watched ones."""
        if not fetch.shows_others:
            return
        for index, post in enumerate(posts):
            place = findings.place(index)
            if place is not None and not self._is_watched(post.subreddit.lower()):
                key = post.id, fetch.post_sort
                self._waiting.pop(key, None)
                self._waiting[key] = RisingPost(post.id, post.subreddit, fetch.post_sort, place.rank, observed_at)
        for key in list(self._waiting)[:-MOST_WAITING]:
            del self._waiting[key]

    async def send(self) -> None:
        """Report what waits. The next call repeats what an error has stopped."""
        waiting = list(self._waiting.values())
        if not waiting:
            return
        await self._sink.note_rising(waiting)
        self._waiting = {key: post for key, post in self._waiting.items() if post not in waiting}
