"""Comments of a post, flat or as trees, and comments of authors and subreddits, page by page.

The next page begins after the key of the last comment, so a walk by time repeats and misses nothing. In the order
`best` a score that changes meanwhile moves its comment, which may then come twice or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from signalflow.domain.comment_planner import StoredComment
from signalflow.domain.queries.asked import Asked, asked
from signalflow.storage.pool import Pool, connection
from signalflow.storage.query_sql import comment_condition
from signalflow.storage.read_router import POSITION, ReadRouter, Row
from signalflow.storage.search import MOST_SEARCHED_POSTS, SearchMode, search_mode, web_search

CommentOrder = Literal["best", "new", "old"]
# Replies below the comments of one page; the deepest are left out. JSON that is nested deeper than 254 cannot be
# written, and a comment takes two levels.
MOST_REPLIES = 1_000
MOST_LEVELS = 100

COLUMNS = (
    *("id", "post_id", "parent_id", "depth", "subreddit", "author", "body", "permalink", "created_utc"),
    *("first_seen_at", "observed_at", "removed_by", "score", "score_observed_at", "controversiality"),
    *("is_submitter", "distinguished", "stickied", "edited_at"),
    *("sentiment_score", "sentiment_label", "sentiment_basis"),
)
_NUM_REPLIES = "(SELECT count(*) FROM comments AS r WHERE r.parent_id = 't1_' || c.id AND r.post_id = c.post_id)"
_COLUMNS = ", ".join([*(f"c.{name}" for name in COLUMNS), f"{_NUM_REPLIES} AS num_replies"])


@dataclass(frozen=True, slots=True)
class _Order:
    key: str
    kind: str
    direction: Literal["ASC", "DESC"]

    @property
    def sql(self) -> str:
        """The clause that sorts comments `c`."""
        return f"{self.key} {self.direction}, c.id {self.direction}"


_ORDERS: dict[CommentOrder, _Order] = {
    # An unknown score comes last.
    "best": _Order("COALESCE(c.score, -2147483648)", "integer", "DESC"),
    "new": _Order("c.created_utc", "timestamptz", "DESC"),
    "old": _Order("c.created_utc", "timestamptz", "ASC"),
}
# A comment whose parent is not stored, or not told, stands at the top.
_IS_TOP = """(c.parent_id IS NULL OR c.parent_id LIKE 't3\\_%' OR NOT EXISTS (
    SELECT FROM comments AS p WHERE p.id = substr(c.parent_id, 4) AND p.post_id = c.post_id
))"""
_NEWEST_OF_EACH = """
SELECT newest.id, given.name, newest.created_utc
FROM unnest($1::text[], $2::timestamptz[]) AS given (name, until), LATERAL (
    (SELECT c.id, c.created_utc FROM comments AS c
     WHERE lower(c.subreddit) = given.name ORDER BY c.created_utc DESC, c.id DESC LIMIT $3)
    UNION
    (SELECT c.id, c.created_utc FROM comments AS c
     WHERE lower(c.subreddit) = given.name AND c.created_utc <= given.until
     ORDER BY c.created_utc DESC, c.id DESC LIMIT $3)
) AS newest
"""
_REPLIES = """
WITH RECURSIVE below AS (
    SELECT c.id, 1 AS level FROM comments AS c WHERE c.post_id = $1 AND c.parent_id = ANY ($2::text[])
    UNION ALL
    SELECT c.id, below.level + 1 FROM below
    JOIN comments AS c ON c.parent_id = 't1_' || below.id AND c.post_id = $1
    WHERE below.level < {levels}
)
SELECT {columns} FROM below JOIN comments AS c USING (id) ORDER BY below.level, {order} LIMIT {most}
"""


@dataclass(frozen=True, slots=True)
class CommentCursor:
    """The next page begins after the comment with this key and id.

    `position` is the byte of the write-ahead log that a server must have replayed to answer it.
    """

    key: int | datetime
    id: str
    position: int


@dataclass(frozen=True, slots=True)
class CommentFilters:
    """Comments that meet every given filter. Names are case-insensitive.

    `words` is a search or a query, as in the filters of posts.
    """

    subreddits: tuple[str, ...] = ()
    author: str | None = None
    words: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class CommentPage:
    """The rows of a page, where the next page begins (None after the last one), and how words were looked up.

    `position`: as of which byte of the write-ahead log the page is.
    """

    rows: Sequence[Row]
    next: CommentCursor | None
    position: int
    search: SearchMode | None = None


async def comments_of_post(
    reads: ReadRouter,
    post_id: str,
    order: CommentOrder,
    *,
    only_top: bool,
    limit: int,
    after: CommentCursor | None = None,
) -> CommentPage:
    """A page of the comments of a post, or of those at the top of its trees."""
    parameters: list[object] = [post_id]
    conditions = ["c.post_id = $1", *([_IS_TOP] if only_top else [])]
    return await _page(reads, conditions, parameters, order, limit, after)


async def replies_below(
    reads: ReadRouter, post_id: str, top: Sequence[str], order: CommentOrder, position: int
) -> Sequence[Row]:
    """What answers these comments, and what answers that, level by level; at most MOST_REPLIES."""
    statement = _REPLIES.format(columns=_COLUMNS, order=_ORDERS[order].sql, levels=MOST_LEVELS, most=MOST_REPLIES)
    return await reads.fetch(statement, post_id, [f"t1_{id_}" for id_ in top], position=position)


async def newest_comments(
    reads: ReadRouter, filters: CommentFilters, *, limit: int, after: CommentCursor | None = None
) -> CommentPage:
    """A page of the comments that meet the filters, newest first."""
    parameters: list[object] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    mode = await comment_search_mode(reads, filters)
    page = await _page(reads, comment_conditions(filters, mode, bound), parameters, "new", limit, after)
    return CommentPage(page.rows, page.next, page.position, mode)


async def newest_of_each(pool: Pool, until: Mapping[str, datetime | None], each: int) -> list[StoredComment]:
    """The newest comments of each subreddit, and the newest that were written until its time; `each` of both.

    Names in lower case. Without a time only the newest.
    """
    async with connection(pool) as reading:
        rows = await reading.fetch(_NEWEST_OF_EACH, list(until), list(until.values()), each)
    return [StoredComment(id_, name, created.timestamp()) for id_, name, created in rows]


async def comment_search_mode(reads: ReadRouter, filters: CommentFilters) -> SearchMode | None:
    """How the words of the filters are looked up; None without words."""
    words = filters.words and asked(filters.words).words
    return await search_mode(reads, words) if words else None


def comment_conditions(filters: CommentFilters, mode: SearchMode | None, bound: Callable[[object], str]) -> list[str]:
    """The conditions on the comment `c`. `bound` binds a value and returns its place.

    `mode`: how words are looked up.
    """
    found: list[str] = []
    if len(filters.subreddits) == 1:
        # For a single value: with `=` the index also gives the order, with ANY it does not.
        found.append(f"lower(c.subreddit) = {bound(filters.subreddits[0].lower())}")
    elif filters.subreddits:
        found.append(f"lower(c.subreddit) = ANY ({bound([name.lower() for name in filters.subreddits])}::text[])")
    if filters.author is not None:
        found.append(f"lower(c.author) = {bound(filters.author.lower())}")
    if filters.created_from is not None:
        found.append(f"c.created_utc >= {bound(filters.created_from)}")
    if filters.created_to is not None:
        found.append(f"c.created_utc < {bound(filters.created_to)}")
    query = Asked(None, None) if filters.words is None else asked(filters.words)
    if query.rest is not None:
        found.append(comment_condition(query.rest, bound))
    if query.words is not None and mode == "substring":
        found.append(f"""c.id IN (
    SELECT id FROM (
        SELECT id, body FROM comments ORDER BY created_utc DESC, id DESC LIMIT {MOST_SEARCHED_POSTS}
    ) AS newest WHERE strpos(lower(body), lower({bound(query.words.strip())})) > 0
)""")  # noqa: S608, a number and the number of a parameter
    elif query.words is not None:
        words = f"websearch_to_tsquery('pg_catalog.{mode}', {bound(web_search(query.words))})"
        found.append(f"c.body IS NOT NULL AND search_words('', c.body) @@ {words}")
    return found


async def _page(
    reads: ReadRouter,
    conditions: list[str],
    parameters: list[object],
    order: CommentOrder,
    limit: int,
    after: CommentCursor | None,
) -> CommentPage:
    by = _ORDERS[order]
    if after is not None:
        parameters += [after.key, after.id]
        sign = "<" if by.direction == "DESC" else ">"
        place = len(parameters)
        conditions.append(f"({by.key}, c.id) {sign} (${place - 1}::{by.kind}, ${place}::text)")
    # One row more shows whether there is a next page.
    parameters.append(limit + 1)
    statement = f"""
SELECT {_COLUMNS}, {by.key} AS key, {POSITION} FROM comments AS c
WHERE {" AND ".join(conditions) or "true"} ORDER BY {by.sql} LIMIT ${len(parameters)}
"""  # noqa: S608, constants and the numbers of parameters
    rows = await reads.fetch(statement, *parameters, position=after.position if after else 0)
    position = after.position if after else (rows[0]["position"] if rows else 0)
    if len(rows) <= limit:
        return CommentPage(rows, None, position)
    last = rows[limit - 1]
    return CommentPage(rows[:limit], CommentCursor(last["key"], last["id"], position), position)
