"""The sink agent writes enriched records to the database and acknowledges them after the commit."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import mode

from agents.storing import StoringHandler, age, timed
from signalflow.clock import utcnow
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid
from signalflow.events import Enriched, decode_enriched
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import END_TO_END_SECONDS, ROWS_WRITTEN, VISIBLE_SECONDS
from signalflow.positions.stored_topic import StoredTopic
from signalflow.settings import Settings
from signalflow.storage.alert_matches import AlertMatches
from signalflow.storage.paced_writer import PacedWriter
from signalflow.storage.pool import Pool
from signalflow.storage.positions import Advances
from signalflow.storage.writer import is_stored, write_batch
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Gathering, run_batch_loop
from signalflow.streams.faust_types import RunStream


class SinkHandler(StoringHandler[Enriched]):
    """Writes batches of enriched records. `timeout`: seconds that a statement may take."""

    stage = "decode"

    def __init__(
        self,
        pool: Pool,
        dead_letters: DeadLetters,
        stored: StoredTopic,
        timeout: float,
        alerts: AlertMatches | None = None,
    ) -> None:
        super().__init__(PacedWriter(pool, timeout, alerts), dead_letters, stored)
        self._pool = pool

    def row_of(self, record: KafkaRecord) -> Enriched:
        """The enriched record."""
        check_readable(record)
        return decode_enriched(record.value or b"")

    async def advance(self, advances: Advances) -> None:
        """Advance positions without rows."""
        await write_batch(self._pool, [], advances)

    def count(self, rows: Sequence[Enriched], rejected: int) -> None:
        """Count rows, and measure how long some of them took."""
        ROWS_WRITTEN.inc(len(rows) - rejected)
        now = utcnow()
        for row in timed(rows):
            VISIBLE_SECONDS.observe(age(row.emitted_at, now))
            if row.mode != "backfill":
                END_TO_END_SECONDS.labels(kind="posts").observe(age(row.observed_at, now))


async def newest_is_stored(pool: Pool, records: Sequence[KafkaRecord]) -> bool:
    """Whether the newest of these enriched records that can be decoded is in the tables."""
    for record in reversed(records):
        with suppress(Invalid):
            return await is_stored(pool, decode_enriched(record.value or b""))
    return False


def register(app: Application, settings: Settings, handler_of: Callable[[], SinkHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_enriched)
    gathering = Gathering(settings.sink_max_records, settings.sink_max_records_behind, settings.sink_max_seconds)

    @app.agent(topic, name="sink", supervisor_strategy=mode.CrashingSupervisor)
    async def sink(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering, name="sink")
