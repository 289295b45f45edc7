"""What agents do that store a topic: rows into the database, and bad records to the dead-letter topic."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic

from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.words import Stage
from signalflow.errors import Invalid
from signalflow.events import DeadLetter
from signalflow.fail_points import reach
from signalflow.kafka.records import KafkaRecord
from signalflow.positions.stored_topic import StoredTopic
from signalflow.storage.paced_writer import PacedRows, RowT
from signalflow.storage.positions import Advances
from signalflow.streams.batch_loop import Batch, Ownership

# Rows of one flush whose latency is measured: enough for a quantile, at a cost that does not grow with the load.
MOST_TIMED_ROWS = 50


def timed(rows: Sequence[RowT]) -> Sequence[RowT]:
    """Some of the rows, evenly."""
    return rows[:: max(len(rows) // MOST_TIMED_ROWS, 1)]


def age(since: datetime, now: datetime) -> float:
    """Seconds from then to now; clocks may differ a little, so never less than 0."""
    return max((now - since).total_seconds(), 0.0)


@dataclass
class Flush(Generic[RowT]):
    """What is left to do of a batch: rows to store with the records they came from, and letters of bad records.

    `lasts`: the last record of each partition, whether it could be decoded or not.
    """

    rows: list[RowT] = field(default_factory=list)
    records: list[KafkaRecord] = field(default_factory=list)
    undecodable: list[DeadLetter] = field(default_factory=list)
    lasts: list[KafkaRecord] = field(default_factory=list)


class StoringHandler(ABC, Generic[RowT]):
    """Stores batches of records, each in one transaction with its positions.

    `stage`: that of the dead letter of a record that gives no row.
    """

    stage: Stage

    def __init__(self, writer: PacedRows[RowT], dead_letters: DeadLetters, stored: StoredTopic) -> None:
        self.writer, self._dead_letters, self.stored = writer, dead_letters, stored

    @abstractmethod
    def row_of(self, record: KafkaRecord) -> RowT:
        """The row of a record. Raises Invalid when it gives none."""

    @abstractmethod
    async def advance(self, advances: Advances) -> None:
        """Advance the positions of records that gave no row."""

    @abstractmethod
    def count(self, rows: Sequence[RowT], rejected: int) -> None:
        """Count these rows, of which the database rejected some, and measure how long some of them took."""

    async def prepare(self, batch: Batch) -> Flush[RowT]:
        """Make rows; a record that gives none becomes a dead letter."""
        flush: Flush[RowT] = Flush(lasts=[records[-1] for records in batch.partitions.values() if records])
        for records in batch.partitions.values():
            for record in records:
                try:
                    flush.rows.append(self.row_of(record))
                    flush.records.append(record)
                except Invalid as error:
                    flush.undecodable.append(self._dead_letters.letter(record, error, self.stage))
        return flush

    async def commit(self, work: Flush[RowT], owned: Ownership) -> None:
        """Write the rows to the database, and take those that are done out of `work`.

        Rows that it refuses, and records that gave none, become dead letters, sent and confirmed. Raises
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
                self.count(work.rows[: written.count], len(refused))
                del work.rows[: written.count], work.records[: written.count]
            if progress and (rest := [last for last in work.lasts if progress.expected[last.partition] <= last.offset]):
                await self.advance(progress.advances(rest))

    async def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        if letters:
            await self._dead_letters.send(letters)
            reach("sink.after_dead_letters")
