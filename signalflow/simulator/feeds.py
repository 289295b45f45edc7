"""Reddit's Atom feeds, which need no credentials: what they answer, and how often they may be asked. No HTTP here."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import urlencode

from signalflow.simulator.answers import ATOM, Answer, not_found
from signalflow.simulator.atom import comment_entry, feed_xml, post_entry
from signalflow.simulator.comments import MAX_PLACE, Comment, comment_at, comment_data
from signalflow.simulator.config import Config
from signalflow.simulator.limiter import Limiter, LimitState
from signalflow.simulator.listings import page_query
from signalflow.simulator.pages import SORTS, Pages, Query
from signalflow.simulator.posts import Post, state_of
from signalflow.simulator.shapes import CACHED_POSTS, Form, PostShapes, form_of
from signalflow.simulator.world import World

SUFFIX = ".rss"


def feed_path(path: str) -> str | None:
    """The path of a feed's listing, /r/a/new for /r/a/new.rss and for /r/a/new/.rss; None if it is no feed's path."""
    return (path.removesuffix(SUFFIX).rstrip("/") or "/") if path.endswith(SUFFIX) else None


class Feeds:
    """The feeds. With `next_links` they name their next page, as only some of Reddit's do."""

    def __init__(self, world: World, shapes: PostShapes, pages: Pages, next_links: bool) -> None:
        self._world = world
        self._shapes = shapes
        self._pages = pages
        self._next_links = next_links
        # A feed tells nothing that changes with the score.
        self._entry: Callable[[Post, Form, bool], str] = lru_cache(maxsize=CACHED_POSTS)(self._make_entry)
        sorts = "|".join(SORTS)
        self._routes: list[tuple[re.Pattern[str], Callable[[re.Match[str], str, Query, float], Answer]]] = [
            (re.compile(pattern), handler)
            for pattern, handler in (
                (rf"/r/(?P<names>[^/]+)/(?P<sort>{sorts})", self._listing),
                (r"/r/(?P<names>[^/]+)/comments", self._newest_comments),
                (r"/(?:r/[^/]+/)?comments/(?P<id>[^/]+)(?:/.*)?", self._post),
                (r"/r/(?P<names>[^/]+)", self._listing),
                (rf"/(?P<sort>{sorts})?", self._listing),
            )
        ]

    def answer(self, path: str, query: Query, now: float) -> Answer:
        """The feed of a listing's path, as from `feed_path`, at `now`, in epoch seconds."""
        for pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is not None:
                return handler(match, path, query, now)
        return not_found()

    def _listing(self, match: re.Match[str], path: str, query: Query, now: float) -> Answer:
        parts = match.groupdict()
        names = parts.get("names") or "all"
        page = self._pages.posts(names, parts.get("sort") or "hot", query, now)
        if isinstance(page, Answer):
            return page
        is_combined = _is_combined(names)
        entries = [self._entry(post, self._form(post, now), is_combined) for post in page.things]
        return self._feed(names, path, query, entries, page.after, now)

    def _newest_comments(self, match: re.Match[str], path: str, query: Query, now: float) -> Answer:
        page = self._pages.comments(match["names"], query, now)
        if isinstance(page, Answer):
            return page
        entries = [self._comment_entry(comment, self._title(comment.post, now), now) for comment in page.things]
        return self._feed(match["names"], path, query, entries, page.after, now)

    def _post(self, match: re.Match[str], path: str, query: Query, now: float) -> Answer:
        """A post, then its comments: the oldest ones, or with sort=new the newest."""
        post = self._world.post(match["id"], now)
        if post is None or post.subreddit.access != "public":
            return not_found()
        title = self._title(post, now)
        places = range(1, min(post.comments_at(now), MAX_PLACE) + 1)
        wanted = (places[::-1] if query.get("sort") == "new" else places)[: page_query(query).limit]
        comments = (comment_at(post, place, now) for place in wanted)
        entries = [self._entry(post, self._form(post, now), False)]
        entries += [self._comment_entry(comment, title, now) for comment in comments if comment]
        return self._feed(post.subreddit.name, path, query, entries, None, now)

    def _feed(self, names: str, path: str, query: Query, entries: list[str], after: str | None, now: float) -> Answer:
        base = f"{path.rstrip('/')}/{SUFFIX}"
        following = _address(base, query | {"after": after}) if after and self._next_links else None
        subreddit = None if _is_combined(names) else names
        title = f"posts from {names.replace('+', ', ')}"
        return Answer(feed_xml(title, _address(base, query), entries, now, subreddit, following), content_type=ATOM)

    def _comment_entry(self, comment: Comment, title: str, now: float) -> str:
        return comment_entry(comment_data(comment, self._shapes.permalink(comment.post), now), title)

    def _form(self, post: Post, now: float) -> Form:
        return form_of(state_of(post, now, self._world.parameters.fuzz))

    def _title(self, post: Post, now: float) -> str:
        title: str = self._shapes.data(post, self._form(post, now))["title"]
        return title

    def _make_entry(self, post: Post, form: Form, is_combined: bool) -> str:
        return post_entry(self._shapes.data(post, form), is_combined=is_combined)


class FeedLimits:
    """How often feeds may be asked: by address, or by user for those who show the secret of a personal feed."""

    def __init__(self, config: Config) -> None:
        self._secrets = config.personal_feeds
        self.by_address = Limiter(config.feed_limit, config.feed_window)
        self.personal = Limiter(config.personal_feed_limit, config.feed_window)

    def take(self, address: str, query: Mapping[str, str], now: float) -> LimitState:
        """Count a request. A wrong secret counts as none."""
        user, secret = query.get("user", ""), query.get("feed")
        if secret is not None and self._secrets.get(user) == secret:
            return self.personal.take(user, now)
        return self.by_address.take(address, now)


def _is_combined(names: str) -> bool:
    return "+" in names or names in ("all", "popular")


def _address(path: str, query: Query) -> str:
    return f"{path}?{urlencode(query)}" if query else path
