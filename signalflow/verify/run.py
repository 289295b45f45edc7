"""Did we lose anything? Compares the topics with the tables, whether the pipeline runs or not.

The order ensures that no record is taken for lost while it is being processed. The committed offsets of the group come
first. The snapshot of the database, taken next, says itself how far the topics are stored. The ends of the topics, read
last, hold at least what the snapshot shows. A row that is due must be there; a row that is not due yet must be
explained by the log.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.reader import Offsets
from signalflow.kafka.topic_ids import topic_ids
from signalflow.settings import Settings
from signalflow.verify.compare import Connection, compare_in, snapshot, stored_positions
from signalflow.verify.expect import Oracle, Scope
from signalflow.verify.figures import Rules
from signalflow.verify.letters import Letters, compare_events, compare_letters
from signalflow.verify.log import Committed, TopicLog
from signalflow.verify.report import Report

# Rows and velocities from before may rest on records that the log has lost.
_LAST_BREAK = "SELECT max(noticed_at) FROM log_breaks WHERE topic = ANY($1)"
_RANKS_FROM = "SELECT date_trunc('day', now() - make_interval(days => $1), 'UTC')"
_HISTORY_FROM = "SELECT history_from FROM schema_info"

# Called with what is being read, how much more of it was read, and how much there is in all (None: unknown).
Progress = Callable[[str, int, int | None], None]


def rules_of(settings: Settings) -> Rules:
    """The settings that the computed numbers depend on."""
    return Rules(
        velocity_high=settings.trending_velocity_high,
        velocity_low=settings.trending_velocity_low,
        sentiment=settings.trending_sentiment,
        comments=settings.trending_comments,
        threshold=settings.trending_threshold,
        state_hours=settings.post_state_hours,
        fold_apostrophes=settings.fold_apostrophes,
        ahead_minutes=settings.observed_ahead_minutes,
        trend_window=settings.trend_window,
    )


class Topics(Protocol):
    """The names of the topics that are compared with the tables."""

    @property
    def posts_raw(self) -> str: ...
    @property
    def posts_enriched(self) -> str: ...
    @property
    def posts_dlq(self) -> str: ...
    @property
    def post_state_changelog(self) -> str: ...


class OtherTopicsError(Fatal):
    """The tables were filled from topics with other ids than the topics of this Kafka."""


async def _written(
    settings: Settings, connection: Connection, ids: Mapping[str, UUID], topics: Topics, committed: Committed
) -> Offsets:
    """Enriched records below these offsets are in the snapshot.

    While a database has no position of the enriched topic, what the group committed counts: nothing was written yet, or
    by a version that had no positions. Raises OtherTopicsError when it has positions of other topics alone.
    """
    positions = await stored_positions(connection)
    enriched = ids.get(topics.posts_enriched)
    written = {position.partition: position.next_offset for position in positions if position.topic_id == enriched}
    if written:
        return written
    if any(position.topic_id not in ids.values() for position in positions):
        raise OtherTopicsError(
            f"these topics are not of this database: it was filled from topics with other ids than those at "
            f"{settings.kafka}. Is this the Kafka that it was filled from?"
        )
    return committed.written


async def verify(
    settings: Settings,
    topics: Topics,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = lambda what, more, total: None,
) -> Report:
    """Compare the tables with all that the topics still hold, or with what brokers received from `since` to `until`.

    Raises Retryable when Kafka or the database does not answer, Fatal when a topic or the schema is missing.
    """
    log = TopicLog(settings, settings.app_id)
    committed = await log.committed(topics.posts_raw, topics.posts_enriched, topics.posts_dlq)
    try:
        async with snapshot(settings.database_url.get_secret_value()) as connection:
            ids = await topic_ids(settings, [topics.posts_raw, topics.posts_enriched, topics.posts_dlq])
            broken = await connection.fetchval(_LAST_BREAK, [topics.posts_raw])
            # Brokers that lost the end of the enriched log may have lost the end of the raw log and the commits, too.
            # Then nobody knows. Velocities come from states that only the changelog keeps.
            logs = [topics.posts_raw, topics.posts_enriched, topics.post_state_changelog]
            any_broken = await connection.fetchval(_LAST_BREAK, logs)
            letters = Letters(topics.posts_raw, ids.get(topics.posts_raw), broken)
            dead = await log.extent(topics.posts_dlq)
            async for records in log.records(topics.posts_dlq, dead):
                for record in records:
                    letters.take(record)
            written = await _written(settings, connection, ids, topics, committed)
            extent = await log.extent(topics.posts_raw, since, until)
            start = max((moment for moment in (extent.start, any_broken) if moment is not None), default=None)
            stored = await log.stored(topics.posts_enriched, committed, written, broken)
            oracle = Oracle(
                rules_of(settings),
                Scope(
                    stored=stored,
                    enriched=committed.enriched,
                    written=await log.stored(topics.posts_enriched, committed, committed.written, broken),
                    counted=extent.counted,
                    start=start,
                    set_aside=letters.set_aside(),
                    history_from=await connection.fetchval(_HISTORY_FROM),
                ),
            )
            try:
                total = sum(end - extent.begins[partition] for partition, end in extent.ends.items())
                async for records in log.records(topics.posts_raw, extent):
                    for record in records:
                        oracle.take(record)
                    progress("records", len(records), total)
                report = await compare_in(
                    connection,
                    oracle.expected,
                    ranks_from=await connection.fetchval(_RANKS_FROM, settings.history_retention_days),
                    progress=lambda rows: progress("rows", rows, None),
                )
            finally:
                oracle.expected.close()
            report.dead_letters = compare_letters(oracle.expected, letters)
            if committed.letters is not None:
                all_kept = dead.start is None and not await connection.fetchval(_LAST_BREAK, [topics.posts_dlq])
                report.dlq_events = await compare_events(
                    connection, letters, topics.posts_dlq, committed.letters, all_kept, report.missing
                )
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise Fatal("the database has no schema that this version knows: run `signalflow migrate`") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise Retryable(f"database of SIGNALFLOW_DATABASE_URL: {type(error).__name__}: {error}") from error
    return report
