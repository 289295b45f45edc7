"""The signals agent: observations by subreddit in, signals and what is usual in each subreddit out."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mode

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
from signalflow.signal_detection import Detector, outgoing
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_types import RunStream
from signalflow.streams.state_table import StateTable
from signalflow.streams.unit_of_work import RefusedOutput, Unit, write_unit
from signalflow.streams.watermarks import Watermarks
from tables.subreddit_baseline import BatchBaselines

# Records computed before other tasks of the event loop get a turn.
RECORDS_A_TURN = 50
# Each batch writes one value a subreddit, of kilobytes, so batches are larger than those of the enrich agent.
DUE_RECORDS = 2_000
MOST_RECORDS = 10_000


@dataclass
class SignalsWork:
    """The result of one batch: the dead letters of its bad records, and the unit of work of the others.

    `changes`: how many records of signals it has, by kind.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    unit: Unit = field(default_factory=Unit)
    changes: Counter[SignalKind] = field(default_factory=Counter)


class SignalsHandler:
    """Takes batches of signal inputs through the unit of work, and advances the watermark of each partition."""

    def __init__(
        self,
        settings: Settings,
        table: StateTable,
        producer: ConfirmedProducer,
        dead_letters: DeadLetters,
        watermarks: Watermarks,
        detector: Detector,
    ) -> None:
        self._signals_topic = TopicNames.of(settings).signals
        self._table, self._producer, self._dead_letters = table, producer, dead_letters
        self._watermarks, self._detector = watermarks, detector

    async def prepare(self, batch: Batch) -> SignalsWork:
        """Signals, values of the table and dead letters of a batch, computed from the log and the table alone."""
        work = SignalsWork()
        for partition, records in batch.partitions.items():
            known = BatchBaselines(self._table.read(partition, list({record.key for record in records if record.key})))
            for index, record in enumerate(records):
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1:
                    await asyncio.sleep(0)
                self._detect(work, known, record)
            work.unit.states[partition] = known.changes()
        return work

    def _detect(self, work: SignalsWork, known: BatchBaselines, record: KafkaRecord) -> None:
        try:
            found = self._detector.detect(record, known.get)
        except Defect as error:
            work.letters.append(self._dead_letters.letter(record, error, "enrich"))
            return
        except Invalid as error:
            work.letters.append(self._dead_letters.letter(record, error, "validate"))
            return
        for signal in found.signals:
            work.unit.emit(self._signals_topic, record.partition, outgoing(signal, record), record)
            work.changes[signal.kind] += 1
        if found.baseline is not None:
            known.put(found.key, found.baseline)
        self._watermarks.advance(record.partition, record.timestamp * 1000)

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


def register(app: Application, settings: Settings, handler_of: Callable[[], SignalsHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).signal_inputs)
    gathering = Gathering(DUE_RECORDS, MOST_RECORDS, settings.signals_gather_seconds)

    @app.agent(topic, name="signals", supervisor_strategy=mode.CrashingSupervisor)
    async def signals(stream: RunStream) -> None:
        await run_batch_loop(app, stream, handler_of(), gathering, name="signals")
