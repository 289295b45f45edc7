"""The sink agent writes enriched records to the database and acknowledges them after the commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mode

from signalflow.clock import utcnow
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid
from signalflow.events import DeadLetter, Enriched, decode_enriched
from signalflow.fail_points import reach
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import ROWS_WRITTEN, VISIBLE_SECONDS
from signalflow.settings import Settings
from signalflow.storage.pool import Pool
from signalflow.storage.writer import write_or_reject
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_types import RunStream

# Rows of one flush whose latency is measured: enough for a quantile, at a cost that does not grow with the load.
MOST_TIMED_ROWS = 50


@dataclass
class Flush:
    """Rows to store with the records they came from, and the dead letters of records that could not be decoded."""

    rows: list[Enriched] = field(default_factory=list)
    records: list[KafkaRecord] = field(default_factory=list)
    undecodable: list[DeadLetter] = field(default_factory=list)


class SinkHandler:
    """Writes batches of enriched records in one transaction each."""

    def __init__(self, pool: Pool, dead_letters: DeadLetters) -> None:
        self._pool, self._dead_letters = pool, dead_letters

    async def prepare(self, batch: Batch) -> Flush:
        """Decode; a record that cannot be decoded becomes a dead letter."""
        flush = Flush()
        for records in batch.partitions.values():
            for record in records:
                try:
                    check_readable(record)
                    flush.rows.append(decode_enriched(record.value or b""))
                    flush.records.append(record)
                except Invalid as error:
                    flush.undecodable.append(self._dead_letters.letter(record, error, "decode"))
        return flush

    async def commit(self, work: Flush, owned: Ownership) -> None:
        """Write the rows to the database.

        Rows that it refuses, and records that could not be decoded, become dead letters, sent and confirmed.
        """
        await self._set_aside(work.undecodable)
        work.undecodable = []
        rejected = await write_or_reject(self._pool, work.rows)
        await self._set_aside(
            [self._dead_letters.letter(work.records[row.index], row.error, "write") for row in rejected]
        )
        self._count(work.rows, len(rejected))

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await self._dead_letters.send(letters)
            reach("sink.after_dead_letters")

    def _count(self, rows: Sequence[Enriched], rejected: int) -> None:
        ROWS_WRITTEN.inc(len(rows) - rejected)
        now = utcnow()
        for row in rows[:: max(len(rows) // MOST_TIMED_ROWS, 1)]:
            VISIBLE_SECONDS.observe(max((now - row.emitted_at).total_seconds(), 0.0))


def register(app: Application, settings: Settings, handler_of: Callable[[], SinkHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_enriched)
    gathering = Gathering(settings.sink_max_records, settings.sink_max_records_behind, settings.sink_max_seconds)

    @app.agent(topic, name="sink", supervisor_strategy=mode.CrashingSupervisor)
    async def sink(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering, name="sink", guard=settings.contiguity_guard)
