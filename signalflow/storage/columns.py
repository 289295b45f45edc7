"""The columns that the sink writes, one line each.

Its statements, their parameters and the post list are made from them. A new field of a post needs a field of
`Enriched`, a migration that adds the column, and a line here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from typing import Any, TypeAlias

import orjson

from signalflow.errors import Invalid
from signalflow.events import Enriched

# Takes one list for each guard. A list has one observation per post, and columns with that guard follow it. The list of
# TEXT has None where no observation of the post carried a body, and the list of REMOVED where none says that it was
# taken away.
Arrays: TypeAlias = Callable[[Mapping["Guard", Sequence[Enriched | None]]], list[list[Any]]]


class Guard(Enum):
    """The observation of a post that a column follows.

    The value is the condition under which the written row (EXCLUDED) replaces the stored one (p). If both are of
    the same moment, the stored row stays.
    """

    NEWEST = "EXCLUDED.last_polled_at > p.last_polled_at"
    """The newest observation."""
    SCORE = (
        "(EXCLUDED.current_score IS NOT NULL, COALESCE(EXCLUDED.score_observed_at, EXCLUDED.last_polled_at))"
        " > (p.current_score IS NOT NULL, COALESCE(p.score_observed_at, p.last_polled_at))"
    )
    """The newest observation that told a score; without one the newest."""
    DETAILS = (
        "(EXCLUDED.current_comments IS NOT NULL, EXCLUDED.is_self IS NOT NULL,"
        " COALESCE(EXCLUDED.details_observed_at, EXCLUDED.last_polled_at))"
        " > (p.current_comments IS NOT NULL, p.is_self IS NOT NULL,"
        " COALESCE(p.details_observed_at, p.last_polled_at))"
    )
    """The newest observation that told the number of comments; without one the newest that told the kind of post."""
    TEXT = "EXCLUDED.text_observed_at > COALESCE(p.text_observed_at, '-infinity')"
    """The newest observation that carried a body."""
    FIRST = "EXCLUDED.first_seen_at < p.first_seen_at"
    """The observation with the earliest first_seen_at."""
    REMOVED = "EXCLUDED.erased_until > COALESCE(p.erased_until, '-infinity')"
    """The newest observation that says that the post was taken away."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    `attribute` is the path of its value in `Enriched`, if that is not the name of the column. NULL stands for the value
    of the column `same_as`, if there is one. `erased` is the SQL of what stands instead of a value that its author
    wrote, or that names the author, once the value is erased.
    """

    name: str
    type: str
    attribute: str = ""
    guard: Guard = Guard.NEWEST
    same_as: str = ""
    erased: str = ""

    def value_in(self, row: str) -> str:
        """The SQL of its value in a row."""
        return f"COALESCE({row}.{self.name}, {row}.{self.same_as})" if self.same_as else f"{row}.{self.name}"


POSTS = (
    Column("id", "text"),
    Column("subreddit", "text"),
    Column("author", "text", erased="NULL"),
    Column("title", "text", erased="''"),
    Column("body", "text", guard=Guard.TEXT, erased="NULL"),
    Column("url", "text", guard=Guard.DETAILS, erased="NULL"),
    Column("permalink", "text", erased="NULL"),
    Column("flair", "text", guard=Guard.DETAILS, erased="NULL"),
    Column("over_18", "bool", guard=Guard.DETAILS),
    Column("is_self", "bool", guard=Guard.DETAILS),
    Column("created_utc", "timestamptz"),
    Column("first_seen_at", "timestamptz", guard=Guard.FIRST),
    Column("last_polled_at", "timestamptz", "observed_at"),
    Column("text_observed_at", "timestamptz", "observed_at", Guard.TEXT),
    Column("edited_at", "timestamptz", guard=Guard.DETAILS),
    Column("removed_by", "text"),
    Column("erased_until", "timestamptz", "observed_at", Guard.REMOVED),
    Column("score_observed_at", "timestamptz", "observed_at", Guard.SCORE, same_as="last_polled_at"),
    Column("details_observed_at", "timestamptz", "observed_at", Guard.DETAILS, same_as="last_polled_at"),
    Column("current_score", "int", guard=Guard.SCORE),
    Column("current_comments", "int", guard=Guard.DETAILS),
    Column("current_ratio", "float8", guard=Guard.SCORE),
    Column("score_velocity", "float8", guard=Guard.SCORE),
    Column("comment_velocity", "float8", guard=Guard.SCORE),
    Column("trend_velocity", "float8", guard=Guard.SCORE),
    Column("trending_score", "float8", guard=Guard.SCORE),
    Column("is_trending", "bool", guard=Guard.SCORE),
)
"""Table posts; the first column is the key."""

FEATURES = (
    Column("sentiment_score", "float8", "nlp.sentiment_score"),
    Column("sentiment_label", "text", "nlp.sentiment_label"),
    Column("sentiment_basis", "text", "nlp.sentiment_basis"),
    Column("keywords", "jsonb", "nlp.keywords"),
)
"""Table post_nlp_features, without post_id and title. These columns follow the stored title."""

FEATURES_TOLD = (*(column.name for column in FEATURES), "topic_cluster")
"""What readers of a post get of that table. The topic cluster is found after the post is stored (topic_clusters.py)."""

HISTORY = (
    Column("post_id", "text", "id"),
    Column("observed_at", "timestamptz"),
    Column("score", "int", "current_score"),
    Column("num_comments", "int", "current_comments"),
    Column("upvote_ratio", "float8", "current_ratio"),
    Column("score_velocity", "float8"),
    Column("comment_velocity", "float8"),
    Column("trend_velocity", "float8"),
)
"""Table post_metrics_history; its first two columns are the key. A row is never changed."""

RANKS = (
    Column("post_id", "text", "id"),
    Column("observed_at", "timestamptz"),
    Column("post_sort", "text", "rank.post_sort"),
    Column("listing", "text", "rank.listing"),
    Column("rank", "int", "rank.rank"),
)
"""Table post_ranks; all but the rank are the key. A row is never changed."""


def arrays_of(columns: Sequence[Column]) -> Arrays:
    """A function that takes the values of these columns from observations, one array per column.

    It raises Invalid for a value that JSON cannot hold.
    """
    readers = [(column, attrgetter(column.attribute or column.name)) for column in columns]

    def arrays(followed: Mapping[Guard, Sequence[Enriched | None]]) -> list[list[Any]]:
        result = []
        for column, read in readers:
            values = [None if row is None else read(row) for row in followed[column.guard]]
            result.append(_to_json(values, column.name) if column.type == "jsonb" else values)
        return result

    return arrays


def _to_json(values: list[Any], name: str) -> list[str]:
    try:
        return [orjson.dumps(value).decode() for value in values]
    except orjson.JSONEncodeError as error:
        raise Invalid(str(error), field=name) from error
