"""The comments agent writes comments with their sentiment to the database, and acknowledges them after the commit.

It has no table: what it writes follows from the record alone.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import mode

from agents.storing import StoringHandler, age, timed
from signalflow.clock import utcnow
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.enrichment import enriched_comment
from signalflow.errors import Invalid
from signalflow.events import EnrichedComment
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import COMMENTS_WRITTEN, END_TO_END_SECONDS
from signalflow.positions.stored_topic import IsStored, StoredTopic
from signalflow.settings import Settings
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.comment_writer import comment_is_stored, write_comments
from signalflow.storage.paced_writer import PacedCommentWriter
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Advances
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Gathering, run_batch_loop
from signalflow.streams.faust_types import RunStream


class CommentsHandler(StoringHandler[EnrichedComment]):
    """Writes batches of comments."""

    stage = "validate"

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        dead_letters: DeadLetters,
        stored: StoredTopic,
        alerts: AlertMatches | None = None,
    ) -> None:
        super().__init__(PacedCommentWriter(pool, settings.database_timeout, alerts), dead_letters, stored)
        self._pool, self._row_of = pool, rows_of(settings)

    def row_of(self, record: KafkaRecord) -> EnrichedComment:
        """The comment with the sentiment of its text."""
        return self._row_of(record)

    async def advance(self, advances: Advances) -> None:
        """Advance positions without rows."""
        await write_comments(self._pool, [], advances)

    def count(self, rows: Sequence[EnrichedComment], rejected: int) -> None:
        """Count rows, and measure how long some of them took."""
        COMMENTS_WRITTEN.inc(len(rows) - rejected)
        now = utcnow()
        for row in timed(rows):
            if row.mode != "backfill":
                END_TO_END_SECONDS.labels(kind="comments").observe(age(row.observed_at, now))


def rows_of(settings: Settings) -> Callable[[KafkaRecord], EnrichedComment]:
    """The function that makes the row of a record. It raises Invalid."""
    most_ahead = timedelta(minutes=settings.observed_ahead_minutes)
    return lambda record: enriched_comment(record, most_ahead, settings.fold_apostrophes)


def newest_is_stored(settings: Settings) -> IsStored:
    """Tells whether the newest of some records that is a comment is in the table."""
    row_of = rows_of(settings)

    async def is_stored(pool: Pool, records: Sequence[KafkaRecord]) -> bool:
        for record in reversed(records):
            with suppress(Invalid):
                return await comment_is_stored(pool, row_of(record))
        return False

    return is_stored


def register(app: Application, settings: Settings, handler_of: Callable[[], CommentsHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).comments_raw)
    gathering = Gathering(settings.sink_max_records, settings.sink_max_records_behind, settings.sink_max_seconds)

    @app.agent(topic, name="comments", supervisor_strategy=mode.CrashingSupervisor)
    async def comments(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering, name="comments")
