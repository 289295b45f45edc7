"""The post list, page by page in any order of `post_orders.py`, and one post with its text.

A walk through all pages gives no post twice, and it leaves out no post that did not change meanwhile. Three things in
the cursor ensure this. The next page begins after the key of the last post. Ages are computed for the instant of the
first page. In every order but newest a change can move a post: the cursor then carries the snapshot of the first page,
and posts that changed after it are left out, because an earlier page may have had them (the row's xmin tells).
docs/decisions/reading.md says why nothing weaker is enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from signalflow.storage.columns import FEATURES_TOLD, POSTS, Guard
from signalflow.storage.post_filters import Filters, conditions, looked_up
from signalflow.storage.post_orders import AGE_MINUTES, ENGAGEMENT, MOMENTUM, ORDERS, OrderName
from signalflow.storage.read_router import POSITION, ReadRouter, Row
from signalflow.storage.search import SearchMode

_COLUMNS = ", ".join(f"{column.value_in('p')} AS {column.name}" for column in POSTS if column.guard is not Guard.TEXT)
_COLUMNS += ", p.last_polled_at AS observed_at, p.not_shown_since"
_TEXT = ", ".join(f"p.{column.name}" for column in POSTS if column.guard is Guard.TEXT)
_COMPUTED = f"{ENGAGEMENT} AS engagement_score, {AGE_MINUTES} AS age_minutes, {MOMENTUM} AS momentum"
_FEATURES = ", ".join(f"n.{name}" for name in FEATURES_TOLD)

# A row version is as old as its xmin: the low half of a transaction's 64-bit number, which is one of the last 2^32.
_UNCHANGED = """pg_visible_in_snapshot((
    (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint)
    - (((SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint) - p.xmin::text::bigint) & 4294967295)
)::text::xid8, {snapshot}::text::pg_snapshot)"""
_POST = f"""
SELECT {_COLUMNS}, {_TEXT}, {_COMPUTED}, {_FEATURES},
    (SELECT size FROM topic_clusters AS t WHERE t.id = n.topic_cluster) AS topic_posts
FROM posts AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id WHERE p.id = $1
"""  # noqa: S608, constants


class Cursor(NamedTuple):
    """The next page of a walk begins after the post with this key and id. `snapshot` is None in fixed orders."""

    key: tuple[Any, ...]
    id: str
    as_of: datetime
    position: int
    """The byte of the write-ahead log that a server must have replayed to answer the next page."""
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of a page, where the next page begins (None after the last one), and how words were looked up."""

    rows: Sequence[Row]
    next: Cursor | None
    search: SearchMode | None


async def page_of_posts(
    reads: ReadRouter,
    order: OrderName,
    filters: Filters,
    *,
    limit: int,
    now: datetime,
    window: timedelta,
    after: Cursor | None = None,
) -> Page:
    """The first page, or the page after a cursor. `window`: greatest age of a post in windowed orders.

    Raises Retryable or Fatal.
    """
    as_of = after.as_of if after else now
    filters = await looked_up(reads, filters)
    search = filters.mode
    statement, parameters = page_statement(order, filters, limit=limit, as_of=as_of, window=window, after=after)
    if after is not None:
        rows = await reads.fetch(statement, *parameters, position=after.position)
    else:
        rows = await reads.fetch(statement, *parameters)
        if len(rows) > limit and not ORDERS[order].is_fixed and rows[0]["on_replica"] and not _is_exact(rows[0]):
            rows = await reads.fetch(statement, *parameters, from_primary=True)
    # The statement asks for one row more, which shows whether there is a next page.
    if len(rows) <= limit:
        return Page(rows, None, search)
    last, key = rows[limit - 1], ORDERS[order].key
    return Page(
        rows[:limit],
        Cursor(
            key=tuple(last[f"key_{number}"] for number in range(len(key))),
            id=last["id"],
            as_of=as_of,
            position=after.position if after else last["position"],
            snapshot=after.snapshot if after else last["snapshot"],
        ),
        search,
    )


async def one_post(reads: ReadRouter, post_id: str, now: datetime) -> Row | None:
    """A post with its body, its age computed for `now`; None for an unknown id."""
    rows = await reads.fetch(_POST, post_id, now)
    return rows[0] if rows else None


def page_statement(
    order: OrderName, filters: Filters, *, limit: int, as_of: datetime, window: timedelta, after: Cursor | None
) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters."""
    spec = ORDERS[order]
    parameters: list[Any] = [limit + 1, as_of]

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    of_post, of_features = conditions(filters, bound, until="$2")
    if spec.is_windowed:
        of_post.append(f"p.created_utc > {bound(as_of - window)}")
    keys = [f"{expression} AS key_{number}" for number, (expression, _) in enumerate(spec.key)]
    if after is not None:
        values = [f"{bound(value)}::{kind}" for value, (_, kind) in zip(after.key, spec.key, strict=True)]
        expressions = ", ".join(expression for expression, _ in spec.key)
        of_post.append(f"({expressions}, p.id) < ({', '.join(values)}, {bound(after.id)})")
        if not spec.is_fixed:
            of_post.append(_UNCHANGED.format(snapshot=bound(after.snapshot)))
    # Features are joined to the rows of the page only, unless a filter needs them.
    joined = " LEFT JOIN post_nlp_features AS n ON n.post_id = p.id" if of_features else ""
    where = " AND ".join(of_post + of_features) or "true"
    descending = ", ".join(f"{expression} DESC" for expression, _ in spec.key)
    outer = ", ".join(f"key_{number} DESC" for number in range(len(spec.key)))
    first = "" if after else f", {POSITION}, (SELECT pg_current_snapshot()::text) AS snapshot"
    statement = f"""
SELECT p.*, {_FEATURES}{first}
FROM (
    SELECT {_COLUMNS}, {_COMPUTED}, {", ".join(keys)}
    FROM posts AS p{joined} WHERE {where}
    ORDER BY {descending}, p.id DESC LIMIT $1
) AS p LEFT JOIN post_nlp_features AS n ON n.post_id = p.id
ORDER BY {outer}, p.id DESC"""  # noqa: S608, constants and the numbers of parameters
    return statement, parameters


def _is_exact(row: Row) -> bool:
    """Whether no transaction ran when this snapshot was taken. A replica's snapshot does not list running ones."""
    xmin, xmax, _ = row["snapshot"].split(":")
    return bool(xmin == xmax)
