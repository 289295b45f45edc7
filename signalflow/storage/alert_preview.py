"""What a query would have met lately, before a rule is made of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from signalflow.domain.queries.language import parse
from signalflow.domain.queries.tree import Kind
from signalflow.storage.alert_subjects import COMMENT_STANDS, COMMENTS, POST_STANDS, POSTS
from signalflow.storage.query_sql import comment_condition, post_condition
from signalflow.storage.read_router import ReadRouter, Row

SPAN = timedelta(days=7)
# Whoever reads "more than 1,000" asks for less anyway.
MOST_COUNTED = 1000
MOST_SHOWN = 10
# Of a comment, which may have 10,000 characters.
MOST_TEXT = 300

_POSTS = f"""
SELECT p.id, p.created_utc AS created_at FROM {POSTS}
WHERE p.created_utc > {{since}} AND {POST_STANDS} AND ({{condition}})
ORDER BY p.created_utc DESC, p.id DESC LIMIT {{limit}}
"""  # noqa: S608, constants
_COMMENTS = f"""
SELECT c.id, c.created_utc AS created_at FROM {COMMENTS}
WHERE c.created_utc > {{since}} AND {COMMENT_STANDS} AND ({{condition}})
ORDER BY c.created_utc DESC, c.id DESC LIMIT {{limit}}
"""  # noqa: S608, as above
_SHOWN = """
SELECT 'post' AS kind, id, id AS post_id, subreddit, title AS text, permalink, current_score AS score,
    created_utc AS created_at
FROM posts WHERE id = ANY ($1::text[])
UNION ALL
SELECT 'comment', id, post_id, subreddit, left(body, $3), permalink, score, created_utc
FROM comments WHERE id = ANY ($2::text[])
ORDER BY created_at DESC, id DESC
"""


@dataclass(frozen=True, slots=True)
class Previewed:
    """A post or comment that meets a query. `text`: its title, or the beginning of a comment."""

    kind: Kind
    id: str
    post_id: str
    subreddit: str
    text: str | None
    permalink: str | None
    score: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """How many posts and comments since a time meet a query, and the newest of them.

    MOST_COUNTED of each are counted at most: then there are more.
    """

    since: datetime
    posts: int
    comments: int
    more_posts: bool
    more_comments: bool
    newest: list[Previewed]


async def preview(reads: ReadRouter, text: str, now: datetime) -> Preview:
    """What of the last SPAN meets this query now. Raises QueryError, and TookTooLong for what is found too slowly."""
    query, since = parse(text), now - SPAN
    posts = await _met(reads, _POSTS, lambda bound: post_condition(query, bound), since)
    comments = await _met(reads, _COMMENTS, lambda bound: comment_condition(query, bound), since)
    found = [("post", row) for row in posts[:MOST_SHOWN]] + [("comment", row) for row in comments[:MOST_SHOWN]]
    newest = sorted(found, key=lambda one: (one[1]["created_at"], one[1]["id"]), reverse=True)[:MOST_SHOWN]
    rows = await reads.fetch(_SHOWN, _ids(newest, "post"), _ids(newest, "comment"), MOST_TEXT)
    return Preview(
        since,
        posts=min(len(posts), MOST_COUNTED),
        comments=min(len(comments), MOST_COUNTED),
        more_posts=len(posts) > MOST_COUNTED,
        more_comments=len(comments) > MOST_COUNTED,
        newest=[Previewed(**dict(row)) for row in rows],
    )


async def _met(
    reads: ReadRouter, statement: str, condition: Callable[[Callable[[object], str]], str], since: datetime
) -> list[Row]:
    parameters: list[Any] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    filled = statement.format(since=bound(since), condition=condition(bound), limit=bound(MOST_COUNTED + 1))
    return await reads.fetch(filled, *parameters)


def _ids(found: Iterable[tuple[str, Row]], kind: str) -> list[str]:
    return [row["id"] for of_kind, row in found if of_kind == kind]
