"""What each path of Reddit's API answers, as functions of the world, the query and the time. No HTTP here."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from random import Random

from signalflow.simulator.about import subreddit_json
from signalflow.simulator.answers import Answer, bad_request, json_answer, not_found, refused, search_redirect
from signalflow.simulator.comments import (
    PLACE_DIGITS,
    Comment,
    comment_at,
    comment_data,
    comment_json,
    newest_comments,
)
from signalflow.simulator.listings import MAX_LIMIT, ListingPage, PageQuery, listing_json, page_of, page_query
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.ranking import RANKS, ranked
from signalflow.simulator.shapes import PostShapes
from signalflow.simulator.subreddits import Subreddit
from signalflow.simulator.trees import DEFAULT_COMMENTS, MAX_COMMENTS, depth_of, tree_json
from signalflow.simulator.world import LISTING_CAP, World

Query = dict[str, str]
# A ranked listing is computed once in this many seconds, so that its pages fit together.
RANKING_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Group:
    """The readable subreddits of a path such as /r/a+b+c."""

    keys: tuple[str, ...]


class Api:
    """The endpoints. `bad_member` is as in Config."""

    def __init__(self, world: World, shapes: PostShapes, bad_member: str) -> None:
        self._world = world
        self._shapes = shapes
        self.bad_member = bad_member
        self._ranking = lru_cache(maxsize=64)(self._rank)
        sorts = "|".join(("new", *RANKS))
        self._routes: list[tuple[re.Pattern[str], Callable[[re.Match[str], Query, float], Answer]]] = [
            (re.compile(pattern), handler)
            for pattern, handler in (
                (rf"/r/(?P<names>[^/]+)/(?P<sort>{sorts})", self._listing),
                (r"/r/(?P<names>[^/]+)/comments", self._newest_comments),
                (r"/(?:r/[^/]+/)?comments/(?P<id>[^/]+)(?:/.*)?", self._comments),
                (r"/r/(?P<names>[^/]+)/about", self._about),
                (r"/r/(?P<names>[^/]+)", self._listing),
                (rf"/(?P<sort>{sorts})", self._listing),
                (r"/api/info", self._info),
                (r"/api/morechildren", self._more_children),
                (r"/api/trending_subreddits", lambda _m, _q, _n: bad_request()),
                (r"/subreddits/(?:popular|default|new)", self._popular),
                (r"/subreddits/search", self._search),
            )
        ]

    def answer(self, path: str, query: Query, now: float) -> Answer:
        """The answer to GET `path` (without a slash at the end) at `now`, in epoch seconds."""
        for pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                return handler(match, query, now)
        return not_found()

    def _listing(self, match: re.Match[str], query: Query, now: float) -> Answer:
        parts = match.groupdict()
        group = self._group(parts.get("names") or "all")
        if isinstance(group, Answer):
            return group
        sort = parts.get("sort") or "hot"
        page = self._page(group, sort, query, now)
        children = [self._post_json(post, now) for post in page.things]
        return Answer(listing_json(children, len(children), page.after, page.before))

    def _page(self, group: _Group, sort: str, query: Query, now: float) -> ListingPage[Post]:
        wanted = page_query(query)
        if sort == "new":
            return page_of(self._world.newest(group.keys, now), _fullname, wanted)
        ranked_at = now // RANKING_SECONDS * RANKING_SECONDS
        ranking = self._ranking(group.keys, sort, query.get("t", "day"), ranked_at)
        return page_of((post for post in ranking if post.visible_at(now)), _fullname, wanted)

    def _rank(self, keys: tuple[str, ...], sort: str, period: str, ranked_at: float) -> list[Post]:
        return ranked(self._world.newest(keys, ranked_at), sort, period, ranked_at)[:LISTING_CAP]

    def _newest_comments(self, match: re.Match[str], query: Query, now: float) -> Answer:
        group = self._group(match["names"])
        if isinstance(group, Answer):
            return group
        newest = islice(newest_comments(self._world.newest(group.keys, now), now), LISTING_CAP)
        page = page_of(newest, lambda comment: comment.name, page_query(query))
        children = [comment_json(comment, now) for comment in page.things]
        return Answer(listing_json(children, len(children), page.after, page.before))

    def _comments(self, match: re.Match[str], query: Query, now: float) -> Answer:
        post = self._world.post(match["id"], now)
        if post is None:
            return not_found()
        asked = query.get("limit", "")
        limit = min(int(asked), MAX_COMMENTS) if asked.isdecimal() and int(asked) else DEFAULT_COMMENTS
        link = listing_json([self._post_json(post, now)], 1, None, None)
        return Answer(b"[%s,%s]" % (link, tree_json(post, now, limit)))

    def _more_children(self, _match: re.Match[str], query: Query, now: float) -> Answer:
        things = []
        for thing_id in query.get("children", "").split(",")[:MAX_LIMIT]:
            comment = self._comment(thing_id, now)
            if comment is not None:
                data = comment_data(comment, now, depth_of(comment.post, comment.place))
                things.append({"kind": "t1", "data": data})
        return json_answer({"json": {"errors": [], "data": {"things": things}}})

    def _info(self, _match: re.Match[str], query: Query, now: float) -> Answer:
        if "sr_name" in query:
            names = query["sr_name"].split(",")
            subs = [sub for sub in map(self._subreddit, names[:MAX_LIMIT]) if sub is not None]
            return _plain_listing([subreddit_json(sub) for sub in subs])
        names = [name for name in query.get("id", "").split(",") if name]
        if len(names) > MAX_LIMIT:
            return _plain_listing([])
        found = [thing for thing in (self._thing(name, now) for name in dict.fromkeys(names)) if thing is not None]
        # Reddit answers in an order of its own, and clients must not rely on it.
        Random(query.get("id", "")).shuffle(found)
        return _plain_listing(found)

    def _thing(self, name: str, now: float) -> bytes | None:
        kind, _, thing_id = name.partition("_")
        if kind == "t3":
            post = self._world.post(thing_id, now)
            return None if post is None or post.subreddit.access == "banned" else self._post_json(post, now)
        if kind == "t1":
            comment = self._comment(thing_id, now)
            return None if comment is None else comment_json(comment, now)
        if kind == "t5":
            sub = next((sub for sub in self._world.subreddits.values() if sub.id == thing_id), None)
            return None if sub is None or sub.access == "banned" else subreddit_json(sub)
        return None

    def _comment(self, thing_id: str, now: float) -> Comment | None:
        post = self._world.post(thing_id[:-PLACE_DIGITS], now)
        place = thing_id[-PLACE_DIGITS:]
        if post is None or not (place.isascii() and place.isalnum() and place == place.lower()):
            return None
        return comment_at(post, int(place, 36), now)

    def _about(self, match: re.Match[str], _query: Query, _now: float) -> Answer:
        sub = self._world.subreddits.get(match["names"].lower())
        if sub is None:
            return search_redirect(match["names"])
        group = _single(sub)
        return group if isinstance(group, Answer) else Answer(subreddit_json(sub))

    def _popular(self, _match: re.Match[str], query: Query, _now: float) -> Answer:
        return _subreddit_listing(self._by_size(), page_query(query))

    def _search(self, _match: re.Match[str], query: Query, _now: float) -> Answer:
        words = query.get("q", "").lower()
        if not words:
            return Answer(b"{}")
        return _subreddit_listing((sub for sub in self._by_size() if words in sub.key), page_query(query))

    def _by_size(self) -> Iterator[Subreddit]:
        public = (sub for sub in self._world.subreddits.values() if sub.access == "public")
        return iter(sorted(public, key=lambda sub: (-sub.subscribers, sub.key)))

    def _post_json(self, post: Post, now: float) -> bytes:
        return self._shapes.json(post, state_of(post, now, self._world.parameters.fuzz))

    def _subreddit(self, name: str) -> Subreddit | None:
        sub = self._world.subreddits.get(name.lower())
        return None if sub is None or sub.access == "banned" else sub

    def _group(self, names: str) -> _Group | Answer:
        """The subreddits of a path, or the error that answers it.

        Unknown and banned members are left out, and so are the posts of private members. If no member is left, the
        answer is 404. If one is left, the answer is as if it had been asked for alone.
        """
        asked = list(dict.fromkeys(name.lower() for name in names.split("+") if name))
        if asked in (["all"], ["popular"]):
            return _Group(tuple(key for key, sub in self._world.subreddits.items() if sub.access == "public"))
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
        return _Group(tuple(sub.key for sub in members if sub.access == "public"))


def _single(sub: Subreddit) -> _Group | Answer:
    if sub.access == "public":
        return _Group((sub.key,))
    return refused(404 if sub.access == "banned" else 403, sub.access)


def _fullname(post: Post) -> str:
    return f"t3_{post.id}"


def _plain_listing(children: list[bytes]) -> Answer:
    return Answer(listing_json(children, len(children), None, None))


def _subreddit_listing(subs: Iterable[Subreddit], query: PageQuery) -> Answer:
    page = page_of(subs, lambda sub: f"t5_{sub.id}", query)
    children = [subreddit_json(sub) for sub in page.things]
    return Answer(listing_json(children, len(children), page.after, page.before))
