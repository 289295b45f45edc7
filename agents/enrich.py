"""The enrich agent: raw observations in, enriched records and post states out, bad records to the dead-letter topic."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import mode
import structlog

from signalflow.dead_letters.dead_letters import DeadLetters
from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher, validated
from signalflow.errors import Invalid, SignalflowError
from signalflow.events import DeadLetter, Source, encode, lineage
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.records import KafkaRecord
from signalflow.kafka.topics import TopicNames
from signalflow.settings import Settings
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, run_batch_loop
from signalflow.streams.faust_types import RunStream
from signalflow.streams.state_table import State, StateTable
from signalflow.streams.unit_of_work import Unit, write_unit
from signalflow.streams.watermarks import Watermarks
from tables.post_state import decode_state, encode_state

log = structlog.get_logger()

# Records computed before other tasks of the event loop get a turn. 1,000 records take 50 ms: too long a wait for the
# statements of the sink.
RECORDS_A_TURN = 50


class Defect(Invalid):
    """A defect of this code that one record reveals. The record becomes a dead letter, so that others can go on."""


class States:
    """The states of one partition's batch, decoded when first asked for, and which of them changed."""

    def __init__(self, stored: State) -> None:
        self._stored = stored
        self._decoded: dict[bytes, PostState | None] = {}
        self._changed: set[bytes] = set()

    def get(self, key: bytes) -> PostState | None:
        """The state of a post after what the batch has done to it so far."""
        if key not in self._decoded:
            value = self._stored.get(key)
            self._decoded[key] = None if value is None else decode_state(value)
        return self._decoded[key]

    def put(self, key: bytes, state: PostState) -> None:
        """Set a post's state. The same object as before counts as unchanged."""
        if state is not self._decoded.get(key):
            self._decoded[key] = state
            self._changed.add(key)

    def changes(self) -> State:
        """The changed states, encoded for the table."""
        return {key: encode_state(state) for key in sorted(self._changed) if (state := self._decoded[key])}


@dataclass
class EnrichWork:
    """The result of one batch: the dead letters of its bad records, and the unit of work of the others."""

    letters: list[DeadLetter] = field(default_factory=list)
    unit: Unit = field(default_factory=Unit)


class EnrichHandler:
    """Takes batches of raw records through the unit of work, and advances the watermark of each partition."""

    def __init__(
        self,
        settings: Settings,
        table: StateTable,
        producer: ConfirmedProducer,
        dead_letters: DeadLetters,
        watermarks: Watermarks,
    ) -> None:
        self._enricher = Enricher(settings)
        self._most_ahead = timedelta(minutes=settings.observed_ahead_minutes)
        self._enriched_topic = TopicNames.of(settings).posts_enriched
        self._table, self._producer, self._dead_letters = table, producer, dead_letters
        self._watermarks = watermarks

    async def prepare(self, batch: Batch) -> EnrichWork:
        """Outputs, states and dead letters of a batch, computed from the log and the table alone."""
        work = EnrichWork()
        for partition, records in batch.partitions.items():
            states = States(self._table.read(partition, list({record.key for record in records if record.key})))
            for index, record in enumerate(records):
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1:
                    await asyncio.sleep(0)
                try:
                    self._enrich(work.unit, states, record)
                except Defect as error:
                    work.letters.append(self._dead_letters.letter(record, error, "enrich"))
                except Invalid as error:
                    work.letters.append(self._dead_letters.letter(record, error, "validate"))
            work.unit.states[partition] = states.changes()
        return work

    def _enrich(self, unit: Unit, states: States, record: KafkaRecord) -> None:
        envelope = validated(record, self._most_ahead)
        key = envelope.payload.id.encode()
        source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
        try:
            enriched, state = self._enricher.enrich(envelope, source, record.timestamp * 1000, lambda: states.get(key))
        except SignalflowError:
            raise
        except Exception as error:
            log.exception("enrich_defect", topic=record.topic, partition=record.partition, offset=record.offset)
            raise Defect(f"{type(error).__name__}: {error}") from error
        output = Outgoing(key, encode(enriched), lineage(record.headers))
        unit.emit(self._enriched_topic, record.partition, output, record)
        if state is not None:
            states.put(key, state)
            # The watermark never passes the record's own timestamp: otherwise one observation from tomorrow would
            # expire the states of today.
            self._watermarks.advance(record.partition, min(state.ring[-1].observed_us, record.timestamp * 1000))

    async def commit(self, work: EnrichWork, owned: Ownership) -> None:
        """Write dead letters, outputs, changelog and RocksDB, in this order, each confirmed before the next.

        A record whose output the brokers refuse becomes a dead letter too.
        Raises Fatal before any of them when the dead letters exceed their limit.
        """
        if work.letters:
            owned.check()
            await self._dead_letters.send(work.letters)
            work.letters = []
        await write_unit(work.unit, self._producer, self._table, owned, self._set_aside)

    async def _set_aside(self, refused: Sequence[tuple[KafkaRecord, Invalid]]) -> None:
        await self._dead_letters.send([self._dead_letters.letter(record, error, "enrich") for record, error in refused])


def register(app: Application, settings: Settings, handler_of: Callable[[], EnrichHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_raw)
    gathering = Gathering(settings.enrich_max_records, settings.enrich_max_records, settings.enrich_gather_seconds)

    @app.agent(topic, name="enrich", supervisor_strategy=mode.CrashingSupervisor)
    async def enrich(stream: RunStream) -> None:
        await run_batch_loop(
            app, stream, handler_of(), gathering, name="enrich", contiguity_guard=settings.contiguity_guard
        )
