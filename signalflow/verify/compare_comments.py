"""Compares table comments with what the topic of comments asks for, in the order of the ids."""

from collections.abc import AsyncIterator, Collection
from datetime import datetime
from hashlib import sha256
from typing import Any

from signalflow.verify.comments import (
    CommentRow,
    ExpectedComment,
    ExpectedComments,
    columns_that_differ,
    without_words,
)
from signalflow.verify.expect import CLOCKS_AGREE, same_number
from signalflow.verify.figures import sentiment_of_text
from signalflow.verify.report import TableReport

COLUMNS = (
    *("id", "post_id", "created_utc", "parent_id", "depth", "first_seen_at", "observed_at", "subreddit", "author"),
    *("body", "permalink", "removed_by", "score", "score_observed_at", "controversiality", "is_submitter"),
    *("distinguished", "stickied", "edited_at", "details_observed_at"),
    *("sentiment_score", "sentiment_label", "sentiment_basis"),
)
STATEMENT = f"SELECT {', '.join(COLUMNS)} FROM comments WHERE observed_at >= $1 ORDER BY id"  # noqa: S608, names
# The longest comment that Reddit takes has so many characters, and no more are judged.
_MOST_JUDGED = 10_000


async def compare_comments(
    rows: AsyncIterator[Any],
    expected: ExpectedComments,
    missing: set[str],
    start: datetime | None,
    erased: Collection[bytes] = (),
) -> TableReport:
    """Compare `rows` of STATEMENT with the comments of the log, which was read from `start` on (None: all of it).

    `missing` gets the ids of comments that must be stored and are not. `erased` are the digests of the names whose
    texts were erased on request.
    """
    certain_after = None if start is None else start + CLOCKS_AGREE
    table, comments = TableReport(), iter(expected)
    wanted, last = next(comments, None), ""
    async for row in rows:
        table.found += 1
        if row["id"] == last:
            table.note("duplicated", last)
            continue
        last = row["id"]
        while wanted is not None and wanted.id < last:
            _note_absent(table, wanted, missing)
            wanted = next(comments, None)
        if wanted is not None and wanted.id == last:
            _compare(table, wanted, row, certain_after, erased)
            wanted = next(comments, None)
        elif certain_after is None or row["observed_at"] > certain_after:
            table.note("extra", last)
        else:
            table.unchecked += 1
    while wanted is not None:
        _note_absent(table, wanted, missing)
        wanted = next(comments, None)
    return table


def _note_absent(table: TableReport, wanted: ExpectedComment, missing: set[str]) -> None:
    if wanted.due:
        table.expected += 1
        table.note("missing", wanted.id)
        missing.add(wanted.id)


def _compare(
    table: TableReport, wanted: ExpectedComment, row: Any, certain_after: datetime | None, erased: Collection[bytes]
) -> None:
    table.expected += wanted.due
    if not _sentiment_is_right(row):
        table.note("wrong", f"{wanted.id}: sentiment {row['sentiment_score']} {row['sentiment_label']}")
        return
    if wanted.unsure:
        table.unchecked += 1
        return
    possible = (_without_erased(each, erased) for each in wanted.rows if each is not None)
    columns = min((columns_that_differ(each, row, certain_after) for each in possible), key=len)
    if not columns:
        return
    if certain_after is not None and None in wanted.rows and row["observed_at"] <= certain_after:
        # The row may come from before the part of the log that was read: of this part nothing is due yet.
        table.unchecked += 1
    else:
        table.note("wrong", f"{wanted.id}: {', '.join(columns)}")


def _without_erased(row: CommentRow, erased: Collection[bytes]) -> CommentRow:
    if row.author is None or sha256(row.author.encode().lower()).digest() not in erased:
        return row
    return without_words(row)


def _sentiment_is_right(row: Any) -> bool:
    """Whether the sentiment is that of the stored text, which is compared with the log itself."""
    told = row["sentiment_score"], row["sentiment_label"], row["sentiment_basis"]
    if row["body"] is None:
        return told == (None, None, None)
    score, label = sentiment_of_text(row["body"][:_MOST_JUDGED], row["sentiment_basis"])
    return same_number(told[0], score) and told[1] == label
