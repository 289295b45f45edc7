"""What each path of Reddit's API answers, as functions of the world, the query and the time. No HTTP here."""

import re
from collections.abc import Callable, Iterable
from random import Random

from signalflow.simulator.about import subreddit_json
from signalflow.simulator.answers import Answer, bad_request, json_answer, not_found, search_redirect
from signalflow.simulator.comments import Comment, comment_at, comment_data, comment_json, post_and_place
from signalflow.simulator.listings import MAX_LIMIT, PageQuery, listing_json, page_of, page_query
from signalflow.simulator.pages import SORTS, Pages, Query, refusal
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.shapes import PostShapes
from signalflow.simulator.subreddits import Subreddit
from signalflow.simulator.trees import DEFAULT_COMMENTS, MAX_COMMENTS, depth_of, tree_json
from signalflow.simulator.world import World


class Api:
    """The endpoints."""

    def __init__(self, world: World, shapes: PostShapes, pages: Pages) -> None:
        self._world = world
        self._shapes = shapes
        self._pages = pages
        sorts = "|".join(SORTS)
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
        page = self._pages.posts(parts.get("names") or "all", parts.get("sort") or "hot", query, now)
        if isinstance(page, Answer):
            return page
        children = [self._post_json(post, now) for post in page.things]
        return Answer(listing_json(children, len(children), page.after, page.before))

    def _newest_comments(self, match: re.Match[str], query: Query, now: float) -> Answer:
        page = self._pages.comments(match["names"], query, now)
        if isinstance(page, Answer):
            return page
        children = [self._comment_json(comment, now) for comment in page.things]
        return Answer(listing_json(children, len(children), page.after, page.before))

    def _comments(self, match: re.Match[str], query: Query, now: float) -> Answer:
        post = self._world.post(match["id"], now)
        if post is None:
            return not_found()
        asked = query.get("limit", "")
        limit = min(int(asked), MAX_COMMENTS) if asked.isdecimal() and int(asked) else DEFAULT_COMMENTS
        link = listing_json([self._post_json(post, now)], 1, None, None)
        return Answer(b"[%s,%s]" % (link, tree_json(post, self._shapes.permalink(post), now, limit)))

    def _more_children(self, _match: re.Match[str], query: Query, now: float) -> Answer:
        things = []
        for thing_id in query.get("children", "").split(",")[:MAX_LIMIT]:
            comment = self._comment(thing_id, now)
            if comment is not None:
                path, depth = self._shapes.permalink(comment.post), depth_of(comment.post, comment.place)
                data = comment_data(comment, path, now, depth)
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
            return None if comment is None else self._comment_json(comment, now)
        if kind == "t5":
            sub = next((sub for sub in self._world.subreddits.values() if sub.id == thing_id), None)
            return None if sub is None or sub.access == "banned" else subreddit_json(sub)
        return None

    def _comment(self, thing_id: str, now: float) -> Comment | None:
        if (found := post_and_place(thing_id)) is None or (post := self._world.post(found[0], now)) is None:
            return None
        return comment_at(post, found[1], now)

    def _about(self, match: re.Match[str], _query: Query, _now: float) -> Answer:
        sub = self._world.subreddits.get(match["names"].lower())
        if sub is None:
            return search_redirect(match["names"])
        return refusal(sub) or Answer(subreddit_json(sub))

    def _popular(self, _match: re.Match[str], query: Query, _now: float) -> Answer:
        return _subreddit_listing(self._pages.by_size(), page_query(query))

    def _search(self, _match: re.Match[str], query: Query, _now: float) -> Answer:
        words = query.get("q", "").lower()
        if not words:
            return Answer(b"{}")
        return _subreddit_listing((sub for sub in self._pages.by_size() if words in sub.key), page_query(query))

    def _post_json(self, post: Post, now: float) -> bytes:
        return self._shapes.json(post, state_of(post, now, self._world.parameters.fuzz))

    def _comment_json(self, comment: Comment, now: float) -> bytes:
        return comment_json(comment, self._shapes.permalink(comment.post), now)

    def _subreddit(self, name: str) -> Subreddit | None:
        sub = self._world.subreddits.get(name.lower())
        return None if sub is None or sub.access == "banned" else sub


def _plain_listing(children: list[bytes]) -> Answer:
    return Answer(listing_json(children, len(children), None, None))


def _subreddit_listing(subs: Iterable[Subreddit], query: PageQuery) -> Answer:
    page = page_of(subs, lambda sub: f"t5_{sub.id}", query)
    children = [subreddit_json(sub) for sub in page.things]
    return Answer(listing_json(children, len(children), page.after, page.before))
