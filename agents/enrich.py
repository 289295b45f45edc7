"""The enrich agent: raw observations in, enriched records and post states out, bad records to the dead-letter topic."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import mode
import structlog

from signalflow.clock import utcnow
from signalflow.dead_letters.letter import NO_IDS, dead_letter
from signalflow.dead_letters.limit import DeadLetterLimit
from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher, validated
from signalflow.errors import Invalid, SignalflowError
from signalflow.events import Source, Stage, encode, lineage
from signalflow.kafka.producer import ConfirmedProducer, Outgoing
from signalflow.kafka.topics import TopicNames
from signalflow.metrics import DEAD_LETTERS
from signalflow.settings import Settings
from signalflow.streams.app import Application, raw_bytes_topic
from signalflow.streams.batch_loop import Batch, Gathering, Ownership, consume
from signalflow.streams.state_table import State, StateTable
from signalflow.streams.unit_of_work import Unit, write_unit
from tables.post_state import decode_state, encode_state

log = structlog.get_logger()

# A unit of 1,000 records computes for 50 ms; the sink, whose statements are under way, must not wait for that.
RECORDS_A_TURN = 50


class Defect(Invalid):
    """A defect of ours that one record brings out: it must not hold up every other record, again at each restart."""


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
        """Set a post's state; one that is the same object has not changed."""
        if state is not self._decoded.get(key):
            self._decoded[key] = state
            self._changed.add(key)

    def changes(self) -> State:
        """What the table must be told."""
        return {key: encode_state(state) for key in sorted(self._changed) if (state := self._decoded[key])}


class EnrichHandler:
    """Takes batches of raw records through the unit of work. `newest_us`: per partition, the newest observation time processed."""

    def __init__(
        self,
        settings: Settings,
        table: StateTable,
        producer: ConfirmedProducer,
        worker: str,
        *,
        topic_ids: Mapping[str, UUID] = NO_IDS,
        limit: DeadLetterLimit | None = None,
    ) -> None:
        self._enricher = Enricher(settings)
        self._topics = TopicNames.of(settings)
        self._table, self.producer, self._worker = table, producer, worker
        self._topic_ids, self._limit = topic_ids, limit
        self.newest_us: dict[int, int] = {}

    async def prepare(self, batch: Batch) -> Unit:
        """Outputs and states of a batch, computed from the log and the table alone."""
        unit = Unit()
        for partition, records in batch.partitions.items():
            states = States(self._table.read(partition, list({record.key for record in records if record.key})))
            for index, record in enumerate(records):
                if index % RECORDS_A_TURN == RECORDS_A_TURN - 1:
                    await asyncio.sleep(0)
                try:
                    self._take(unit, states, record)
                except Defect as error:
                    unit.emit(self._topics.posts_dlq, partition, self._dead_letter(record, error, "enrich"))
                except Invalid as error:
                    unit.emit(self._topics.posts_dlq, partition, self._dead_letter(record, error, "validate"))
            unit.states[partition] = states.changes()
        return unit

    def _take(self, unit: Unit, states: States, record: Any) -> None:
        envelope = validated(record)
        key: bytes = record.key
        source = Source(topic=record.topic, partition=record.partition, offset=record.offset)
        try:
            enriched, state = self._enricher.enrich(envelope, source, lambda: states.get(key))
        except SignalflowError:
            raise
        except Exception as error:
            log.exception("enrich_defect", topic=record.topic, partition=record.partition, offset=record.offset)
            raise Defect(f"{type(error).__name__}: {error}") from error
        unit.emit(
            self._topics.posts_enriched, record.partition, Outgoing(key, encode(enriched), lineage(record.headers))
        )
        if state is not None:
            states.put(key, state)
            # No later than the log itself, or one observation from tomorrow would expire the states of today.
            reached = min(state.ring[-1].observed_us, record.timestamp * 1000)
            self.newest_us[record.partition] = max(self.newest_us.get(record.partition, 0), reached)

    def _dead_letter(self, record: Any, error: Invalid, stage: Stage) -> Outgoing:
        DEAD_LETTERS.labels(stage=stage).inc()
        log.warning(
            "dead_letter", topic=record.topic, partition=record.partition, offset=record.offset, error=str(error)
        )
        return dead_letter(record, error, stage=stage, worker=self._worker, now=utcnow(), topic_ids=self._topic_ids)

    async def commit(self, work: Unit, owned: Ownership) -> None:
        """Outputs, changelog, RocksDB, in this order, each confirmed before the next. Raises Fatal before any of them at the limit."""
        if self._limit is not None:
            await self._limit.admit(work.outputs.get(self._topics.posts_dlq, {}))
        await write_unit(work, self.producer, self._table, owned)


def register(app: Application, settings: Settings, handler_of: Callable[[], EnrichHandler]) -> None:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = raw_bytes_topic(app, TopicNames.of(settings).posts_raw)
    gathering = Gathering(settings.enrich_max_records, settings.enrich_max_records, settings.enrich_gather_seconds)

    @app.agent(topic, name="enrich", supervisor_strategy=mode.CrashingSupervisor)
    async def enrich(stream: Any) -> None:
        await consume(app, stream, handler_of(), gathering, name="enrich", guard=settings.contiguity_guard)
