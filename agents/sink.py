"""The sink agent writes enriched records to the database and acknowledges them after the commit."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import mode

from agents.stored import StoredTopic
from signalflow.clock import utcnow
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.errors import Invalid
from signalflow.events import DeadLetter, Enriched, decode_enriched
from signalflow.fail_points import reach
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import ROWS_WRITTEN, VISIBLE_SECONDS
from signalflow.settings import Settings
from signalflow.storage.paced_writer import PacedWriter
from signalflow.storage.pool import Pool
from signalflow.storage.writer import is_stored, write_batch
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_types import RunStream

# Rows of one flush whose latency is measured: enough for a quantile, at a cost that does not grow with the load.
MOST_TIMED_ROWS = 50


@dataclass
class Flush:
    """What is left to do of a batch: rows to store with the records they came from, and letters of bad records.

    `lasts`: the last record of each partition, whether it could be decoded or not.
    """

    rows: list[Enriched] = field(default_factory=list)
    records: list[KafkaRecord] = field(default_factory=list)
    undecodable: list[DeadLetter] = field(default_factory=list)
    lasts: list[KafkaRecord] = field(default_factory=list)


class SinkHandler:
    """Writes batches of enriched records. `timeout`: seconds that a statement may take."""

    def __init__(self, pool: Pool, dead_letters: DeadLetters, stored: StoredTopic, timeout: float) -> None:
        self._pool, self._dead_letters, self.stored = pool, dead_letters, stored
        self.writer = PacedWriter(pool, timeout)

    async def prepare(self, batch: Batch) -> Flush:
        """Decode; a record that cannot be decoded becomes a dead letter."""
        flush = Flush(lasts=[records[-1] for records in batch.partitions.values() if records])
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
        """Write the rows to the database, and take those that are done out of `work`.

        Rows that it refuses, and records that could not be decoded, become dead letters, sent and confirmed. Raises
        Retryable also for a piece that took too long; the next call goes on with a smaller one. Raises Rewind when the
        database lacks what was stored before.
        """
        await self._set_aside(work.undecodable)
        work.undecodable = []
        async with self.stored.progress(owned, [last.partition for last in work.lasts]) as progress:
            while work.rows:
                written = await self.writer.write(work.rows, work.records, progress)
                refused = [(work.records[row.index], row.error) for row in written.rejected]
                await self._set_aside([self._dead_letters.letter(record, error, "write") for record, error in refused])
                _count(work.rows[: written.count], len(refused))
                del work.rows[: written.count], work.records[: written.count]
            if progress and (rest := [last for last in work.lasts if progress.expected[last.partition] <= last.offset]):
                await write_batch(self._pool, [], progress.advances(rest))

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await self._dead_letters.send(letters)
            reach("sink.after_dead_letters")


def _count(rows: Sequence[Enriched], rejected: int) -> None:
    ROWS_WRITTEN.inc(len(rows) - rejected)
    now = utcnow()
    for row in rows[:: max(len(rows) // MOST_TIMED_ROWS, 1)]:
        VISIBLE_SECONDS.observe(max((now - row.emitted_at).total_seconds(), 0.0))


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
