"""Writes of the sink: posts, their text features, their history and their ranks, in one transaction.

Redelivery, disorder and any split into batches give the same rows, because every column of a post has a guard
(columns.py): author, title and the like follow the newest observation, the score and what is computed with it the
newest that told a score, comments and flags the newest that told them, the body the newest that carried one, and
first_seen_at the earliest. If two observations are of the same moment, the first in log order counts. Text features
follow the title. The history keeps the first row of each moment, and the ranks the first of each moment and listing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import asyncpg
from msgspec import UNSET

from signalflow.errors import Invalid
from signalflow.events import Enriched
from signalflow.fail_points import reach
from signalflow.storage.columns import FEATURES, HISTORY, POSTS, RANKS, Arrays, Column, Guard, arrays_of
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
    RETURNING id, title
)
INSERT INTO post_nlp_features AS n (post_id, title, {features})
SELECT id, title, {features}
-- An input whose title is not the stored one was not the newest observation: its features are not the post's.
FROM input JOIN stored USING (id, title)
WHERE NOT EXISTS (
    SELECT FROM post_nlp_features AS o
    WHERE o.post_id = input.id AND (o.title, {old_features}) IS NOT DISTINCT FROM (input.title, {new_features})
)
ON CONFLICT (post_id) DO UPDATE SET title = EXCLUDED.title, {replaced_features}
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
        inserted=", ".join(
            f"NULLIF({column.name}, {column.same_as})" if column.same_as else column.name for column in posts
        ),
        guarded=", ".join(f"{column.name} = {_merged(column)}" for column in posts[1:]),
        any_guard=" OR ".join(guard.value for guard in Guard),
        features=_listed("{}", features),
        old_features=_listed("o.{}", features),
        new_features=_listed("input.{}", features),
        replaced_features=_listed("{0} = EXCLUDED.{0}", features),
    )
    return Statement(sql, arrays_of([*posts, *features]))


def _merged(column: Column) -> str:
    """The SQL of its value after an update."""
    value = f"CASE WHEN {column.guard.value} THEN {column.value_in('EXCLUDED')} ELSE {column.value_in('p')} END"
    return f"NULLIF({value}, GREATEST(EXCLUDED.{column.same_as}, p.{column.same_as}))" if column.same_as else value


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
    """The parameters of the statements."""

    posts: list[list[Any]]
    history: list[list[Any]]
    ranks: list[list[Any]]


async def write_batch(pool: Pool, rows: Sequence[Enriched], advances: Advances | None = None) -> None:
    """Store observations, given in log order, in one transaction.

    Backfilled posts leave neither history nor ranks, and observations without numbers leave no history.

    The same transaction advances the positions of the records that the rows come from. Raises Retryable (try the same
    rows again), Invalid (the values of at least one row are refused), StoredBehind or Fatal.
    """
    if not rows and advances is None:
        return
    columns = _columns(rows)
    try:
        await _store(pool, columns, advances)
    except Invalid as error:
        if not _lacks_partition(error):
            raise
        await make_partitions_of_observations(pool, columns.history[1])
        await _store(pool, columns, advances)


async def write_or_reject(
    pool: Pool,
    rows: Sequence[Enriched],
    records: Sequence[LogRecord] = (),
    progress: Progress | None = None,
) -> list[Rejected]:
    """Store all rows that the database accepts, and return the others.

    `records` are those that the rows come from, one a row; `progress` is advanced as they are stored. After Retryable,
    StoredBehind or Fatal the same rows may be given again.
    """
    return await store_or_reject(write_batch, pool, rows, records, progress)


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


async def _store(pool: Pool, columns: _Columns, advances: Advances | None) -> None:
    async with transaction(pool) as storing:
        if advances is not None:
            await advance(storing, advances)
        if columns.posts[0]:
            await storing.execute(STORE_POSTS.sql, *columns.posts)
        if columns.history[0]:
            [kept] = await storing.fetch(STORE_HISTORY.sql, *columns.history)
            refuse_other_days(columns.history[1], kept["history_from"], kept["now"])
        if columns.ranks[0]:
            await storing.execute(STORE_RANKS.sql, *columns.ranks)
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
    ordered = sorted(rows, key=_ID)  # stable: log order within a post
    return _Columns(_post_arrays(ordered), _history_arrays(ordered), _rank_arrays(ordered))


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
    current = ""
    for row in ordered:
        if row.id != current:
            current = row.id
            newest.append(row)
            scores.append(row)
            details.append(row)
            first.append(row)
            texts.append(None if row.body is UNSET else row)
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
    return STORE_POSTS.arrays(
        {Guard.NEWEST: newest, Guard.SCORE: scores, Guard.DETAILS: details, Guard.TEXT: texts, Guard.FIRST: first}
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
