"""What the agents of signals and of terms share: records of one key go through a rule whose state is in a table."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.words import SignalKind
from signalflow.enrichment import Defect
from signalflow.errors import Invalid
from signalflow.events import DeadLetter
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import SIGNAL_CHANGES
from signalflow.settings import Settings
from signalflow.signal_detection import outgoing
from signalflow.signal_events import Signal
from signalflow.streams.batch_loop import Batch, Gathering, Ownership
from signalflow.streams.state_table import State, StateTable
from signalflow.streams.unit_of_work import RefusedOutput, Unit, write_unit
from signalflow.streams.watermarks import Watermarks

# Records computed before other tasks of the event loop get a turn.
RECORDS_A_TURN = 50
# Each batch writes one value a subreddit, of kilobytes, so batches are larger than those of the enrich agent.
DUE_RECORDS = 2_000
MOST_RECORDS = 10_000

ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)


class Detection(Protocol[ValueT_co]):
    """What becomes of a record: signals that changed, values of the table that did, and how far the watermark is."""

    @property
    def signals(self) -> tuple[Signal, ...]: ...
    @property
    def values(self) -> Mapping[bytes, ValueT_co]: ...
    @property
    def reached_us(self) -> int: ...


class BatchValues(Protocol[ValueT]):
    """The values of one partition's batch, and which of them changed."""

    def get(self, key: bytes) -> ValueT | None: ...
    def put(self, key: bytes, value: ValueT, /) -> None: ...
    def changes(self) -> State: ...


# The rule: raises Invalid for a record that is not valid, and Defect when it fails on it.
Detect = Callable[[KafkaRecord, Callable[[bytes], ValueT | None]], Detection[ValueT]]
# The values for a batch: a function that reads keys of its partition, and the keys of its records.
ValuesOf = Callable[[Callable[[Sequence[bytes]], State], Sequence[bytes]], BatchValues[ValueT]]


@dataclass
class SignalsWork:
    """The result of one batch: the dead letters of its bad records, and the unit of work of the others.

    `changes`: how many records of signals it has, by kind.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    unit: Unit = field(default_factory=Unit)
    changes: Counter[SignalKind] = field(default_factory=Counter)


def gathering_of(settings: Settings) -> Gathering:
    """How these agents gather a batch."""
    return Gathering(DUE_RECORDS, MOST_RECORDS, settings.signals_gather_seconds)


class SignalsHandler(Generic[ValueT]):
    """Takes batches of inputs through the unit of work, and advances the watermark of each partition."""

    def __init__(
        self,
        settings: Settings,
        table: StateTable,
        producer: ConfirmedProducer,
        dead_letters: DeadLetters,
        watermarks: Watermarks,
        detect: Detect[ValueT],
        values_of: ValuesOf[ValueT],
    ) -> None:
        self._signals_topic = TopicNames.of(settings).signals
        self._table, self._producer, self._dead_letters = table, producer, dead_letters
        self._watermarks, self._detect, self._values_of = watermarks, detect, values_of

    async def prepare(self, batch: Batch) -> SignalsWork:
        """Signals, values of the table and dead letters of a batch, computed from the log and the table alone."""
        work = SignalsWork()
        for partition, records in batch.partitions.items():
            keys = list({record.key for record in records if record.key})
            known = self._values_of(partial(self._table.read, partition), keys)
            for index, record in enumerate(records):
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1:
                    await asyncio.sleep(0)
                self._take(work, known, record)
            work.unit.states[partition] = known.changes()
        return work

    def _take(self, work: SignalsWork, known: BatchValues[ValueT], record: KafkaRecord) -> None:
        try:
            found = self._detect(record, known.get)
        except Defect as error:
            work.letters.append(self._dead_letters.letter(record, error, "enrich"))
            return
        except Invalid as error:
            work.letters.append(self._dead_letters.letter(record, error, "validate"))
            return
        for signal in found.signals:
            work.unit.emit(self._signals_topic, record.partition, outgoing(signal, record), record)
            work.changes[signal.kind] += 1
        for key, value in found.values.items():
            known.put(key, value)
        self._watermarks.advance(record.partition, found.reached_us)

    async def commit(self, work: SignalsWork, owned: Ownership) -> None:
        """Write dead letters, signals, changelog and RocksDB, in this order, each confirmed before the next.

        A record whose signal the brokers refuse becomes a dead letter too.
        Raises Fatal before any of them when the dead letters exceed their limit.
        """
        if work.letters:
            owned.check()
            await self._dead_letters.send(work.letters)
            work.letters = []
        await write_unit(work.unit, self._producer, self._table, owned, self._set_aside)
        for kind, changes in work.changes.items():
            SIGNAL_CHANGES.labels(kind=kind).inc(changes)

    async def _set_aside(self, refused: Sequence[RefusedOutput]) -> None:
        # One record may have changed several signals.
        first = {(each.source.partition, each.source.offset): each for each in reversed(refused)}
        letters = [self._dead_letters.letter(each.source, each.error, "enrich") for _, each in sorted(first.items())]
        await self._dead_letters.send(letters)
