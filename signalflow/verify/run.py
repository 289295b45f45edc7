"""Did we lose anything? Compares the topics with the tables, whether the pipeline runs or not.

The order ensures that no record is taken for lost while it is being processed. The committed offsets of the group come
first. The snapshot of the database, taken next, holds at least what was committed. The ends of the topics, read last,
hold at least what the snapshot shows. A row that is due must be there; a row that is not due yet must be explained by
the log.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import asyncpg

from signalflow.errors import Fatal, Retryable
from signalflow.settings import Settings
from signalflow.verify.compare import compare_in, snapshot
from signalflow.verify.expect import Oracle, Scope
from signalflow.verify.figures import Rules
from signalflow.verify.letters import Letters, compare_events, compare_letters
from signalflow.verify.log import TopicLog
from signalflow.verify.report import Report

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
        ahead_minutes=settings.observed_ahead_minutes,
    )


class Topics(Protocol):
    """The names of the topics that are compared with the tables."""

    @property
    def posts_raw(self) -> str: ...
    @property
    def posts_enriched(self) -> str: ...
    @property
    def posts_dlq(self) -> str: ...


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
            letters = Letters(topics.posts_raw)
            dead = await log.extent(topics.posts_dlq)
            async for records in log.records(topics.posts_dlq, dead):
                for record in records:
                    letters.take(record)
            extent = await log.extent(topics.posts_raw, since, until)
            oracle = Oracle(
                rules_of(settings),
                Scope(
                    committed.stored,
                    committed.enriched,
                    extent.counted,
                    extent.start,
                    letters.set_aside(),
                    await connection.fetchval(_HISTORY_FROM),
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
                    retention_days=settings.history_retention_days,
                    progress=lambda rows: progress("rows", rows, None),
                )
            finally:
                oracle.expected.close()
            report.dead_letters = compare_letters(oracle.expected, letters)
            if committed.letters is not None:
                report.dlq_events = await compare_events(
                    connection, letters, topics.posts_dlq, committed.letters, dead.start is None
                )
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise Fatal("the database has no schema that this version knows: run `signalflow migrate`") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise Retryable(f"database of SIGNALFLOW_DATABASE_URL: {type(error).__name__}: {error}") from error
    return report
