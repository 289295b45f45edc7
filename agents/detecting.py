"""What the agents of signals and of terms share: records of one key go through a rule whose values are in a table."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from agents.computing import BatchValues, ComputingHandler, ValueT, Work
from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.kafka.producer import ConfirmedProducer
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import SIGNAL_CHANGES
from signalflow.settings import Settings
from signalflow.signal_detection import outgoing
from signalflow.signal_events import Signal
from signalflow.streams.batch_loop import Gathering, Ownership
from signalflow.streams.state_table import State, StateTable
from signalflow.streams.unit_of_work import RefusedOutput
from signalflow.streams.watermarks import Watermarks

# Each batch writes one value a subreddit, of kilobytes, so batches are larger than those of the enrich agent.
DUE_RECORDS = 2_000
MOST_RECORDS = 10_000

ValueT_co = TypeVar("ValueT_co", covariant=True)


class Detection(Protocol[ValueT_co]):
    """What becomes of a record: signals that changed, values of the table that did, and how far the watermark is."""

    @property
    def signals(self) -> tuple[Signal, ...]: ...
    @property
    def values(self) -> Mapping[bytes, ValueT_co]: ...
    @property
    def reached_us(self) -> int: ...


# The rule: raises Invalid for a record that is not valid, and Defect when it fails on it.
Detect = Callable[[KafkaRecord, Callable[[bytes], ValueT | None]], Detection[ValueT]]
# The values for a batch: a function that reads keys of its partition, and the keys of its records.
ValuesOf = Callable[[Callable[[Sequence[bytes]], State], Sequence[bytes]], BatchValues[ValueT]]


def gathering_of(settings: Settings) -> Gathering:
    """How these agents gather a batch."""
    return Gathering(DUE_RECORDS, MOST_RECORDS, settings.signals_gather_seconds)


class SignalsHandler(ComputingHandler[ValueT]):
    """Takes batches of inputs through a rule. A record whose signal the brokers refuse becomes a dead letter."""

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
        super().__init__(table, producer, dead_letters, watermarks)
        self._signals_topic = TopicNames.of(settings).signals
        self._detect, self._values_of = detect, values_of

    def values_of(self, partition: int, keys: Sequence[bytes]) -> BatchValues[ValueT]:
        """What the table has of these keys."""
        return self._values_of(partial(self._table.read, partition), keys)

    def compute(self, work: Work, values: BatchValues[ValueT], record: KafkaRecord) -> None:
        """Add the signals that a record changes, and what the rule knows after it."""
        found = self._detect(record, values.get)
        for signal in found.signals:
            work.unit.emit(self._signals_topic, record.partition, outgoing(signal, record), record)
            work.signals[signal.kind] += 1
        for key, value in found.values.items():
            values.put(key, value)
        self._watermarks.advance(record.partition, found.reached_us)

    async def commit(self, work: Work, owned: Ownership) -> None:
        """Write the work, and count its signals."""
        await super().commit(work, owned)
        for kind, changes in work.signals.items():
            SIGNAL_CHANGES.labels(kind=kind).inc(changes)

    async def set_aside(self, refused: Sequence[RefusedOutput]) -> None:
        """Make the records whose signals are refused dead letters."""
        await self.send_letters(refused)
