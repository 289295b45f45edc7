"""Writes comments, whose rows do not depend on redelivery, disorder or the split into batches.

Author, body, its sentiment and who removed it follow the newest observation; the score follows the newest that told
one, flags and the time of the edit the newest that told them, because a feed tells neither; parent and depth never
change, so the first that tells them counts; first_seen_at is the earliest. If two observations are of the same moment,
the first in log order counts. What an author wrote who asked for its erasure is erased in the same transaction. When a
comment that was taken away lost its text is noted.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from signalflow.domain.words import REQUEST
from signalflow.events import EnrichedComment
from signalflow.fail_points import reach
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.erasure import (
    erase_alerts_of_comments,
    erase_comments_of_erased_authors,
    keep_erasures_out,
    note_erased_comments,
)
from signalflow.storage.pool import Pool, connection, transaction
from signalflow.storage.positions import Advances, advance

# One condition a group of columns: c is the stored row.
_NEWEST = "EXCLUDED.observed_at > c.observed_at"
_SCORE = "EXCLUDED.score_observed_at > COALESCE(c.score_observed_at, '-infinity')"
_DETAILS = "EXCLUDED.details_observed_at > COALESCE(c.details_observed_at, '-infinity')"
_GROUPS = {
    _NEWEST: (
        *("observed_at", "subreddit", "author", "body", "permalink", "removed_by"),
        *("sentiment_score", "sentiment_label", "sentiment_basis"),
    ),
    _SCORE: ("score", "score_observed_at"),
    _DETAILS: (*("controversiality", "is_submitter", "distinguished", "stickied", "edited_at", "details_observed_at"),),
}
_ONCE = ("parent_id", "depth")
_COLUMNS = (
    "id",
    "post_id",
    "created_utc",
    "first_seen_at",
    *_ONCE,
    *(name for group in _GROUPS.values() for name in group),
)
_MERGED = (
    "first_seen_at = LEAST(c.first_seen_at, EXCLUDED.first_seen_at)",
    *(f"{name} = COALESCE(c.{name}, EXCLUDED.{name})" for name in _ONCE),
    *(
        f"{name} = CASE WHEN {guard} THEN EXCLUDED.{name} ELSE c.{name} END"
        for guard, group in _GROUPS.items()
        for name in group
    ),
)
_CHANGES = (
    *_GROUPS,
    "EXCLUDED.first_seen_at < c.first_seen_at",
    *(f"c.{name} IS NULL AND EXCLUDED.{name} IS NOT NULL" for name in _ONCE),
)
_STORE = f"""
INSERT INTO comments AS c ({", ".join(_COLUMNS)})
VALUES ({", ".join(f"${number}" for number in range(1, len(_COLUMNS) + 1))})
ON CONFLICT (id) DO UPDATE SET {", ".join(_MERGED)}
WHERE {" OR ".join(_CHANGES)}
"""  # noqa: S608, names of columns
_IS_STORED = "SELECT EXISTS (SELECT FROM comments WHERE id = $1 AND observed_at >= $2)"


async def write_comments(
    pool: Pool, rows: Sequence[EnrichedComment], advances: Advances | None = None, alerts: AlertMatches | None = None
) -> None:
    """Store observations, given in log order, in one transaction, which also advances the positions of their records.

    It stores what rules of `alerts` meet of them, too.

    Raises Retryable (try the same rows again), Invalid (the values of at least one row are refused), StoredBehind or
    Fatal.
    """
    if not rows and advances is None:
        return
    # All writers lock comments in the same order, so none waits for another in a circle. The sort keeps the log order
    # of each comment.
    values = [_values(row) for row in sorted(rows, key=lambda row: row.id)]
    async with transaction(pool) as storing:
        if values:
            await keep_erasures_out(storing)
        if advances is not None:
            await advance(storing, advances)
        if values:
            await storing.executemany(_STORE, values)
            asked_for = _first_seen(row for row in rows if row.comment.removed_by == REQUEST)
            await erase_comments_of_erased_authors(storing, [row.id for row in rows], asked_for)
        if removals := _first_seen(row for row in rows if row.comment.removed_by):
            await note_erased_comments(storing, removals)
            await erase_alerts_of_comments(storing, list(removals))
        if rows and alerts:
            await alerts.write(storing, rows)
        reach("comments.before_commit")
    reach("comments.after_commit")


async def comment_is_stored(pool: Pool, row: EnrichedComment) -> bool:
    """Whether the table has this observation of a comment or a newer one."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval(_IS_STORED, row.id, row.observed_at))


def _first_seen(rows: Iterable[EnrichedComment]) -> dict[str, datetime]:
    """The first moment of each comment."""
    found: dict[str, datetime] = {}
    for row in rows:
        found[row.id] = min(row.observed_at, found.get(row.id, row.observed_at))
    return found


def _values(row: EnrichedComment) -> list[Any]:
    comment, sentiment = row.comment, row.sentiment
    tells_details = comment.is_submitter is not None
    values = {
        "id": comment.id,
        "post_id": comment.post_id,
        "created_utc": comment.created_utc,
        "first_seen_at": row.observed_at,
        "parent_id": comment.parent_id,
        "depth": comment.depth,
        "observed_at": row.observed_at,
        "subreddit": row.subreddit,
        "author": comment.author,
        "body": comment.body,
        "permalink": comment.permalink,
        "removed_by": comment.removed_by,
        "sentiment_score": sentiment.score if sentiment else None,
        "sentiment_label": sentiment.label if sentiment else None,
        "sentiment_basis": sentiment.basis if sentiment else None,
        "score": comment.score,
        "score_observed_at": None if comment.score is None else row.observed_at,
        "controversiality": comment.controversiality if tells_details else None,
        "is_submitter": comment.is_submitter,
        "distinguished": comment.distinguished if tells_details else None,
        "stickied": comment.stickied if tells_details else None,
        "edited_at": comment.edited_at if tells_details else None,
        "details_observed_at": row.observed_at if tells_details else None,
    }
    return [values[name] for name in _COLUMNS]
