"""What a post must meet to be listed or counted, as conditions of a statement."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from signalflow.domain.queries.asked import asked
from signalflow.storage.query_sql import post_condition
from signalflow.storage.read_router import ReadRouter
from signalflow.storage.search import MOST_SEARCHED_POSTS, SearchMode, search_mode, web_search


@dataclass(frozen=True, slots=True)
class Filters:
    """Posts that meet every given filter. Names are case-insensitive.

    `words` is a search for words of title or body, or a query of signalflow/domain/queries/asked.py, which raises
    QueryError; `search` says how the words are looked up.
    """

    subreddits: tuple[str, ...] = ()
    author: str | None = None
    words: str | None = None
    search: SearchMode = "english"
    keyword: str | None = None
    min_score: int | None = None
    trending: bool | None = None
    over_18: bool | None = None
    shown: bool | None = None
    min_sentiment: float | None = None
    max_sentiment: float | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None

    @property
    def mode(self) -> SearchMode | None:
        """How words are looked up; None without words."""
        return None if self.words is None or asked(self.words).words is None else self.search


async def looked_up(reads: ReadRouter, filters: Filters) -> Filters:
    """The filters with the way in which their words are looked up."""
    words = filters.words and asked(filters.words).words
    return replace(filters, search=await search_mode(reads, words)) if words else filters


def conditions(filters: Filters, bound: Callable[[object], str], *, until: str) -> tuple[list[str], list[str]]:
    """The conditions on the post `p`, and the conditions on its text features `n`, which may be missing.

    `bound` binds a value and returns its place. `until` is the place of a moment after which no post was created.
    """
    post: list[str] = []
    features: list[str] = []
    if len(filters.subreddits) == 1:
        # For a single value: with `=` the index also gives the order, with ANY it does not.
        post.append(f"lower(p.subreddit) = {bound(filters.subreddits[0].lower())}")
    elif filters.subreddits:
        post.append(f"lower(p.subreddit) = ANY ({bound([name.lower() for name in filters.subreddits])}::text[])")
    if filters.author is not None:
        post.append(f"lower(p.author) = {bound(filters.author.lower())}")
    if filters.min_score is not None:
        post.append(f"p.current_score >= {bound(filters.min_score)}")
    if filters.trending is not None:
        post.append("p.is_trending" if filters.trending else "NOT p.is_trending")
    if filters.over_18 is not None:
        post.append("p.over_18" if filters.over_18 else "NOT p.over_18")
    if filters.shown is not None:
        post.append(f"p.not_shown_since IS {'' if filters.shown else 'NOT '}NULL")
    if filters.created_from is not None:
        post.append(f"p.created_utc >= {bound(filters.created_from)}")
    if filters.created_to is not None:
        post.append(f"p.created_utc < {bound(filters.created_to)}")
    if filters.min_sentiment is not None:
        features.append(f"n.sentiment_score >= {bound(filters.min_sentiment)}")
    if filters.max_sentiment is not None:
        features.append(f"n.sentiment_score <= {bound(filters.max_sentiment)}")
    if filters.keyword is not None:
        features.append(f"n.keywords @> jsonb_build_array({bound(filters.keyword.lower())}::text)")
    if filters.words is not None:
        query = asked(filters.words)
        if query.words is not None:
            post.append(_search(filters.search, query.words, bound, until))
        if query.rest is not None:
            features.append(post_condition(query.rest, bound))
    return post, features


def _search(mode: SearchMode, words: str, bound: Callable[[object], str], until: str) -> str:
    if mode == "substring":
        return f"""p.id IN (
    SELECT id FROM (
        SELECT id, title, body FROM posts WHERE created_utc <= {until}
        ORDER BY created_utc DESC, id DESC LIMIT {MOST_SEARCHED_POSTS}
    ) AS newest WHERE strpos(lower(concat_ws(chr(10), title, body)), lower({bound(words.strip())})) > 0
)"""  # noqa: S608, a number and the numbers of parameters
    return f"""p.id IN (
    SELECT post_id FROM post_words WHERE words @@ websearch_to_tsquery('pg_catalog.{mode}', {bound(web_search(words))})
)"""  # noqa: S608, a constant and the number of a parameter
