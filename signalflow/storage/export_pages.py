"""All posts, comments or signals that meet filters, newest first, or the observations of posts: rows of an export.

A page begins behind the key of the last row, so no row comes twice, and none that was there at the first page is left
out. No connection is held between two pages: who reads slowly holds up nobody.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from signalflow.errors import Invalid
from signalflow.storage.columns import FEATURES_TOLD, HISTORY, POSTS
from signalflow.storage.comment_list import COLUMNS as COMMENT_COLUMNS
from signalflow.storage.comment_list import CommentFilters, comment_conditions, comment_search_mode
from signalflow.storage.post_filters import Filters, conditions, looked_up
from signalflow.storage.read_router import ReadRouter, Row
from signalflow.storage.signals import COLUMNS as SIGNAL_COLUMNS
from signalflow.storage.signals import SOURCE as SIGNAL_SOURCE
from signalflow.storage.signals import SignalFilter, signal_conditions

PAGE_ROWS = 500
# Posts whose observations are read at once, and the most observations of a page: some hundred are usual of a post, but
# nothing bounds them.
OBSERVED_POSTS = 25
OBSERVATIONS = 5_000

_POST_COLUMNS = ", ".join(f"{column.value_in('p')} AS {column.name}" for column in POSTS)
_POST_COLUMNS += ", p.not_shown_since, " + ", ".join(f"n.{name}" for name in FEATURES_TOLD)
_OBSERVATION_COLUMNS = ", ".join(f"h.{column.name}" for column in HISTORY)
_COMMENT_COLUMNS = ", ".join(f"c.{name}" for name in COMMENT_COLUMNS)
_SIGNAL_COLUMNS = ", ".join(f"s.{name}" for name in (*SIGNAL_COLUMNS, *SIGNAL_SOURCE))

_OBSERVATIONS = f"""
SELECT w.place, w.subreddit, w.created_utc, {_OBSERVATION_COLUMNS}
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) WITH ORDINALITY AS w (post_id, subreddit, created_utc, place)
JOIN post_metrics_history AS h ON h.post_id = w.post_id
WHERE w.place > 1 OR h.observed_at > COALESCE($4, '-infinity'::timestamptz)
ORDER BY w.place, h.observed_at LIMIT $5"""  # noqa: S608, names of columns

Bound = Callable[[object], str]


@dataclass(frozen=True, slots=True)
class _Key:
    time: datetime
    id: str


async def pages_of_posts(
    reads: ReadRouter, filters: Filters, *, now: datetime, after: str | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The posts, newest first; those behind the post with the id `after`, if given. No page is empty.

    Raises Invalid for an unknown id, Retryable and Fatal.
    """
    async for page in _posts(reads, _POST_COLUMNS, filters, now, after):
        yield page


async def pages_of_history(
    reads: ReadRouter, filters: Filters, *, now: datetime, after: str | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The observations of the posts: of the newest post first, and of each post the oldest first.

    `after`: those behind this one, `POST_ID@OBSERVED_AT`. No page is empty. Raises Invalid for an unknown post or a
    wrong time, Retryable and Fatal.
    """
    last_post = None
    if after is not None:
        last_post, _, moment = after.partition("@")
        async for page in _observations(reads, await _post(reads, last_post), _time(moment)):
            yield page
    async for posts in _posts(reads, "p.id, p.subreddit, p.created_utc", filters, now, last_post):
        for start in range(0, len(posts), OBSERVED_POSTS):
            async for page in _observations(reads, posts[start : start + OBSERVED_POSTS]):
                yield page


async def _posts(
    reads: ReadRouter, columns: str, filters: Filters, now: datetime, after: str | None
) -> AsyncGenerator[list[dict[str, Any]]]:
    filters = await looked_up(reads, filters)

    def statement(bound: Bound, behind: _Key | None) -> str:
        # The search for a piece of text has an end: the newest posts are the same ones on every page.
        until = f"{bound(now)}::timestamptz" if filters.mode == "substring" else ""
        of_post, of_features = conditions(filters, bound, until=until)
        where = " AND ".join([*of_post, *of_features, *_behind("p", behind, bound)]) or "true"
        return f"""
SELECT {columns} FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id WHERE {where}
ORDER BY p.created_utc DESC, p.id DESC LIMIT {PAGE_ROWS}"""  # noqa: S608, constants and the numbers of parameters

    async for page in _pages(reads, "posts", statement, after):
        yield page


async def _observations(
    reads: ReadRouter, posts: Sequence[Mapping[str, Any]], after: datetime | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The observations of these posts in their order; of the first one those after this moment, if given."""
    while posts:
        values = ([post[name] for post in posts] for name in ("id", "subreddit", "created_utc"))
        page = await reads.fetch(_OBSERVATIONS, *values, after, OBSERVATIONS)
        if page:
            yield [dict(row) for row in page]
        if len(page) < OBSERVATIONS:
            return
        posts, after = posts[page[-1]["place"] - 1 :], page[-1]["observed_at"]


async def _post(reads: ReadRouter, id_: str) -> list[dict[str, Any]]:
    rows = await reads.fetch("SELECT id, subreddit, created_utc FROM posts WHERE id = $1", id_)
    if not rows:
        raise Invalid(f"there is no post {id_!r} to go on behind", "after")
    return [dict(row) for row in rows]


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid("must be POST_ID@OBSERVED_AT, with a time in ISO 8601", "after") from error
    if moment.tzinfo is None:
        raise Invalid("the time needs its zone, such as Z", "after")
    return moment


async def pages_of_comments(
    reads: ReadRouter, filters: CommentFilters, *, after: str | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The comments, newest first; those behind the comment with the id `after`, if given. No page is empty.

    Raises Invalid for an unknown id, Retryable and Fatal.
    """
    mode = await comment_search_mode(reads, filters)

    def statement(bound: Bound, behind: _Key | None) -> str:
        where = " AND ".join([*comment_conditions(filters, mode, bound), *_behind("c", behind, bound)]) or "true"
        return f"""
SELECT {_COMMENT_COLUMNS} FROM comments AS c WHERE {where}
ORDER BY c.created_utc DESC, c.id DESC LIMIT {PAGE_ROWS}"""  # noqa: S608, constants and the numbers of parameters

    async for page in _pages(reads, "comments", statement, after):
        yield page


async def pages_of_signals(
    reads: ReadRouter, wanted: SignalFilter, *, after: str | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The signals, the latest begun first; those behind the signal with the id `after`, if given. No page is empty.

    `inputs` is JSON. Raises Invalid for an unknown id, Retryable and Fatal.
    """

    def statement(bound: Bound, behind: _Key | None) -> str:
        where = " AND ".join([*signal_conditions(wanted, bound), *_behind("s", behind, bound, "started_at")]) or "true"
        return f"""
SELECT {_SIGNAL_COLUMNS} FROM signals AS s WHERE {where}
ORDER BY s.started_at DESC, s.id DESC LIMIT {PAGE_ROWS}"""  # noqa: S608, constants and the numbers of parameters

    async for page in _pages(reads, "signals", statement, after, "started_at"):
        yield page


async def _pages(
    reads: ReadRouter,
    table: str,
    statement: Callable[[Bound, _Key | None], str],
    after: str | None,
    time: str = "created_utc",
) -> AsyncGenerator[list[dict[str, Any]]]:
    """`time`: the column by which the rows are ordered, before their ids."""
    behind = None if after is None else await _key_of(reads, table, after, time)
    while True:
        parameters: list[Any] = []

        def bound(value: object, to: list[Any] = parameters) -> str:
            to.append(value)
            return f"${len(to)}"

        page = await reads.fetch(statement(bound, behind), *parameters)
        if not page:
            return
        behind = _Key(page[-1][time], page[-1]["id"])
        yield [_decoded(row) for row in page]
        if len(page) < PAGE_ROWS:
            return


def _decoded(row: Row) -> dict[str, Any]:
    values = dict(row)
    if "keywords" in values:
        values["keywords"] = [] if values["keywords"] is None else orjson.loads(values["keywords"])
    return values


def _behind(row: str, key: _Key | None, bound: Bound, time: str = "created_utc") -> list[str]:
    if key is None:
        return []
    return [f"({row}.{time}, {row}.id) < ({bound(key.time)}::timestamptz, {bound(key.id)}::text)"]


async def _key_of(reads: ReadRouter, table: str, id_: str, time: str) -> _Key:
    rows = await reads.fetch(f"SELECT {time}, id FROM {table} WHERE id = $1", id_)  # noqa: S608, constants
    if not rows:
        raise Invalid(f"there is no row {id_!r} in {table} to go on behind", "after")
    return _Key(rows[0][time], rows[0]["id"])
