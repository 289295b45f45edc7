"""Did we lose anything? The topics against the tables, while the pipeline runs or when it is still.

In this order, so that nothing on its way is taken for lost: how far the group has come; then a snapshot of the database, which holds
at least that; then the ends of the topics, which hold at least what the snapshot shows. A row that is due must be there; a row that
is not due yet must, if it is there, be one that the log explains.
"""

from collections.abc import Callable
from datetime import datetime

import asyncpg

from signalflow.errors import Fatal, Retryable
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.verify.compare import compare_in, snapshot
from signalflow.verify.expect import Oracle, Scope
from signalflow.verify.figures import Rules
from signalflow.verify.letters import Letters, compare_events, compare_letters
from signalflow.verify.log import Log
from signalflow.verify.report import Report

# Told: what is being read, how much more was done of it, and of how much in all (None: unknown).
Progress = Callable[[str, int, int | None], None]


def rules_of(settings: Settings) -> Rules:
    """The settings that the figures depend on."""
    return Rules(
        velocity_high=settings.trending_velocity_high,
        velocity_low=settings.trending_velocity_low,
        sentiment=settings.trending_sentiment,
        comments=settings.trending_comments,
        threshold=settings.trending_threshold,
        state_hours=settings.post_state_hours,
    )


async def verify(
    settings: Settings,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = lambda what, more, total: None,
) -> Report:
    """Compare the tables with all that the topics still hold, or with what the brokers got from `since` to `until`.

    Raises Retryable when Kafka or the database does not answer, Fatal when a topic or the schema is not there.
    """
    names = TopicNames.of(settings)
    log = Log(settings, settings.app_id)
    committed = await log.committed(names.posts_raw, names.posts_enriched, names.posts_dlq)
    try:
        async with snapshot(settings.database_url.get_secret_value()) as connection:
            letters = Letters(names.posts_raw)
            dead = await log.extent(names.posts_dlq)
            async for records in log.records(names.posts_dlq, dead):
                for record in records:
                    letters.take(record)
            extent = await log.extent(names.posts_raw, since, until)
            oracle = Oracle(
                rules_of(settings),
                Scope(committed.stored, committed.enriched, extent.counted, extent.start, letters.set_aside()),
            )
            try:
                total = sum(end - extent.begins[partition] for partition, end in extent.ends.items())
                async for records in log.records(names.posts_raw, extent):
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
                    connection, letters, names.posts_dlq, committed.letters, dead.start is None
                )
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise Fatal("the database has no schema that this version knows: run `signalflow migrate`") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise Retryable(f"database of SIGNALFLOW_DATABASE_URL: {type(error).__name__}: {error}") from error
    return report
