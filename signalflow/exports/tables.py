"""What an export holds: the columns of each kind of row, in their order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "texts", "integer", "number", "flag", "time"]
TableName: TypeAlias = Literal["posts", "comments", "history", "signals"]
ExportRow: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ExportColumn:
    """A column. Its values are null or of its kind; `texts` is a list of texts."""

    name: str
    kind: Kind


def _columns(**kinds: Kind) -> tuple[ExportColumn, ...]:
    return tuple(ExportColumn(name, kind) for name, kind in kinds.items())


# The API describes the fields under the same names (web/api/posts/schemas.py, web/api/comments/schemas.py,
# web/api/signals/schemas.py); `history`
# has the observations of posts, each with the subreddit and the creation of its post, so that ages can be told. What is
# computed for the moment of a request, such as an age, is left out: it would be another one in each part of a file.
TABLES: dict[TableName, tuple[ExportColumn, ...]] = {
    "posts": _columns(
        id="text",
        subreddit="text",
        author="text",
        title="text",
        body="text",
        url="text",
        permalink="text",
        flair="text",
        over_18="flag",
        is_self="flag",
        created_utc="time",
        first_seen_at="time",
        last_polled_at="time",
        edited_at="time",
        removed_by="text",
        not_shown_since="time",
        score_observed_at="time",
        current_score="integer",
        current_comments="integer",
        current_ratio="number",
        score_velocity="number",
        comment_velocity="number",
        trend_velocity="number",
        trending_score="number",
        is_trending="flag",
        sentiment_score="number",
        sentiment_label="text",
        sentiment_basis="text",
        keywords="texts",
        topic_cluster="text",
    ),
    "comments": _columns(
        id="text",
        post_id="text",
        parent_id="text",
        depth="integer",
        subreddit="text",
        author="text",
        body="text",
        permalink="text",
        created_utc="time",
        first_seen_at="time",
        observed_at="time",
        removed_by="text",
        score="integer",
        score_observed_at="time",
        controversiality="integer",
        is_submitter="flag",
        distinguished="text",
        stickied="flag",
        edited_at="time",
        sentiment_score="number",
        sentiment_label="text",
        sentiment_basis="text",
    ),
    "history": _columns(
        post_id="text",
        subreddit="text",
        created_utc="time",
        observed_at="time",
        score="integer",
        num_comments="integer",
        upvote_ratio="number",
        score_velocity="number",
        comment_velocity="number",
        trend_velocity="number",
    ),
    # `inputs` is a JSON object of numbers, and the subject of a burst the hash of its term. What posts are about is in
    # their own table.
    "signals": _columns(
        id="text",
        kind="text",
        rule_version="integer",
        subject_kind="text",
        subject="text",
        subreddit="text",
        started_at="time",
        peak_at="time",
        ended_at="time",
        changed_at="time",
        strength="number",
        observed="number",
        expected="number",
        post_ids="texts",
        inputs="text",
        source_topic="text",
        source_partition="integer",
        source_offset="integer",
    ),
}


def place_of(table: TableName, row: ExportRow) -> str:
    """What says behind which row an export goes on: its id, or `POST_ID@OBSERVED_AT` for an observation."""
    if table != "history":
        return str(row["id"])
    return f"{row['post_id']}@{iso(row['observed_at'])}"


def time_of(table: TableName, row: ExportRow) -> datetime:
    """By what the rows are ordered: the creation of what the row is about, or the start of a signal."""
    moment: datetime = row["started_at" if table == "signals" else "created_utc"]
    return moment


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, as exports write times."""
    return moment.isoformat().replace("+00:00", "Z")
