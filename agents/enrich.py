"""The enrich agent: raw observations in, enriched records and post states out, bad records to the dead-letter topic."""

from typing import Any

import faust
import mode
import structlog

from signalflow.clock import utcnow
from signalflow.domain.observations import PostState
from signalflow.enrichment import Enricher, microseconds, validated
from signalflow.errors import Invalid
from signalflow.events import Source, encode
from signalflow.metrics import DEAD_LETTERS
from signalflow.settings import Settings
from signalflow.streams.consume import Batch, Gathering, Ownership, consume
from signalflow.streams.dead_letters import dead_letter
from signalflow.streams.producer import ConfirmedProducer, Outgoing
from signalflow.streams.state_table import StateTable
from signalflow.streams.unit_of_work import Unit, write_unit
from signalflow.topics import TopicNames
from tables.post_state import decode_state, encode_state

log = structlog.get_logger()


class EnrichHandler:
    """Takes batches of raw records through the unit of work. `newest_us`: per partition, the newest observation time processed."""

    def __init__(self, settings: Settings, table: StateTable, producer: ConfirmedProducer, worker: str) -> None:
        self._enricher = Enricher(settings)
        self._topics = TopicNames.of(settings)
        self._table, self.producer, self._worker = table, producer, worker
        self.newest_us: dict[int, int] = {}

    def prepare(self, batch: Batch) -> Unit:
        """Outputs and states of a batch, computed from the log and the table alone."""
        unit = Unit()
        for partition, records in batch.partitions.items():
            stored = self._table.read(partition, list({record.key for record in records if record.key}))
            states: dict[bytes, PostState] = {}
            changed: set[bytes] = set()

            for record in records:
                key: bytes = record.key

                def known(
                    key: bytes = key, stored: Any = stored, states: dict[bytes, PostState] = states
                ) -> PostState | None:
                    value = stored.get(key)
                    if key not in states and value is not None:
                        states[key] = decode_state(value)
                    return states.get(key)

                try:
                    envelope = validated(record)
                except Invalid as error:
                    letter = dead_letter(record, error, stage="validate", worker=self._worker, now=utcnow())
                    unit.emit(self._topics.posts_dlq, partition, letter)
                    DEAD_LETTERS.labels(stage="validate").inc()
                    log.warning(
                        "dead_letter", topic=record.topic, partition=partition, offset=record.offset, error=str(error)
                    )
                    continue
                source = Source(topic=record.topic, partition=partition, offset=record.offset)
                enriched, state = self._enricher.enrich(envelope, source, known)
                unit.emit(self._topics.posts_enriched, partition, Outgoing(key, encode(enriched)))
                if state is not None and state is not states.get(key):
                    states[key] = state
                    changed.add(key)
                    self.newest_us[partition] = max(
                        self.newest_us.get(partition, 0), microseconds(enriched.observed_at)
                    )
            unit.states[partition] = {key: encode_state(states[key]) for key in sorted(changed)}
        return unit

    async def commit(self, work: Unit, owned: Ownership) -> None:
        """Outputs, changelog, RocksDB, in this order, each confirmed before the next."""
        await write_unit(work, self.producer, self._table, owned)


def register(app: faust.App, settings: Settings, table: StateTable, handler_of: Any) -> Any:
    """Add the agent to the app. `handler_of()` gives the handler once the worker runs."""
    topic = app.topic(
        TopicNames.of(settings).posts_raw,
        key_type=bytes,
        value_type=bytes,
        value_serializer="raw",
        partitions=settings.topic_partitions,
    )
    gathering = Gathering(settings.enrich_max_records, settings.enrich_max_records, settings.enrich_gather_seconds)

    @app.agent(topic, name="enrich", supervisor_strategy=mode.CrashingSupervisor)
    async def enrich(stream: Any) -> None:
        await consume(app, stream, handler_of(), gathering, name="enrich", guard=settings.contiguity_guard)

    return enrich
