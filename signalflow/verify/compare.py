"""Compares the tables with what the log asks for, in one snapshot of the database.

Both sides are read in the order of the keys. Rows come through server-side cursors, so memory does not grow with the
tables.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg

from signalflow.errors import Retryable
from signalflow.verify.comments import ExpectedComments
from signalflow.verify.compare_comments import STATEMENT as COMMENTS
from signalflow.verify.compare_comments import compare_comments
from signalflow.verify.expect import (
    ASKED_FOR,
    CLOCKS_AGREE,
    OF_THE_LOG,
    Expected,
    ExpectedPost,
    PostRow,
    columns_that_differ,
    is_erased,
    possible_rows,
    same_number,
)
from signalflow.verify.figures import is_english, sentiment
from signalflow.verify.hourly import HourlyCheck, hour_of
from signalflow.verify.ranks import compare_ranks
from signalflow.verify.report import Report, TableReport
from signalflow.verify.spool import HistoryRow

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Progress = Callable[[int], None]

ROWS_AT_ONCE = 2_000
_ALL = datetime(1, 1, 2, tzinfo=UTC)
# The driver gives infinity without a time zone, so it cannot be compared.
_FINITE = f"CASE p.erased_until WHEN 'infinity' THEN '{ASKED_FOR}' ELSE p.erased_until END AS erased_until"
_POST_COLUMNS = ", ".join(
    _FINITE if name == "erased_until" else f"p.{name}" for name in ("id", *PostRow._fields) if name not in OF_THE_LOG
)
_POSTS = f"""
SELECT {_POST_COLUMNS}, p.not_shown_since,
    n.post_id IS NOT NULL AS has_features, n.sentiment_score, n.sentiment_label, n.sentiment_basis,
    n.title <> '' OR n.keywords <> '[]' OR n.topic_cluster IS NOT NULL AS features_have_text
FROM posts p LEFT JOIN post_nlp_features n ON n.post_id = p.id
WHERE p.last_polled_at >= $1 ORDER BY p.id
"""  # noqa: S608, names of columns
_ORPHANS = (
    "SELECT post_id FROM post_nlp_features n WHERE NOT EXISTS (SELECT FROM posts p WHERE p.id = n.post_id) ORDER BY 1"
)
_HISTORY = (
    "SELECT post_id, observed_at, score, num_comments, upvote_ratio, score_velocity, comment_velocity, trend_velocity"
    " FROM post_metrics_history WHERE observed_at >= $1 ORDER BY post_id, observed_at"
)
# Posts that have left a cluster are in its size until the leader looks at them.
_CLUSTERS = """
SELECT id, size, COALESCE(posts, 0) AS posts, COALESCE(departed, 0) AS departed FROM topic_clusters
LEFT JOIN (SELECT topic_cluster AS id, count(*) AS posts FROM post_nlp_features GROUP BY 1) AS p USING (id)
LEFT JOIN (SELECT topic_cluster AS id, count(*) AS departed FROM topic_departures GROUP BY 1) AS d USING (id)
WHERE size <> COALESCE(posts, 0) + COALESCE(departed, 0) ORDER BY id
"""
_COUNT_CLUSTERS = "SELECT count(*) FROM topic_clusters"
_HISTORY_FROM = "SELECT history_from FROM schema_info"
# Without its library a hypertable hides compressed rows. The settings of a library are seen only where it is loaded.
_ALL_ROWS_ARE_SEEN = """
SELECT bool_and(mode = 'native' OR EXISTS (SELECT FROM pg_settings WHERE starts_with(name, 'timescaledb.')))
FROM schema_info
"""
_POSITIONS = "SELECT topic_id, partition, next_offset, record_at FROM stored_positions"
_BREAKS = "SELECT topic, partition, going_on_at, committed, reason, noticed_at FROM log_breaks ORDER BY id"
_ERASED_AUTHORS = "SELECT digest FROM erased_authors"
_GAPS_OPEN = "SELECT count(*) FROM listing_gaps WHERE closed_at IS NULL AND kind <> 'first_look'"
_STATES = "SELECT state, count(*) FROM dlq_events GROUP BY state ORDER BY state"


@asynccontextmanager
async def snapshot(database_url: str) -> AsyncIterator[Connection]:
    """A read-only connection that sees the database as it is now, until the end of the block.

    Raises Retryable when the server would not show all rows.
    """
    connection = await asyncpg.connect(
        database_url, server_settings={"application_name": "signalflow-verify", "timezone": "UTC", "jit": "off"}
    )
    try:
        # It ends with the connection. The driver's own block would end it by a statement, and when the server is gone
        # by then, the error of that statement would hide why.
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # The first statement takes the snapshot.
        if not await connection.fetchval(_ALL_ROWS_ARE_SEEN):
            raise Retryable("the history of this database needs TimescaleDB, which the server does not load")
        yield connection
    finally:
        await connection.close()


class StoredPosition(NamedTuple):
    """How far a partition of a topic is stored. `record_at`: when the log got the last stored record, if known."""

    topic_id: UUID
    partition: int
    next_offset: int
    record_at: datetime | None


async def stored_positions(connection: Connection) -> list[StoredPosition]:
    """How far the topics are stored in this snapshot."""
    return [StoredPosition(*row) for row in await connection.fetch(_POSITIONS)]


async def compare(expected: Expected, database_url: str) -> Report:
    """Compare all tables with what the log asks for. The pipeline must be idle: every record must be stored."""
    async with snapshot(database_url) as connection:
        return await compare_in(connection, expected)


async def compare_in(
    connection: Connection,
    expected: Expected,
    comments: ExpectedComments | None = None,
    *,
    ranks_from: datetime | None = None,
    progress: Progress = lambda rows: None,
) -> Report:
    """Like compare, in a given snapshot. `progress` is called with the number of rows that were compared.

    Comments are compared where the log of comments was read.
    `ranks_from`: retention may have removed the ranks of earlier moments.
    """
    report = Report(records=expected.records, records_due=expected.records_due, start=expected.start)
    await _compare_posts(connection, expected, report, progress)
    await _compare_history(connection, expected, report, await connection.fetchval(_HISTORY_FROM), progress)
    if comments is not None:
        report.records += comments.records
        report.records_due += comments.records_due
        lowest = _ALL if comments.start is None else min(comments.start, comments.earliest or comments.start)
        rows = _rows(connection, progress, COMMENTS, lowest)
        report.comments = await compare_comments(
            rows, comments, report.missing.comments, comments.start, await _erased_authors(connection)
        )
    lowest = max(_lowest(expected), ranks_from or _ALL)
    certain_after = None if expected.start is None else expected.start + CLOCKS_AGREE
    await compare_ranks(_rows, connection, expected.ranks, report, lowest, certain_after, progress)
    await _compare_clusters(connection, report.topic_clusters)
    report.breaks = [_told(*row) for row in await connection.fetch(_BREAKS)]
    report.gaps_open = await connection.fetchval(_GAPS_OPEN)
    report.dead_letter_states = {state: letters for state, letters in await connection.fetch(_STATES)}  # noqa: C416 (typed)
    return report


async def _erased_authors(connection: Connection) -> frozenset[bytes]:
    return frozenset(digest for (digest,) in await connection.fetch(_ERASED_AUTHORS))


def _told(
    topic: str, partition: int | None, going_on_at: int, committed: int | None, reason: str, noticed_at: datetime
) -> str:
    noticed = f"noticed {noticed_at:%Y-%m-%d %H:%M:%S} UTC"
    if partition is None or committed is None:
        return f"{topic}: {reason}: another topic than before, {noticed}"
    return f"{topic} partition {partition}: {reason}, committed to {committed}, read on at {going_on_at}, {noticed}"


def _lowest(expected: Expected) -> datetime:
    """Rows of this moment and later are read."""
    if expected.start is None:
        return _ALL
    posts = [post.row.last_polled_at for post in expected.posts.values() if post.row is not None]
    return hour_of(min([expected.start, expected.history.earliest or expected.start, *posts]))


async def _compare_posts(connection: Connection, expected: Expected, report: Report, progress: Progress) -> None:
    certain_after = None if expected.start is None else expected.start + CLOCKS_AGREE
    table = report.posts
    wanted = {
        post_id for post_id, post in expected.posts.items() if None not in post.not_stored_yet and not post.unsure
    }
    table.expected = len(wanted)
    last = ""
    async for row in _rows(connection, progress, _POSTS, _lowest(expected)):
        table.found += 1
        post_id: str = row["id"]
        wanted.discard(post_id)
        if post_id == last:
            table.note("duplicated", post_id)
            continue
        last = post_id
        _compare_features(row, report)
        # The poller tells this without the log. But no post is missed before its newest observation.
        if row["not_shown_since"] is not None and row["not_shown_since"] <= row["last_polled_at"]:
            table.note("wrong", f"{post_id}: not_shown_since {row['not_shown_since']} is before last_polled_at")
            continue
        post = expected.posts.get(post_id)
        if post is None:
            if certain_after is None or row["last_polled_at"] > certain_after:
                table.note("extra", post_id)
            else:
                table.unchecked += 1
        elif post.unsure:
            table.unchecked += 1
        else:
            rows = (possible for possible in possible_rows(post) if possible is not None)
            columns = min((columns_that_differ(possible, row, certain_after) for possible in rows), key=len)
            if columns and _may_be_older(post, row, certain_after):
                table.unchecked += 1
            elif columns:
                table.note("wrong", f"{post_id}: {', '.join(columns)}")
    report.missing.posts = wanted
    for post_id in sorted(wanted):
        table.note("missing", post_id)
    for (post_id,) in await connection.fetch(_ORPHANS):
        report.features.found += 1
        report.features.note("extra", post_id)


def _may_be_older(post: ExpectedPost, row: Any, certain_after: datetime | None) -> bool:
    """Whether the row may come from before the part of the log that was read: of this part nothing is due yet."""
    return certain_after is not None and None in post.not_stored_yet and row["last_polled_at"] <= certain_after


def _compare_features(row: Any, report: Report) -> None:
    """Compare the text features of a post with the features of its stored title.

    The title itself is compared with the post.
    """
    table = report.features
    if is_erased(row):
        # What is left of them is of a title that nobody knows any more.
        table.found += row["has_features"]
        table.expected += row["has_features"]
        if row["features_have_text"]:
            table.note("wrong", f"{row['id']}: words of a title that is erased")
        return
    table.expected += 1
    if not row["has_features"]:
        table.note("missing", row["id"])
        return
    table.found += 1
    # What was stored with another setting, or before there was one, says what it was computed from.
    basis = row["sentiment_basis"]
    if basis == "not_english" and is_english(row["title"]):
        basis = "as_written"
    score, label = sentiment(row["title"], basis)
    if not same_number(row["sentiment_score"], score) or row["sentiment_label"] != label:
        table.note(
            "wrong", f"{row['id']}: sentiment {row['sentiment_score']} {row['sentiment_label']}, is {score} {label}"
        )


async def _compare_clusters(connection: Connection, table: TableReport) -> None:
    """Compare the sizes of topic clusters with the posts that have them. Which posts these are, no log tells."""
    table.expected = table.found = await connection.fetchval(_COUNT_CLUSTERS)
    for row in await connection.fetch(_CLUSTERS):
        table.note("wrong", f"{row['id']}: size {row['size']}, is {row['posts'] + row['departed']}")


async def _compare_history(
    connection: Connection,
    expected: Expected,
    report: Report,
    history_from: datetime,
    progress: Progress,
) -> None:
    certain_after = None if expected.start is None else expected.start + CLOCKS_AGREE
    table, lowest = report.history, max(_lowest(expected), history_from)
    hours = await HourlyCheck.begin(connection, lowest)
    wanted_rows = (row for row in expected.history if row.observed_at >= lowest)
    wanted = next(wanted_rows, None)
    last: tuple[str, datetime] | None = None
    async for row in _rows(connection, progress, _HISTORY, lowest):
        table.found += 1
        key = row["post_id"], row["observed_at"]
        if key == last:
            table.note("duplicated", _named(key))
            continue
        last = key
        await hours.take(row)
        while wanted is not None and wanted[:2] < key:
            _absent(report, wanted)
            wanted = next(wanted_rows, None)
        if wanted is not None and wanted[:2] == key:
            _compare_row(report, wanted, row)
            wanted = next(wanted_rows, None)
        elif certain_after is None or row["observed_at"] > certain_after:
            table.note("extra", _named(key))
        else:
            table.unchecked += 1
    while wanted is not None:
        _absent(report, wanted)
        wanted = next(wanted_rows, None)
    report.hourly = await hours.end()


def _absent(report: Report, wanted: HistoryRow) -> None:
    if wanted.due:
        report.history.expected += 1
        report.history.note("missing", _named(wanted[:2]))
        report.missing.observations.add(wanted[:2])


def _compare_row(report: Report, wanted: HistoryRow, row: Any) -> None:
    table = report.history
    table.expected += 1
    names = ["score", "num_comments", "upvote_ratio"]
    if wanted.velocity_known:
        names += ["score_velocity", "comment_velocity"]
    if wanted.trend_known:
        names.append("trend_velocity")
    table.unchecked += not (wanted.velocity_known and wanted.trend_known)
    differ = [name for name in names if not same_number(row[name], getattr(wanted, name))]
    if differ:
        told = ", ".join(f"{name} {row[name]}, is {getattr(wanted, name)}" for name in differ)
        table.note("wrong", f"{_named(wanted[:2])}: {told}")


def _named(key: tuple[str, datetime]) -> str:
    return f"{key[0]} at {key[1].isoformat()}"


async def _rows(connection: Connection, progress: Progress, statement: str, *arguments: Any) -> AsyncIterator[Any]:
    number = 0
    async for row in connection.cursor(statement, *arguments, prefetch=ROWS_AT_ONCE):
        yield row
        number += 1
        if number % ROWS_AT_ONCE == 0:
            progress(ROWS_AT_ONCE)
    progress(number % ROWS_AT_ONCE)
