"""Reads topic clusters: pages of them, and one of them with its posts and its hours.

What a cluster tells beside its label is read from its posts, as they are stored now. Erased posts are in no cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from signalflow.domain.signals.same_posts import same_as
from signalflow.storage.read_router import ReadRouter, Row

MOST_SUBREDDITS = 10
MOST_POSTS = 200
STEP = timedelta(hours=1)
# A cluster goes on for as long as posts join it. A chart shows its last two weeks.
LONGEST_TIMELINE = timedelta(days=14)

_COLUMNS = "id, label, size, began_at, newest_at, state IS NOT NULL AS living"
_ONE = f"SELECT {_COLUMNS} FROM topic_clusters WHERE id = $1"  # noqa: S608, constants
# Posts of several clusters are found by the index of each, so the work is that of the clusters of a page.
_SUBREDDITS = """
SELECT wanted.id, found.subreddit, found.posts FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT subreddit, count(*) AS posts FROM post_nlp_features JOIN posts ON posts.id = post_id
    WHERE topic_cluster = wanted.id GROUP BY subreddit ORDER BY count(*) DESC, subreddit LIMIT $2
) AS found ORDER BY wanted.id, found.posts DESC, found.subreddit
"""
_TOP_POSTS = """
SELECT wanted.id AS topic, found.* FROM unnest($1::text[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT posts.id, posts.title, subreddit, permalink, current_score
    FROM post_nlp_features JOIN posts ON posts.id = post_id
    WHERE topic_cluster = wanted.id ORDER BY current_score DESC NULLS LAST, posts.id LIMIT 1
) AS found
"""
_POSTS = """
SELECT id, posts.title, subreddit, author, created_utc, current_score, current_comments, permalink, url,
    sentiment_score, sentiment_label
FROM post_nlp_features JOIN posts ON id = post_id WHERE topic_cluster = $1
ORDER BY created_utc DESC, id DESC LIMIT $2
"""
# Comments of the newest posts alone: those that the answer lists.
_TIMELINE = """
WITH of_posts AS (
    SELECT date_bin($4::interval, created_utc, 'epoch') AS at, count(*) AS posts, avg(sentiment_score) AS sentiment
    FROM post_nlp_features JOIN posts ON id = post_id WHERE topic_cluster = $1 AND created_utc >= $3 GROUP BY 1
), of_comments AS (
    SELECT date_bin($4::interval, created_utc, 'epoch') AS at, count(*) AS comments, avg(sentiment_score) AS sentiment
    FROM comments WHERE post_id = ANY ($2::text[]) AND created_utc >= $3 GROUP BY 1
)
SELECT at, COALESCE(posts, 0) AS posts, of_posts.sentiment AS average_sentiment, COALESCE(comments, 0) AS comments,
    of_comments.sentiment AS average_comment_sentiment
FROM of_posts FULL JOIN of_comments USING (at) ORDER BY at
"""
# With the LIMIT, clusters are looked at one after the other until the page is full; without it, all posts of the
# subreddits are read first.
_HAS_POST_IN = """(
    SELECT true FROM post_nlp_features JOIN posts ON posts.id = post_id
    WHERE topic_cluster = topic_clusters.id AND lower(subreddit) = ANY ($names::text[]) LIMIT 1
)"""

# When the newest post was made, and id, of the last cluster of a page.
TopicKey = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """Which clusters are wanted. Names of subreddits are case-insensitive; a post in one of them is enough."""

    since: datetime | None = None
    min_posts: int = 2
    subreddits: Sequence[str] = ()


async def topics_page(
    reads: ReadRouter, wanted: TopicFilter, *, before: TopicKey | None, limit: int
) -> list[dict[str, Any]]:
    """The clusters with the newest posts, or the newest before this time and id."""
    statement, parameters = page_statement(wanted, before, limit)
    return [dict(row) for row in await reads.fetch(statement, *parameters)]


def page_statement(wanted: TopicFilter, before: TopicKey | None, limit: int) -> tuple[str, list[Any]]:
    """The statement of a page, and its parameters."""
    parameters: list[Any] = []

    def bound(value: object) -> str:
        parameters.append(value)
        return f"${len(parameters)}"

    # The index has only clusters of more than one post.
    conditions = ["size > 1", f"size >= {bound(wanted.min_posts)}"]
    if wanted.since is not None:
        conditions.append(f"newest_at >= {bound(wanted.since)}")
    if wanted.subreddits:
        names = bound([name.lower() for name in wanted.subreddits])
        conditions.append(_HAS_POST_IN.replace("$names", names))
    if before is not None:
        newest_at, id_ = before
        conditions.append(f"(newest_at, id) < ({bound(newest_at)}::timestamptz, {bound(id_)}::text)")
    statement = f"""
SELECT {_COLUMNS} FROM topic_clusters WHERE {" AND ".join(conditions)}
ORDER BY newest_at DESC, id DESC LIMIT {bound(limit)}"""  # noqa: S608, constants and the numbers of parameters
    return statement, parameters


async def one_topic(reads: ReadRouter, id_: str) -> dict[str, Any] | None:
    """The cluster with this id, if there is one."""
    rows = await reads.fetch(_ONE, id_)
    return dict(rows[0]) if rows else None


async def with_posts(reads: ReadRouter, topics: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The clusters with `subreddits`, those of most posts first, and `top_post`, the one of the highest score."""
    ids = [topic["id"] for topic in topics]
    subreddits: dict[str, list[dict[str, Any]]] = {id_: [] for id_ in ids}
    for row in await reads.fetch(_SUBREDDITS, ids, MOST_SUBREDDITS):
        subreddits[row["id"]].append({"subreddit": row["subreddit"], "posts": row["posts"]})
    top_posts: dict[str, dict[str, Any]] = {}
    for row in await reads.fetch(_TOP_POSTS, ids):
        post = dict(row)
        top_posts[post.pop("topic")] = post
    return [topic | {"subreddits": subreddits[topic["id"]], "top_post": top_posts.get(topic["id"])} for topic in topics]


async def posts_of_topic(reads: ReadRouter, id_: str) -> list[dict[str, Any]]:
    """The posts of a cluster, the newest first and no more than MOST_POSTS.

    `same_as` is the first of these that has the same title or link.
    """
    posts = [dict(row) for row in await reads.fetch(_POSTS, id_, MOST_POSTS)]
    firsts = same_as((post["id"], post["title"], post["url"]) for post in reversed(posts))
    return [post | {"same_as": firsts[post["id"]]} for post in posts]


async def timeline_of(reads: ReadRouter, topic: dict[str, Any], post_ids: Sequence[str]) -> list[Row]:
    """What each hour of a cluster had: posts, and comments on these posts. Hours that had nothing are left out."""
    return await reads.fetch(_TIMELINE, topic["id"], post_ids, topic["newest_at"] - LONGEST_TIMELINE, STEP)
