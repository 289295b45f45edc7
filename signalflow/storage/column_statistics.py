"""PostgreSQL's statistics of columns. They hold values of some rows, also of rows that were erased since.

ANALYZE replaces them with values of the rows as they are. PostgreSQL itself does so when a tenth of a table has
changed, which may take weeks.
"""

from datetime import timedelta

from signalflow.storage.pool import CLIENT_GRACE_SECONDS, Pool, connection, transaction

# The tables with what authors wrote. Dead letters hold whole records, and answers of targets may repeat an alert.
TABLES = (
    *("alert_attempts", "alert_matches", "comments", "dlq_events", "post_nlp_features", "post_words", "posts"),
    "topic_clusters",
)
# An erased value stays in the statistics for so long at most, until the leader looks again.
LONGEST_AGE = timedelta(hours=1)
# ANALYZE reads a sample of 30,000 rows, each from a place of its own on a disk that may be slow.
SECONDS_PER_TABLE = 300

# Whether a table has changed is not asked: PostgreSQL does not count the rows that change during an ANALYZE, whose
# sample has them as they were before.
_OLD = """
SELECT relname FROM pg_stat_user_tables
WHERE relid IN (SELECT to_regclass(name) FROM unnest($1::text[]) AS name)
    AND COALESCE(GREATEST(last_analyze, last_autoanalyze), '-infinity') <= now() - $2::interval
ORDER BY relname
"""


async def renew_statistics(pool: Pool, longest_age: timedelta = LONGEST_AGE) -> list[str]:
    """Make the statistics anew of the tables with text whose statistics are older than this. Returns their names.

    Raises Retryable while the database is away, TookTooLong when a table takes longer than SECONDS_PER_TABLE.
    """
    async with connection(pool) as reading:
        old = [row["relname"] for row in await reading.fetch(_OLD, list(TABLES), longest_age)]
    for table in old:
        async with transaction(pool) as renewing:
            await renewing.execute(f"SET LOCAL statement_timeout = '{SECONDS_PER_TABLE}s'")
            await renewing.execute(f"ANALYZE {table}", timeout=SECONDS_PER_TABLE + CLIENT_GRACE_SECONDS)
    return old
