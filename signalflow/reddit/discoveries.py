"""Collects what Reddit shows of subreddits that are not watched, and reports it."""

from collections.abc import Callable, Sequence
from datetime import datetime

from signalflow.domain.discovery import PopularSubreddit, RisingPost
from signalflow.domain.fetch import Fetch, Findings
from signalflow.events import Post
from signalflow.reddit.ports import DiscoverySink
from signalflow.reddit.protocol import SubredditPage

# The pages of an hour. While the database is away, the newest are kept.
MOST_WAITING = 1_000


class Discoveries:
    """What was not reported yet."""

    def __init__(self, sink: DiscoverySink, is_watched: Callable[[str], bool]) -> None:
        self._sink, self._is_watched = sink, is_watched
        self._waiting: dict[tuple[str, str], RisingPost] = {}
        self._popular: tuple[list[PopularSubreddit], datetime] | None = None

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

    def take_popular(self, fetch: Fetch, page: SubredditPage, now: float) -> Findings:
        """Note the list of popular subreddits, without those for adults; returns what the answer meant.

        An empty list is a mistake of Reddit, and the one before goes on to hold.
        """
        named = enumerate(page.subreddits, 1)
        subreddits = [PopularSubreddit(found.name, rank) for rank, found in named if not found.over_18]
        if subreddits:
            self._popular = subreddits, page.observed_at
        findings = Findings(fetch, (), page.after, now)
        fetch.confirm(findings, new=0, is_complete=True, now=now)
        return findings

    async def send(self) -> None:
        """Report what waits. The next call repeats what an error has stopped."""
        if (popular := self._popular) is not None:
            await self._sink.note_popular(*popular)
            if self._popular is popular:
                self._popular = None
        waiting = list(self._waiting.values())
        if not waiting:
            return
        await self._sink.note_rising(waiting)
        self._waiting = {key: post for key, post in self._waiting.items() if post not in waiting}
