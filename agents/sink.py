"""The sink agent writes enriched records to the database and acknowledges them after the commit.

Rows that the database stores too slowly are written in smaller pieces. A single row that reaches the timeout twice,
while the database stores other rows, is set aside. While it stores none, the sink waits.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import mode

from agents.stored import StoredTopic
from signalflow.clock import utcnow
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.piece_size import PieceSize
from signalflow.errors import Invalid, Retryable
from signalflow.events import DeadLetter, Enriched, decode_enriched
from signalflow.fail_points import reach
from signalflow.kafka.records import KafkaRecord, check_readable
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import ROWS_WRITTEN, VISIBLE_SECONDS
from signalflow.settings import Settings
from signalflow.storage.pool import Pool, TookTooLong
from signalflow.storage.positions import Progress
from signalflow.storage.writer import Rejected, is_stored, write_batch, write_or_reject
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_types import RunStream

# Rows of one flush whose latency is measured: enough for a quantile, at a cost that does not grow with the load.
MOST_TIMED_ROWS = 50
# A row that reaches the timeout alone this often, and not with the database as a whole, is set aside.
TIMEOUTS_OF_ONE_ROW = 2


class TooSlow(Invalid):
    """The database cannot store this one row within its timeout."""


@dataclass
class Flush:
    """Rows to store with the records they came from, and the dead letters of records that could not be decoded.

    `done`: so many rows are stored or set aside. `timeouts`: how often the next row reached the timeout alone. `lasts`:
    the last record of each partition, whether it could be decoded or not.
    """

    rows: list[Enriched] = field(default_factory=list)
    records: list[KafkaRecord] = field(default_factory=list)
    undecodable: list[DeadLetter] = field(default_factory=list)
    done: int = 0
    timeouts: int = 0
    lasts: list[KafkaRecord] = field(default_factory=list)


class SinkHandler:
    """Writes batches of enriched records, in one transaction each as long as the database is quick enough.

    `timeout`: seconds that a statement may take.
    """

    def __init__(self, pool: Pool, dead_letters: DeadLetters, stored: StoredTopic, timeout: float) -> None:
        self._pool, self._dead_letters, self.stored = pool, dead_letters, stored
        self._pieces = PieceSize(timeout)
        self._stored_last: Enriched | None = None

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
        """Write the rows to the database.

        Rows that it refuses, and records that could not be decoded, become dead letters, sent and confirmed. Raises
        Retryable also for a piece that took too long; the next call goes on with a smaller one. Raises Rewind when the
        database lacks what was stored before.
        """
        await self._set_aside(work.undecodable)
        work.undecodable = []
        async with self.stored.progress(owned, [last.partition for last in work.lasts]) as progress:
            while work.done < len(work.rows):
                begin, end = work.done, min(work.done + self._pieces.size, len(work.rows))
                rejected = await self._store(work, end, progress)
                await self._set_aside(
                    [self._dead_letters.letter(work.records[begin + row.index], row.error, "write") for row in rejected]
                )
                self._count(work.rows[begin:end], len(rejected))
                work.done, work.timeouts = end, 0
            if progress and (rest := [last for last in work.lasts if progress.expected[last.partition] <= last.offset]):
                await write_batch(self._pool, [], progress.advances(rest))

    async def _store(self, work: Flush, end: int, progress: Progress | None) -> list[Rejected]:
        """Store the next rows; returns those that are set aside. Raises TookTooLong when a smaller piece may do."""
        piece, records, started = work.rows[work.done : end], work.records[work.done : end], time.monotonic()
        try:
            rejected = await write_or_reject(self._pool, piece, records, progress)
        except TookTooLong as error:
            self._pieces.took_too_long(len(piece))
            work.timeouts += len(piece) == 1
            if work.timeouts < TIMEOUTS_OF_ONE_ROW or not await self._stores_others(work):
                raise
            return [Rejected(0, TooSlow(f"{error}; the database stores other rows in time"))]
        self._pieces.took(len(piece), time.monotonic() - started)
        if len(rejected) < len(piece):
            refused = {row.index for row in rejected}
            self._stored_last = next(row for index, row in enumerate(piece) if index not in refused)
        return rejected

    async def _stores_others(self, work: Flush) -> bool:
        """Whether the database stores the next row of another post, or if there is none, a stored row once more."""
        slow = work.rows[work.done]
        others = (row for row in work.rows[work.done + 1 :] if row.id != slow.id)
        other = next(others, self._stored_last)
        if other is None:
            return False
        try:
            await write_batch(self._pool, [other])
        except (Retryable, Invalid):
            return False
        return True

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await self._dead_letters.send(letters)
            reach("sink.after_dead_letters")

    def _count(self, rows: Sequence[Enriched], rejected: int) -> None:
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
        await run_batch_loop(
            app, stream, handler_of(), gathering, name="sink", contiguity_guard=settings.contiguity_guard
        )
