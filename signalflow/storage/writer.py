"""Writes of the sink: posts, their text features, their history and their ranks, in one transaction.

Redelivery, disorder and any split into batches give the same rows, because every column of a post has a guard
(columns.py): author, title and the like follow the newest observation, the score and what is computed with it the
newest that told a score, comments and flags the newest that told them, the body the newest that carried one, and
first_seen_at the earliest. If two observations are of the same moment, the first in log order counts. Text features
follow the title. The history keeps the first row of each moment, and the ranks the first of each moment and listing.

What an author wrote, and the author, is erased if it was observed until `erased_until`: the newest observation that
says that the post was taken away, or infinity once its erasure was asked for. So an older observation that comes again
brings no text back, and a newer one that shows the post does. docs/decisions/erasure.md has the reasons.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import asyncpg
from msgspec import UNSET

from signalflow.domain.words import REQUEST
from signalflow.errors import Invalid
from signalflow.events import Enriched, without_text
from signalflow.fail_points import reach
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.columns import FEATURES, HISTORY, POSTS, RANKS, Arrays, Column, Guard, arrays_of
from signalflow.storage.erasure import erase_alerts_of_posts, erase_posts_of_erased_authors, keep_erasures_out
from signalflow.storage.partitions import HISTORY_TABLE, make_partitions_of_observations, refuse_other_days
from signalflow.storage.pool import Pool, connection, transaction
from signalflow.storage.positions import Advances, LogRecord, Progress, advance

# Parameters are arrays sorted by id, one element per post. All writers therefore lock posts in the same order and
# cannot deadlock. The writer that has locked a post is the only one that writes its history and features.
_STORE_POSTS = """
WITH input AS MATERIALIZED (
    SELECT * FROM unnest({parameters}) AS t ({posts}, {features})
), stored AS (
    INSERT INTO posts AS p ({posts})
    SELECT {inserted} FROM input
    -- The poller marks a post that Reddit no longer shows; a newer observation shows it again.
    ON CONFLICT (id) DO UPDATE SET {guarded}, not_shown_since =
        CASE WHEN EXCLUDED.last_polled_at >= p.not_shown_since THEN NULL ELSE p.not_shown_since END
    WHERE {any_guard}
    RETURNING id, title, COALESCE(last_polled_at <= erased_until, false) AS is_erased
)
INSERT INTO post_nlp_features AS n (post_id, title, {features})
SELECT id, title, {features}
-- An input whose title is not the stored one was not the newest observation: its features are not the post's.
FROM input JOIN stored USING (id, title)
WHERE NOT is_erased AND NOT EXISTS (
    SELECT FROM post_nlp_features AS o
    WHERE o.post_id = input.id AND (o.title, {old_features}) IS NOT DISTINCT FROM (input.title, {new_features})
)
ON CONFLICT (post_id) DO UPDATE SET title = EXCLUDED.title, {replaced_features}
"""
# Of erased posts only the numbers stay: keywords are words of the title. When the database knew of it is kept once.
_FORGET = """
WITH gone AS (
    SELECT id, removed_by, seen_at FROM posts JOIN unnest($1::text[], $2::timestamptz[]) AS r (id, seen_at) USING (id)
    WHERE last_polled_at <= erased_until
), forgotten AS (
    UPDATE post_nlp_features SET title = '', keywords = '[]', topic_cluster = NULL FROM gone
    WHERE post_id = gone.id AND (title <> '' OR keywords <> '[]' OR topic_cluster IS NOT NULL)
)
INSERT INTO erasures (post_id, removed_by, seen_at) SELECT id, removed_by, seen_at FROM gone
ON CONFLICT (post_id) DO NOTHING
"""
# Parameters have one element per observation, in log order within a post. If two are of the same moment, the first is
# kept. Only hours that got a new row are recorded, so redelivery causes no work for the rollup.
_STORE_HISTORY = """
WITH stored AS (
    INSERT INTO post_metrics_history ({columns})
    SELECT * FROM unnest({parameters})
    ON CONFLICT (post_id, observed_at) DO NOTHING
    RETURNING observed_at
), touched AS (
    INSERT INTO rollup_touched (bucket) SELECT DISTINCT date_trunc('hour', observed_at, 'UTC') FROM stored
)
SELECT history_from, now() AS now FROM schema_info
"""
_STORE_RANKS = "INSERT INTO post_ranks ({columns}) SELECT * FROM unnest({parameters}) ON CONFLICT DO NOTHING"


class Statement(NamedTuple):
    """A statement, and a function that makes its parameters in the same order."""

    sql: str
    arrays: Arrays


def posts_statement(posts: Sequence[Column], features: Sequence[Column]) -> Statement:
    """The statement that stores posts with these columns, and their text features."""
    sql = _STORE_POSTS.format(
        parameters=_parameters([*posts, *features]),
        posts=_listed("{}", posts),
        inserted=", ".join(map(_inserted, posts)),
        guarded=", ".join(f"{column.name} = {_merged(column)}" for column in posts[1:]),
        any_guard=" OR ".join(guard.value for guard in Guard),
        features=_listed("{}", features),
        old_features=_listed("o.{}", features),
        new_features=_listed("input.{}", features),
        replaced_features=_listed("{0} = EXCLUDED.{0}", features),
    )
    return Statement(sql, arrays_of([*posts, *features]))


def _inserted(column: Column) -> str:
    """The SQL of its value in a new row."""
    if column.same_as:
        return f"NULLIF({column.name}, {column.same_as})"
    return _kept(column, column.name, _OBSERVED, "erased_until")


def _merged(column: Column) -> str:
    """The SQL of its value after an update."""
    value = f"CASE WHEN {column.guard.value} THEN {column.value_in('EXCLUDED')} ELSE {column.value_in('p')} END"
    if column.same_as:
        return f"NULLIF({value}, GREATEST(EXCLUDED.{column.same_as}, p.{column.same_as}))"
    return _kept(column, value, _OBSERVED_AFTER, "GREATEST(EXCLUDED.erased_until, p.erased_until)")


# The SQL of the moment at which the value of a column with this guard was observed, in an input and after an update.
_OBSERVED = {Guard.NEWEST: "last_polled_at", Guard.DETAILS: "details_observed_at", Guard.TEXT: "text_observed_at"}
_OBSERVED_AFTER = {
    Guard.NEWEST: "GREATEST(EXCLUDED.last_polled_at, p.last_polled_at)",
    Guard.DETAILS: f"CASE WHEN {Guard.DETAILS.value}"
    " THEN COALESCE(EXCLUDED.details_observed_at, EXCLUDED.last_polled_at)"
    " ELSE COALESCE(p.details_observed_at, p.last_polled_at) END",
    Guard.TEXT: "GREATEST(EXCLUDED.text_observed_at, p.text_observed_at)",
}


def _kept(column: Column, value: str, observed: Mapping[Guard, str], erased_until: str) -> str:
    """The SQL of a value, or of what stands instead of it if it is erased."""
    if not column.erased:
        return value
    return f"CASE WHEN {observed[column.guard]} <= {erased_until} THEN {column.erased} ELSE {value} END"


def history_statement(columns: Sequence[Column]) -> Statement:
    """The statement that stores history with these columns."""
    sql = _STORE_HISTORY.format(columns=_listed("{}", columns), parameters=_parameters(columns))
    return Statement(sql, arrays_of(columns))


def ranks_statement(columns: Sequence[Column]) -> Statement:
    """The statement that stores ranks with these columns."""
    sql = _STORE_RANKS.format(columns=_listed("{}", columns), parameters=_parameters(columns))
    return Statement(sql, arrays_of(columns))


def _parameters(columns: Sequence[Column]) -> str:
    return ", ".join(f"${number}::{column.type}[]" for number, column in enumerate(columns, start=1))


def _listed(pattern: str, columns: Sequence[Column]) -> str:
    return ", ".join(pattern.format(column.name) for column in columns)


STORE_POSTS = posts_statement(POSTS, FEATURES)
STORE_HISTORY = history_statement(HISTORY)
STORE_RANKS = ranks_statement(RANKS)


_ID = attrgetter("id")
RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row whose values the database refuses: its index in the given rows, and the reason."""

    index: int
    error: Invalid


@dataclass(frozen=True, slots=True)
class _Columns:
    """The parameters of the statements. `removals`: when a post was first seen as taken away, by its id."""

    posts: list[list[Any]]
    history: list[list[Any]]
    ranks: list[list[Any]]
    removals: dict[str, datetime]


async def write_batch(
    pool: Pool, rows: Sequence[Enriched], advances: Advances | None = None, alerts: AlertMatches | None = None
) -> None:
    """Store observations, given in log order, in one transaction, with what rules of `alerts` meet of them.

    Backfilled posts leave neither history nor ranks, and observations without numbers leave no history.

    The same transaction advances the positions of the records that the rows come from. Raises Retryable (try the same
    rows again), Invalid (the values of at least one row are refused), StoredBehind or Fatal.
    """
    if not rows and advances is None:
        return
    columns = _columns(rows)
    try:
        await _store(pool, columns, advances, rows, alerts)
    except Invalid as error:
        if not _lacks_partition(error):
            raise
        await make_partitions_of_observations(pool, columns.history[1])
        await _store(pool, columns, advances, rows, alerts)


async def write_or_reject(
    pool: Pool,
    rows: Sequence[Enriched],
    records: Sequence[LogRecord] = (),
    progress: Progress | None = None,
    alerts: AlertMatches | None = None,
) -> list[Rejected]:
    """Store all rows that the database accepts, with what rules of `alerts` meet of them, and return the others.

    `records` are those that the rows come from, one a row; `progress` is advanced as they are stored. After Retryable,
    StoredBehind or Fatal the same rows may be given again.
    """
    return await store_or_reject(partial(write_batch, alerts=alerts), pool, rows, records, progress)


async def store_or_reject(
    store: Callable[[Pool, Sequence[RowT], Advances | None], Awaitable[None]],
    pool: Pool,
    rows: Sequence[RowT],
    records: Sequence[LogRecord],
    progress: Progress | None,
    start: int = 0,
) -> list[Rejected]:
    """As `write_or_reject`, with any function that stores rows as `write_batch` does. `start`: the first index."""
    advances = progress.advances(records) if progress else None
    try:
        await store(pool, rows, advances)
    except Invalid as error:
        if len(rows) == 1:
            return [Rejected(start, error)]
        middle = len(rows) // 2
        # In sequence, because the first of two observations of the same moment must be stored first.
        first = await store_or_reject(store, pool, rows[:middle], records[:middle], progress, start)
        second = await store_or_reject(store, pool, rows[middle:], records[middle:], progress, start + middle)
        return first + second
    if progress and advances:
        progress.stored(advances)
    return []


async def _store(
    pool: Pool, columns: _Columns, advances: Advances | None, rows: Sequence[Enriched], alerts: AlertMatches | None
) -> None:
    async with transaction(pool) as storing:
        if columns.posts[0]:
            await keep_erasures_out(storing)
        if advances is not None:
            await advance(storing, advances)
        if columns.posts[0]:
            await storing.execute(STORE_POSTS.sql, *columns.posts)
            asked_for = [row.id for row in rows if row.removed_by == REQUEST]
            await erase_posts_of_erased_authors(storing, columns.posts[0], asked_for)
        if columns.removals:
            await storing.execute(_FORGET, list(columns.removals), list(columns.removals.values()))
            await erase_alerts_of_posts(storing, list(columns.removals))
        if columns.posts[0]:
            # Also without history: a server that lacks the TimescaleDB that the schema needs refuses this statement.
            [kept] = await storing.fetch(STORE_HISTORY.sql, *columns.history)
            if columns.history[0]:
                refuse_other_days(columns.history[1], kept["history_from"], kept["now"])
        if columns.ranks[0]:
            await storing.execute(STORE_RANKS.sql, *columns.ranks)
        if rows and alerts:
            await alerts.write(storing, rows)
        reach("sink.before_commit")
    reach("sink.after_commit")


_IS_STORED = """
SELECT EXISTS (SELECT FROM post_metrics_history WHERE post_id = $1 AND observed_at = $2)
    OR EXISTS (SELECT FROM posts WHERE id = $1 AND last_polled_at >= $2)
"""


async def is_stored(pool: Pool, row: Enriched) -> bool:
    """Whether an observation is in the history, or its post holds it or a newer one."""
    async with connection(pool) as reading:
        return bool(await reading.fetchval(_IS_STORED, row.id, row.observed_at))


def _lacks_partition(error: Invalid) -> bool:
    """Whether a row found no partition: a check violation of the table that names no constraint.

    The message is no help: servers translate it.
    """
    cause = error.__cause__
    return (
        isinstance(cause, asyncpg.CheckViolationError)
        and cause.table_name == HISTORY_TABLE
        and not cause.constraint_name
    )


def _columns(rows: Sequence[Enriched]) -> _Columns:
    # Records of earlier versions hold the text of posts that were taken away.
    told = (without_text(row) if row.removed_by else row for row in rows)
    ordered = sorted(told, key=_ID)  # stable: log order within a post
    return _Columns(
        posts=_post_arrays(ordered),
        history=_history_arrays(ordered),
        ranks=_rank_arrays(ordered),
        removals=_removals(ordered),
    )


def _removals(ordered: Sequence[Enriched]) -> dict[str, datetime]:
    found: dict[str, datetime] = {}
    for row in ordered:
        if row.removed_by:
            found[row.id] = min(row.observed_at, found.get(row.id, row.observed_at))
    return found


def _score(row: Enriched) -> tuple[bool, datetime]:
    """What Guard.SCORE compares."""
    return row.current_score is not None, row.observed_at


def _details(row: Enriched) -> tuple[bool, bool, datetime]:
    """What Guard.DETAILS compares."""
    return row.current_comments is not None, row.is_self is not None, row.observed_at


def _post_arrays(ordered: Sequence[Enriched]) -> list[list[Any]]:
    """One element per post: its observations, merged by the guards that the statement also has.

    So one batch gives the same rows as several.
    """
    newest: list[Enriched] = []
    scores: list[Enriched] = []
    details: list[Enriched] = []
    first: list[Enriched] = []
    texts: list[Enriched | None] = []
    removed: list[Enriched | None] = []
    current = ""
    for row in ordered:
        if row.id != current:
            current = row.id
            newest.append(row)
            scores.append(row)
            details.append(row)
            first.append(row)
            texts.append(None if row.body is UNSET else row)
            removed.append(row if row.removed_by else None)
            continue
        if row.observed_at > newest[-1].observed_at:
            newest[-1] = row
        if _score(row) > _score(scores[-1]):
            scores[-1] = row
        if _details(row) > _details(details[-1]):
            details[-1] = row
        if row.first_seen_at < first[-1].first_seen_at:
            first[-1] = row
        text = texts[-1]
        if row.body is not UNSET and (text is None or row.observed_at > text.observed_at):
            texts[-1] = row
        removal = removed[-1]
        if row.removed_by and (removal is None or row.observed_at > removal.observed_at):
            removed[-1] = row
    return STORE_POSTS.arrays(
        {
            Guard.NEWEST: newest,
            Guard.SCORE: scores,
            Guard.DETAILS: details,
            Guard.TEXT: texts,
            Guard.FIRST: first,
            Guard.REMOVED: removed,
        }
    )


def _history_arrays(ordered: Sequence[Enriched]) -> list[list[Any]]:
    """One element per observation that leaves history."""
    seen = [
        row
        for row in ordered
        if row.mode != "backfill" and row.current_score is not None and row.current_comments is not None
    ]
    return STORE_HISTORY.arrays({Guard.NEWEST: seen})


def _rank_arrays(ordered: Sequence[Enriched]) -> list[list[Any]]:
    """One element per observation in a listing by rank."""
    return STORE_RANKS.arrays({Guard.NEWEST: [row for row in ordered if row.mode != "backfill" and row.rank]})
