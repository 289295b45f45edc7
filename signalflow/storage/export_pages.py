"""All posts or comments that meet filters, newest first, page by page: the rows of an export.

A page begins behind the key of the last row, so no row comes twice, and none that was there at the first page is left
out. No connection is held between two pages: who reads slowly holds up nobody.
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from signalflow.errors import Invalid
from signalflow.storage.columns import FEATURES, POSTS
from signalflow.storage.comment_list import COLUMNS as COMMENT_COLUMNS
from signalflow.storage.comment_list import CommentFilters, comment_conditions
from signalflow.storage.post_filters import Filters, conditions, looked_up
from signalflow.storage.read_router import ReadRouter, Row
from signalflow.storage.search import search_mode

PAGE_ROWS = 500

_POST_COLUMNS = ", ".join(f"{column.value_in('p')} AS {column.name}" for column in POSTS)
_FEATURES = ", ".join(f"n.{column.name}" for column in FEATURES)
_COMMENT_COLUMNS = ", ".join(f"c.{name}" for name in COMMENT_COLUMNS)

Bound = Callable[[object], str]


@dataclass(frozen=True, slots=True)
class _Key:
    created_utc: datetime
    id: str


async def pages_of_posts(
    reads: ReadRouter, filters: Filters, *, now: datetime, after: str | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The posts, newest first; those behind the post with the id `after`, if given. No page is empty.

    Raises Invalid for an unknown id, Retryable and Fatal.
    """
    filters = await looked_up(reads, filters)

    def statement(bound: Bound, behind: _Key | None) -> str:
        # The search for a piece of text has an end: the newest posts are the same ones on every page.
        until = f"{bound(now)}::timestamptz" if filters.mode == "substring" else ""
        of_post, of_features = conditions(filters, bound, until=until)
        where = " AND ".join([*of_post, *of_features, *_behind("p", behind, bound)]) or "true"
        return f"""
SELECT {_POST_COLUMNS}, p.not_shown_since, {_FEATURES}
FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id WHERE {where}
ORDER BY p.created_utc DESC, p.id DESC LIMIT {PAGE_ROWS}"""  # noqa: S608, constants and the numbers of parameters

    async for page in _pages(reads, "posts", statement, after):
        yield page


async def pages_of_comments(
    reads: ReadRouter, filters: CommentFilters, *, after: str | None = None
) -> AsyncGenerator[list[dict[str, Any]]]:
    """The comments, newest first; those behind the comment with the id `after`, if given. No page is empty.

    Raises Invalid for an unknown id, Retryable and Fatal.
    """
    mode = None if filters.words is None else await search_mode(reads, filters.words)

    def statement(bound: Bound, behind: _Key | None) -> str:
        where = " AND ".join([*comment_conditions(filters, mode, bound), *_behind("c", behind, bound)]) or "true"
        return f"""
SELECT {_COMMENT_COLUMNS} FROM comments AS c WHERE {where}
ORDER BY c.created_utc DESC, c.id DESC LIMIT {PAGE_ROWS}"""  # noqa: S608, constants and the numbers of parameters

    async for page in _pages(reads, "comments", statement, after):
        yield page


async def _pages(
    reads: ReadRouter, table: str, statement: Callable[[Bound, _Key | None], str], after: str | None
) -> AsyncGenerator[list[dict[str, Any]]]:
    behind = None if after is None else await _key_of(reads, table, after)
    while True:
        parameters: list[Any] = []

        def bound(value: object, to: list[Any] = parameters) -> str:
            to.append(value)
            return f"${len(to)}"

        page = await reads.fetch(statement(bound, behind), *parameters)
        if not page:
            return
        behind = _Key(page[-1]["created_utc"], page[-1]["id"])
        yield [_decoded(row) for row in page]
        if len(page) < PAGE_ROWS:
            return


def _decoded(row: Row) -> dict[str, Any]:
    values = dict(row)
    if "keywords" in values:
        values["keywords"] = [] if values["keywords"] is None else orjson.loads(values["keywords"])
    return values


def _behind(row: str, key: _Key | None, bound: Bound) -> list[str]:
    if key is None:
        return []
    return [f"({row}.created_utc, {row}.id) < ({bound(key.created_utc)}::timestamptz, {bound(key.id)}::text)"]


async def _key_of(reads: ReadRouter, table: str, id_: str) -> _Key:
    rows = await reads.fetch(f"SELECT created_utc, id FROM {table} WHERE id = $1", id_)  # noqa: S608, a constant
    if not rows:
        raise Invalid(f"there is no row {id_!r} in {table} to go on behind", "after")
    return _Key(rows[0]["created_utc"], rows[0]["id"])
