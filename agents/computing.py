"""What agents do that keep a table: each batch goes through a unit of work, and bad records become dead letters."""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.words import SignalKind
from signalflow.enrichment import Defect
from signalflow.errors import Invalid
from signalflow.events import DeadLetter
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.records import KafkaRecord
from signalflow.streams.batch_loop import Batch, Ownership
from signalflow.streams.state_table import State, StateTable
from signalflow.streams.unit_of_work import RefusedOutput, Unit, write_unit
from signalflow.streams.watermarks import Watermarks

# Records computed before other tasks of the event loop get a turn. 1,000 records take 50 ms: too long a wait for the
# statements of the sink.
RECORDS_A_TURN = 50

ValueT = TypeVar("ValueT")


class BatchValues(Protocol[ValueT]):
    """The values of one partition's batch, and which of them changed."""

    def get(self, key: bytes) -> ValueT | None: ...
    def put(self, key: bytes, value: ValueT, /) -> None: ...
    def changes(self) -> State: ...


@dataclass
class Work:
    """The result of one batch: the dead letters of its bad records, and the unit of work of the others.

    `signals`: how many records of signals it has, by kind.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    unit: Unit = field(default_factory=Unit)
    signals: Counter[SignalKind] = field(default_factory=Counter)


class ComputingHandler(ABC, Generic[ValueT]):
    """Takes batches of records through the unit of work, and advances the watermark of each partition."""

    def __init__(
        self, table: StateTable, producer: ConfirmedProducer, dead_letters: DeadLetters, watermarks: Watermarks
    ) -> None:
        self._table, self._producer, self._dead_letters = table, producer, dead_letters
        self._watermarks = watermarks

    @abstractmethod
    def values_of(self, partition: int, keys: Sequence[bytes]) -> BatchValues[ValueT]:
        """What the table has of these keys."""

    @abstractmethod
    def compute(self, work: Work, values: BatchValues[ValueT], record: KafkaRecord) -> None:
        """Add what becomes of a record to the work and the values.

        Raises Invalid, with nothing added, for a record that is not valid, and Defect when the rule fails on it.
        """

    @abstractmethod
    async def set_aside(self, refused: Sequence[RefusedOutput]) -> None:
        """Do what is left to do for outputs that the brokers refuse for their size or content."""

    async def prepare(self, batch: Batch) -> Work:
        """Outputs, values of the table and dead letters of a batch, computed from the log and the table alone."""
        work = Work()
        for partition, records in batch.partitions.items():
            values = self.values_of(partition, list({record.key for record in records if record.key}))
            for index, record in enumerate(records):
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1:
                    await asyncio.sleep(0)
                try:
                    self.compute(work, values, record)
                except Defect as error:
                    work.letters.append(self._dead_letters.letter(record, error, "enrich"))
                except Invalid as error:
                    work.letters.append(self._dead_letters.letter(record, error, "validate"))
            work.unit.states[partition] = values.changes()
        return work

    async def commit(self, work: Work, owned: Ownership) -> None:
        """Write dead letters, outputs, changelog and RocksDB, in this order, each confirmed before the next.

        Raises Fatal before any of them when the dead letters exceed their limit.
        """
        if work.letters:
            owned.check()
            await self._dead_letters.send(work.letters)
            work.letters = []
        await write_unit(work.unit, self._producer, self._table, owned, self.set_aside)

    async def send_letters(self, refused: Sequence[RefusedOutput]) -> None:
        """Make the records of refused outputs dead letters, each once."""
        first = {(each.source.partition, each.source.offset): each for each in reversed(refused)}
        letters = [self._dead_letters.letter(each.source, each.error, "enrich") for _, each in sorted(first.items())]
        await self._dead_letters.send(letters)
