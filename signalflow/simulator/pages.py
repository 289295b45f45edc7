"""Which posts and comments a listing shows, and which subreddits can be read. JSON and feeds show the same pages."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice

from signalflow.simulator.answers import Answer, not_found, refused, search_redirect
from signalflow.simulator.comments import Comment, newest_comments
from signalflow.simulator.listings import ListingPage, page_of, page_query
from signalflow.simulator.posts import Post
from signalflow.simulator.ranking import RANKS, ranked
from signalflow.simulator.subreddits import Subreddit
from signalflow.simulator.world import LISTING_CAP, World

Query = dict[str, str]
SORTS = ("new", *RANKS)
# A ranked listing is computed once in this many seconds, so that its pages fit together.
RANKING_SECONDS = 10.0
# The readable subreddits of a path such as /r/a+b+c.
Group = tuple[str, ...]


class Pages:
    """The pages of a world's listings. `bad_member` is as in Config."""

    def __init__(self, world: World, bad_member: str) -> None:
        self._world = world
        self.bad_member = bad_member
        self._ranking: Callable[[Group, str, str, float], list[Post]] = lru_cache(maxsize=64)(self._rank)

    def posts(self, names: str, sort: str, query: Query, now: float) -> ListingPage[Post] | Answer:
        """A page of /r/<names>/<sort>, or the error that answers it."""
        group = self._group(names)
        if isinstance(group, Answer):
            return group
        wanted = page_query(query)
        if sort == "new":
            return page_of(self._world.newest(group, now), lambda post: f"t3_{post.id}", wanted)
        ranked_at = now // RANKING_SECONDS * RANKING_SECONDS
        ranking = self._ranking(group, sort, query.get("t", "day"), ranked_at)
        return page_of((post for post in ranking if post.visible_at(now)), lambda post: f"t3_{post.id}", wanted)

    def comments(self, names: str, query: Query, now: float) -> ListingPage[Comment] | Answer:
        """A page of /r/<names>/comments, or the error that answers it."""
        group = self._group(names)
        if isinstance(group, Answer):
            return group
        # Comments are listed whatever the age of their posts.
        newest = islice(newest_comments(self._world.newest(group, now, cap=None), now), LISTING_CAP)
        return page_of(newest, lambda comment: comment.name, page_query(query))

    def by_size(self) -> Iterator[Subreddit]:
        """The public subreddits, those with the most subscribers first."""
        public = (sub for sub in self._world.subreddits.values() if sub.access == "public")
        return iter(sorted(public, key=lambda sub: (-sub.subscribers, sub.key)))

    def _rank(self, keys: Group, sort: str, period: str, ranked_at: float) -> list[Post]:
        return ranked(self._world.newest(keys, ranked_at), sort, period, ranked_at)[:LISTING_CAP]

    def _group(self, names: str) -> Group | Answer:
        """The subreddits of a path, or the error that answers it.

        Unknown and banned members are left out, and so are the posts of private members. If no member is left, the
        answer is 404. If one is left, the answer is as if it had been asked for alone.
        """
        asked = list(dict.fromkeys(name.lower() for name in names.split("+") if name))
        if asked in (["all"], ["popular"]):
            return tuple(key for key, sub in self._world.subreddits.items() if sub.access == "public")
        known = [self._world.subreddits[name] for name in asked if name in self._world.subreddits]
        if len(asked) == 1:
            return _single(known[0]) if known else search_redirect(asked[0])
        if self.bad_member == "error":
            bad = next((sub for sub in known if sub.access != "public"), None)
            if bad is not None:
                return _single(bad)
        members = [sub for sub in known if sub.access != "banned"]
        if not members:
            return not_found()
        if len(members) == 1:
            return _single(members[0])
        return tuple(sub.key for sub in members if sub.access == "public")


def refusal(sub: Subreddit) -> Answer | None:
    """What answers whoever asks for this subreddit alone; None if it can be read."""
    return None if sub.access == "public" else refused(404 if sub.access == "banned" else 403, sub.access)


def _single(sub: Subreddit) -> Group | Answer:
    return refusal(sub) or (sub.key,)
